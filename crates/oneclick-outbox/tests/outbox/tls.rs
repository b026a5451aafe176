//! TLS to PostgreSQL, as `sslmode` and `sslrootcert` ask for it.

use std::net::TcpListener;

use oneclick_outbox::{Outbox, OutboxError, postgres};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::server::{self, Server};
use crate::*;

/// A server with a certificate for `localhost`, and the certificates of two authorities, of which
/// the first has signed it.
struct Secured {
    server: Server,
    port: u16,
    authority: PathBuf,
    stranger: PathBuf,
}

impl Secured {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Server::start_on("127.0.0.1", port);
        let (signer, stranger) = (authority("authority"), authority("stranger"));
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = names.signed_by(&key, &signer).unwrap();
        let (key, own) = (key.serialize_pem(), certificate.pem());
        let files = [("ssl_key_file", key), ("ssl_cert_file", own)];
        for (setting, text) in files {
            let path = server.write(setting, &text);
            server.sql("postgres", &format!("ALTER SYSTEM SET {setting} = '{}'", path.display()));
        }
        let authority = server.write("authority.pem", &signer.pem());
        let stranger = server.write("stranger.pem", &stranger.pem());
        let secured = Self { server, port, authority, stranger };
        secured.set_tls(true);
        secured
    }

    /// Switches TLS for new connections, and waits until the server has noticed.
    fn set_tls(&self, on: bool) {
        let value = if on { "on" } else { "off" };
        self.server.sql("postgres", &format!("ALTER SYSTEM SET ssl = {value}"));
        self.server.sql("postgres", "SELECT pg_reload_conf()");
        let began = std::time::Instant::now();
        while self.server.sql("postgres", "SHOW ssl").as_deref() != Some(value) {
            assert!(began.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether a connection with these settings is encrypted, or why there is none.
    fn connect(&self, host: &str, settings: &str) -> Result<bool, String> {
        let url = format!("postgres://outbox@{host}:{}/postgres{settings}", self.port);
        let _outbox = Outbox::postgres(&url).map_err(|error| error.to_string())?;
        let sql = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                   WHERE application_name = 'oneclick-outbox'";
        Ok(self.server.sql("postgres", sql).unwrap() == "t")
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// As libpq does, but a certificate without a mode is checked whole.
#[test]
fn certificates_are_checked_as_asked() {
    if env::var_os("ONECLICK_OUTBOX_ON_POSTGRES").is_some() || !server::is_possible() {
        return;
    }
    let secured = Secured::start();
    let path = |path: &Path| path.display().to_string().replace('/', "%2F");
    let (root, other) = (path(&secured.authority), path(&secured.stranger));
    let with = |mode: &str, root: &str| format!("?sslmode={mode}&sslrootcert={root}");
    let encrypted = [
        ("localhost", String::new()),
        ("127.0.0.1", "?sslmode=require".to_owned()),
        ("127.0.0.1", with("require", &root)),
        ("127.0.0.1", with("verify-ca", &root)),
        ("localhost", with("verify-full", &root)),
        ("localhost", format!("?connect_timeout=5&sslrootcert={root}")),
    ];
    for (host, settings) in &encrypted {
        assert_eq!(secured.connect(host, settings), Ok(true), "{host} {settings}");
    }
    assert_eq!(secured.connect("localhost", "?sslmode=disable"), Ok(false));
    let wrong_name = "not valid for";
    let refused = [
        ("127.0.0.1", with("verify-full", &root), wrong_name),
        ("127.0.0.1", format!("?sslrootcert={root}"), wrong_name),
        ("localhost", with("verify-full", &other), "UnknownIssuer"),
        ("localhost", with("verify-ca", &other), "UnknownIssuer"),
        ("localhost", with("require", &other), "UnknownIssuer"),
        ("localhost", "?sslmode=verify-full".to_owned(), "UnknownIssuer"),
        ("localhost", "?sslmode=verify-ca".to_owned(), "needs sslrootcert"),
        ("localhost", with("require", "system"), "needs sslmode=verify-full"),
        ("localhost", with("verify-full", "%2Fno%2Ffile"), "/no/file"),
        ("localhost", "?sslmode=allow".to_owned(), "sslmode must be"),
    ];
    for (host, settings, problem) in &refused {
        let error = secured.connect(host, settings).unwrap_err();
        assert!(error.contains(problem), "{host} {settings}: {error}");
    }

    secured.set_tls(false);
    assert_eq!(secured.connect("localhost", ""), Ok(false));
    for settings in ["?sslmode=require".to_owned(), with("verify-full", &root)] {
        let error = secured.connect("localhost", &settings).unwrap_err();
        assert!(error.contains("server does not support TLS"), "{settings}: {error}");
    }
    // A socket file needs no TLS, whatever the settings are.
    let words =
        format!("{} sslmode='verify-full' sslrootcert=system", secured.server.url("postgres"));
    assert!(Outbox::postgres(&words).is_ok());
}

#[test]
fn settings_in_a_password_are_none() {
    for text in [
        "postgres://user:a%3Fsslmode=no?b@127.0.0.1:1/shop?connect_timeout=1",
        "host=127.0.0.1 port=1 connect_timeout=1 password='x sslmode=no \\' sslrootcert=/no/file'",
    ] {
        match postgres::migrate(text) {
            Err(OutboxError::Postgres(error)) => {
                assert!(error.to_string().contains("connecting"), "{error}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}
