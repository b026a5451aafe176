//! Makes one purchase with the client of each adapter, or of the adapters named as
//! arguments. The clients are configured by the environment. Run by the suite.

use std::fmt::{Debug, Display};
use std::process::ExitCode;

use oneclick_proto::{Error, Trees};

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed("tokio", &error),
    };
    let trees = Trees::of::<5>();
    let named: Vec<String> = std::env::args().skip(1).collect();
    let mut code = ExitCode::SUCCESS;
    for adapter in ["reqwest", "ureq", "hyper"] {
        if !named.is_empty() && !named.iter().any(|name| name == adapter) {
            continue;
        }
        let outcome = match adapter {
            "reqwest" => runtime.block_on(reqwest(trees)),
            "hyper" => runtime.block_on(hyper(trees)),
            _ => ureq(trees),
        };
        if let Err(error) = outcome {
            code = failed(adapter, &format_args!("{error:#} ({:?})", error.execution()));
        }
    }
    code
}

fn ureq(trees: Trees) -> Result<(), Error> {
    let client = oneclick_ureq::Client::from_env()?;
    show(&client);
    client.plant_tree(trees).map(drop)
}

async fn reqwest(trees: Trees) -> Result<(), Error> {
    let client = oneclick_reqwest::Client::from_env()?;
    show(&client);
    client.plant_tree(trees).await.map(drop)
}

async fn hyper(trees: Trees) -> Result<(), Error> {
    let client = oneclick_hyper::Client::from_env()?;
    show(&client);
    client.plant_tree(trees).await.map(drop)
}

fn show(client: &dyn Debug) {
    if std::env::var_os("ONECLICK_SHOW").is_some() {
        println!("{client:?}");
    }
}

fn failed(adapter: &str, error: &dyn Display) -> ExitCode {
    eprintln!("{adapter}: {error}");
    ExitCode::FAILURE
}
