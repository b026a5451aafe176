//! Proxies of the environment: all adapters read the settings in the same way and never
//! bypass a proxy that they should use.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::adapter::KEY;
use crate::raw_server::{RECEIPT, RawServer, Wire, response};
use crate::tls::{Secure, run_trusting};

const ADAPTERS: [&str; 3] = ["reqwest", "ureq", "hyper"];
/// The user `ada` with the password `s3cr:t`.
const CREDENTIALS: &str = "ada:s3cr%3At@";
const BASIC: &str = "Basic YWRhOnMzY3I6dA==";

#[test]
fn plain_http_bypasses_every_proxy() {
    let server = RawServer::responding(response("200 OK", "", RECEIPT));
    let proxy = RawServer::responding(response("200 OK", "", RECEIPT));
    let mut child = Command::new(env!("CARGO_BIN_EXE_default-clients"));
    child.env("ONECLICK_API_KEY", KEY).env("ONECLICK_BASE_URL", server.url());
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        child.env(name, proxy.url()).env(name.to_uppercase(), proxy.url());
    }
    let child = child.output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert_eq!(proxy.connections(), 0);
    assert_eq!(server.requests().len(), 3);
}

/// Forwards bytes in both directions until one side is done.
fn relay(wire: &mut Wire, mut upstream: TcpStream) {
    let (mut from, mut to) = (upstream.try_clone().unwrap(), wire.stream.try_clone().unwrap());
    let back = std::thread::spawn(move || {
        drop(std::io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
    let mut piece = [0; 4096];
    while !wire.stopped() && !back.is_finished() {
        match wire.stream.read(&mut piece) {
            Ok(length @ 1..) => upstream.write_all(&piece[..length]).unwrap(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    drop(upstream.shutdown(Shutdown::Write));
    back.join().unwrap();
}

/// A proxy that opens tunnels by CONNECT.
fn connect_proxy() -> RawServer {
    RawServer::start(|_, wire| {
        let Some(request) = wire.request() else { return };
        let to = request.split(' ').nth(1).unwrap().to_owned();
        wire.write(b"HTTP/1.1 200 Connection established\r\n\r\n");
        relay(wire, TcpStream::connect(to).unwrap());
    })
}

/// A SOCKS 5 proxy that requires [`CREDENTIALS`] and records the type of each requested
/// address: 1 and 4 are IP addresses, 3 is a name.
fn socks_proxy(types: Arc<Mutex<Vec<u8>>>) -> RawServer {
    RawServer::start(move |_, wire| {
        wire.stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut stream = wire.stream.try_clone().unwrap();
        let mut read = |length: u8| {
            let mut bytes = vec![0; length.into()];
            stream.read_exact(&mut bytes).ok().map(|()| bytes)
        };
        // The connection that ends the test sends nothing.
        let Some(greeting) = read(2) else { return };
        assert!(read(greeting[1]).unwrap().contains(&2));
        wire.write(&[5, 2]);
        let user = read(2).unwrap();
        assert_eq!(read(user[1]).unwrap(), b"ada");
        let length = read(1).unwrap()[0];
        assert_eq!(read(length).unwrap(), b"s3cr:t");
        wire.write(&[1, 0]);
        let kind = read(4).unwrap()[3];
        types.lock().unwrap().push(kind);
        let length = match kind {
            1 => 4,
            3 => read(1).unwrap()[0],
            _ => 16,
        };
        read(length).unwrap();
        let port = read(2).unwrap();
        let port = u16::from_be_bytes([port[0], port[1]]);
        wire.write(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        wire.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        relay(wire, TcpStream::connect(("127.0.0.1", port)).unwrap());
    })
}

/// Buys once over an adapter.
fn buy(server: &Secure, adapter: &str, vars: &[(&str, &str)]) -> Output {
    run_trusting(server, |program| {
        program.arg(adapter).envs(vars.iter().copied());
    })
}

#[track_caller]
fn assert_bought(child: &Output) {
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.is_empty(), "{said}");
}

/// Asserts that nothing was sent, and that the error shows the reason and no password.
#[track_caller]
fn assert_refused(child: &Output, server: &Secure, adapter: &str, reason: &str) {
    let said = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.code(), Some(1), "{said}");
    assert!(said.starts_with(&format!("{adapter}: ")) && said.contains(reason), "{said}");
    assert!(said.contains("(NotExecuted)"), "{said}");
    assert!(!said.contains("s3cr") && !said.contains("ada") && !said.contains(KEY), "{said}");
    assert_eq!((server.connections(), server.requests()), (0, 0), "{adapter}: {reason}");
}

#[test]
fn an_http_proxy_for_https_sees_only_the_host() {
    for adapter in ADAPTERS {
        let (server, proxy) = (Secure::start(), connect_proxy());
        let at = proxy.url().replace("://", &format!("://{CREDENTIALS}"));
        assert_bought(&buy(&server, adapter, &[("HTTPS_PROXY", &at)]));
        assert_eq!(server.requests(), 1, "{adapter}");
        let [seen] = &proxy.requests()[..] else { panic!("{adapter}: one tunnel") };
        let host = server.url().replace("https://", "");
        assert!(seen.starts_with(&format!("CONNECT {host} HTTP/1.1\r\n")), "{seen}");
        let authorization = seen
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("proxy-authorization: "));
        assert_eq!(authorization.unwrap().split_once(": ").unwrap().1, BASIC, "{adapter}");
        assert!(!seen.contains(KEY));
    }
}

#[test]
fn https_goes_through_a_socks_proxy() {
    for adapter in ADAPTERS {
        for scheme in ["socks5", "socks5h"] {
            let types = Arc::new(Mutex::new(Vec::new()));
            let (server, proxy) = (Secure::start(), socks_proxy(types.clone()));
            let at = proxy.url().replace("http://", &format!("{scheme}://{CREDENTIALS}"));
            let name = server.url().replace("127.0.0.1", "localhost");
            let vars = [("all_proxy", &*at), ("ONECLICK_BASE_URL", &name)];
            assert_bought(&buy(&server, adapter, &vars));
            assert_eq!(server.requests(), 1, "{adapter}");
            let [kind] = types.lock().unwrap()[..] else { panic!("{adapter}: one tunnel") };
            assert_eq!(kind == 3, scheme == "socks5h", "{adapter}: {scheme} with {kind}");
        }
    }
}

/// It must not lead to a direct connection.
#[test]
fn an_unusable_proxy_is_an_error_before_anything_is_sent() {
    let places = ["foo://HERE:1", "socks6://HERE:1", "http://HERE", "http://HERE:x", "http://[::1"];
    for adapter in ADAPTERS {
        let server = Secure::start();
        for place in places {
            let at = place.replace("://", &format!("://{CREDENTIALS}")).replace("HERE", "a b");
            for variable in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
                let child = buy(&server, adapter, &[(variable, &at)]);
                let reason = format!("the proxy in {variable} cannot be used: ");
                assert_refused(&child, &server, adapter, &reason);
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_proxy_that_is_not_unicode_is_an_error() {
    use std::os::unix::ffi::OsStrExt;
    for adapter in ADAPTERS {
        let server = Secure::start();
        let at = std::ffi::OsStr::from_bytes(b"http://ada:s3cr\xff@127.0.0.1:1");
        let child = run_trusting(&server, |program| {
            program.arg(adapter).env("https_proxy", at);
        });
        assert_refused(&child, &server, adapter, "the proxy in https_proxy cannot be used: ");
    }
}

#[test]
fn an_unsupported_proxy_scheme_is_an_error() {
    let server = Secure::start();
    for scheme in ["https", "socks4", "socks4a"] {
        let at = format!("{scheme}://{CREDENTIALS}127.0.0.1:1");
        let child = buy(&server, "hyper", &[("https_proxy", &at)]);
        let reason = "the proxy in https_proxy cannot be used: this transport does not support";
        assert_refused(&child, &server, "hyper", reason);
    }
}

#[test]
fn a_proxy_that_is_down_or_refuses_executed_nothing() {
    let gone = RawServer::responding("").url();
    // It does not wait for a request, because it cannot parse one of SOCKS.
    let refusing = RawServer::start(|_, wire| {
        wire.write(&response("407 Proxy Authentication Required", "", ""));
    });
    for adapter in ADAPTERS {
        let server = Secure::start();
        for at in [&gone, &refusing.url()] {
            for scheme in ["http", "socks5", "socks5h"] {
                let at = at.replace("http://", &format!("{scheme}://{CREDENTIALS}"));
                let child = buy(&server, adapter, &[("https_proxy", &at)]);
                assert_refused(&child, &server, adapter, "could not connect");
            }
        }
    }
}

#[test]
fn no_proxy_bypasses_the_proxy_and_http_proxy_is_ignored() {
    for adapter in ADAPTERS {
        let (server, proxy) = (Secure::start(), connect_proxy());
        let at = proxy.url();
        let excepted = ["other.org, 127.0.0.1", "127.0.0.0/8", "*", "other.org 127.0.0.1"];
        for list in excepted {
            assert_bought(&buy(&server, adapter, &[("https_proxy", &at), ("NO_PROXY", list)]));
        }
        for name in ["http_proxy", "HTTP_PROXY"] {
            assert_bought(&buy(&server, adapter, &[(name, &at)]));
        }
        assert_eq!((proxy.connections(), server.requests()), (0, 6), "{adapter}");
        // Names can be excluded with and without a leading dot or star.
        let name = server.url().replace("127.0.0.1", "localhost");
        for list in [".localhost", "*.localhost", "LOCALHOST.", "localhost:1"] {
            let vars = [("ALL_PROXY", &*at), ("no_proxy", list), ("ONECLICK_BASE_URL", &name)];
            assert_bought(&buy(&server, adapter, &vars));
        }
        assert_eq!(proxy.connections(), 1, "{adapter}: only another port is not excluded");
    }
}

/// The `Debug` output of a client may be logged.
#[test]
fn no_client_shows_the_password_of_its_proxy() {
    for adapter in ADAPTERS {
        let (server, proxy) = (Secure::start(), connect_proxy());
        let at = proxy.url().replace("://", &format!("://{CREDENTIALS}"));
        let vars = [("https_proxy", &*at), ("ONECLICK_SHOW", "1")];
        let child = buy(&server, adapter, &vars);
        let shown = String::from_utf8_lossy(&child.stdout);
        assert!(shown.contains("Client"), "{shown}");
        for secret in ["s3cr", BASIC, "YWRhOnMzY3I6dA"] {
            assert!(!shown.contains(secret), "{adapter}: {shown}");
        }
    }
}
