//! The build cost of each adapter compared with its bare transport and serde. Each
//! figure comes from a clean release build of a program that makes one call.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use oneclick_benches::callers::Failure;

use crate::report::{Figure, Row, Table, Target};

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The type that a bare program decodes the response into.
const ACCOUNT: &str = "#[derive(serde::Deserialize)] struct Account { user_id: String }";

/// The dependencies and the source of a program.
struct Program {
    dependencies: String,
    main: String,
}

/// A transport, and the code that makes a call over it.
struct Transport {
    name: &'static str,
    /// The dependencies without TLS.
    dependencies: &'static str,
    /// The dependencies that TLS adds.
    tls: &'static str,
    /// Code that calls whoami and stores the response body in `body`.
    call: &'static str,
    /// Whether the call has to be awaited.
    asynchronous: bool,
}

const TRANSPORTS: [Transport; 3] = [
    Transport {
        name: "hyper",
        dependencies: r#"
bytes = "1"
http = "1"
http-body-util = "0.1"
hyper = { version = "1", default-features = false, features = ["client", "http1"] }
hyper-util = { version = "0.1", default-features = false, features = ["client-legacy", "http1", "tokio"] }
"#,
        tls: r#"
hyper-rustls = { version = "0.27", default-features = false, features = ["http1", "ring", "tls12", "rustls-platform-verifier"] }
"#,
        call: r#"
    use http_body_util::BodyExt;
    let connector = CONNECTOR;
    let client: hyper_util::client::legacy::Client<_, http_body_util::Empty<bytes::Bytes>> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build(connector);
    let request = http::Request::get(url).header("x-api-key", "test_key").body(Default::default())?;
    let body = client.request(request).await?.into_body().collect().await?.to_bytes();
"#,
        asynchronous: true,
    },
    Transport {
        name: "reqwest",
        dependencies: r#"
reqwest = { version = "0.13", default-features = false, features = [FEATURES] }
"#,
        tls: r#"
rustls = { version = "0.23", default-features = false, features = ["ring", "std", "tls12"] }
"#,
        call: r#"
    let client = reqwest::Client::builder().build()?;
    let body = client.get(url).header("x-api-key", "test_key").send().await?.bytes().await?;
"#,
        asynchronous: true,
    },
    Transport {
        name: "ureq",
        dependencies: r#"
ureq = { version = "3", default-features = false, features = [FEATURES] }
"#,
        tls: "",
        call: r#"
    let mut response = ureq::get(url).header("x-api-key", "test_key").call()?;
    let body = response.body_mut().read_to_vec()?;
"#,
        asynchronous: false,
    },
];

pub(crate) fn table() -> Result<Table, Failure> {
    let mut table = Table::new("Clean release builds of a program that makes one call");
    table.rows.push(Row {
        what: "the core alone, seconds".to_owned(),
        target: Target::None,
        figure: Figure::exact(Built::of("core", &core())?.seconds),
        unit: " s",
    });
    for transport in &TRANSPORTS {
        for tls in [true, false] {
            let with = if tls { "with TLS" } else { "without TLS" };
            let bare = Built::of("bare", &transport.bare(tls))?;
            let ours = Built::of("ours", &transport.ours(tls))?;
            table.notes.push(format!(
                "{} {with}: bare {bare}; through the client {ours}.",
                transport.name
            ));
            let what = |of| format!("{of}, {} {with}: ours ÷ bare", transport.name);
            let ratio = |of, ours: f64, bare: f64| {
                Row::ratio(what(of), Target::AtMost(1.15), Figure::exact(ours / bare))
            };
            table.rows.push(ratio("build time", ours.seconds, bare.seconds));
            table.rows.push(ratio("stripped size", ours.megabytes, bare.megabytes));
        }
    }
    Ok(table)
}

fn core() -> Program {
    Program {
        dependencies: format!(
            "oneclick-proto = {{ path = '{WORKSPACE}/crates/oneclick-proto' }}\n"
        ),
        main: "fn main() -> Result<(), oneclick_proto::Error> {
    let api = oneclick_proto::Api::sandbox(\"test_key\")?;
    println!(\"{:?}\", api.encode(&oneclick_proto::GetAccount)?);
    Ok(())
}\n"
        .to_owned(),
    }
}

const TOKIO: &str = r#"
tokio = { version = "1", default-features = false, features = ["net", "rt", "time"] }
"#;

impl Transport {
    fn bare(&self, tls: bool) -> Program {
        let features = match (self.name, tls) {
            ("ureq", true) => r#""rustls", "platform-verifier""#,
            ("reqwest", true) => r#""rustls-no-provider""#,
            _ => "",
        };
        let mut dependencies = self.dependencies.replace("FEATURES", features);
        dependencies +=
            "serde = { version = \"1\", features = [\"derive\"] }\nserde_json = \"1\"\n";
        if tls {
            dependencies += self.tls;
        }
        let mut call = self.call.replace(
            "CONNECTOR",
            if tls {
                "hyper_rustls::HttpsConnectorBuilder::new().with_platform_verifier()\
                 .https_or_http().enable_http1().build()"
            } else {
                "hyper_util::client::legacy::connect::HttpConnector::new()"
            },
        );
        if self.name == "reqwest" && tls {
            let provider = "rustls::crypto::ring::default_provider().install_default().ok();\n";
            call.insert_str(0, provider);
        }
        call += "    let account: Account = serde_json::from_slice(&body)?;
    println!(\"{}\", account.user_id);\n";
        self.program(dependencies, &call, ACCOUNT)
    }

    fn ours(&self, tls: bool) -> Program {
        let name = self.name;
        let dependencies = format!(
            "oneclick-{name} = {{ path = '{WORKSPACE}/crates/oneclick-{name}', \
             default-features = {tls} }}\n",
        );
        let wait = if self.asynchronous { ".await" } else { "" };
        let call = format!(
            "    let client = oneclick_{name}::Client::with_base_url(url, \"test_key\")?;
    println!(\"{{}}\", client.whoami(){wait}?.user_id);\n",
        );
        self.program(dependencies, &call, "")
    }

    fn program(&self, mut dependencies: String, call: &str, items: &str) -> Program {
        let body = if self.asynchronous {
            dependencies += TOKIO;
            format!(
                "    tokio::runtime::Builder::new_current_thread().enable_all().build()?\
                 .block_on(async {{\n{call}    Ok(())\n}})\n",
            )
        } else {
            format!("{call}    Ok(())\n")
        };
        let main = format!(
            "{items}\nfn main() -> Result<(), Box<dyn std::error::Error>> {{
    let url = &std::env::args().nth(1).ok_or(\"no URL\")?[..];\n{body}}}\n",
        );
        Program { dependencies, main }
    }
}

/// The build cost of a program.
struct Built {
    seconds: f64,
    crates: usize,
    megabytes: f64,
}

impl Built {
    fn of(name: &str, program: &Program) -> Result<Self, Failure> {
        let directory = PathBuf::from(WORKSPACE).join("target/build-cost");
        // An interrupted run may have left it.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("src"))?;
        fs::write(directory.join("src/main.rs"), &program.main)?;
        fs::write(
            directory.join("Cargo.toml"),
            format!(
                "[package]\nname = '{name}'\nedition = '2024'\n[dependencies]\n{}\n\
                 [profile.release]\nstrip = true\n[workspace]\n",
                program.dependencies,
            ),
        )?;
        // Both programs use the dependency versions of this workspace.
        fs::copy(Path::new(WORKSPACE).join("Cargo.lock"), directory.join("Cargo.lock"))?;
        let cargo = |arguments: &[&str]| -> Result<String, Failure> {
            let output = Command::new(env!("CARGO"))
                .args(arguments)
                .current_dir(&directory)
                .env("CARGO_TARGET_DIR", directory.join("target"))
                .output()?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into());
            }
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        cargo(&["fetch"])?;
        let tree = cargo(&["tree", "--edges", "normal", "--prefix", "none"])?;
        let mut crates: Vec<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        crates.sort_unstable();
        crates.dedup();
        let start = Instant::now();
        cargo(&["build", "--release"])?;
        let seconds = start.elapsed().as_secs_f64();
        let size = fs::metadata(directory.join("target/release").join(name))?.len();
        fs::remove_dir_all(&directory)?;
        let megabytes = f64::from(u32::try_from(size)?) / 1e6;
        // The program itself is not counted.
        Ok(Self { seconds, crates: crates.len() - 1, megabytes })
    }
}

impl std::fmt::Display for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} s, {} crates, {:.1} MB", self.seconds, self.crates, self.megabytes)
    }
}
