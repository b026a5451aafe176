//! The proxy settings of the environment. The expectations were checked with curl 7.88,
//! except for the forms that are marked.

use std::error::Error as _;

use oneclick_proto::{BaseUrl, Proxy, ProxyError, ProxyScheme};

type Vars<'a> = &'a [(&'a str, &'a str)];

fn read(url: &str, vars: Vars<'_>) -> Result<Option<Proxy>, ProxyError> {
    let find = |name: &str| vars.iter().find(|(key, _)| *key == name);
    Proxy::from_vars(&BaseUrl::new(url).unwrap(), |name| {
        find(name).map(|(_, value)| (*value).into())
    })
}

/// The URL of the proxy without its credentials, or the word `direct`.
#[track_caller]
fn way(url: &str, vars: Vars<'_>) -> String {
    read(url, vars).unwrap().map_or_else(|| "direct".to_owned(), |proxy| proxy.url())
}

#[test]
fn the_first_variable_that_is_set_wins() {
    let (a, b) = ("http://a:1", "http://b:2");
    for (vars, expected) in [
        (&[][..], "direct"),
        (&[("https_proxy", a), ("HTTPS_PROXY", b), ("all_proxy", b)], a),
        (&[("https_proxy", ""), ("HTTPS_PROXY", b)], b),
        (&[("HTTPS_PROXY", a), ("all_proxy", b), ("ALL_PROXY", b)], a),
        (&[("all_proxy", a), ("ALL_PROXY", b)], a),
        (&[("ALL_PROXY", b)], b),
        (&[("http_proxy", a), ("HTTP_PROXY", b)], "direct"),
    ] {
        assert_eq!(way("https://example.com", vars), expected, "{vars:?}");
    }
    let proxy = read("https://example.com", &[("ALL_PROXY", a)]).unwrap().unwrap();
    assert_eq!(proxy.variable, "ALL_PROXY");
}

#[test]
fn plain_http_never_uses_a_proxy() {
    let vars = ["http_proxy", "https_proxy", "all_proxy"].map(|name| (name, "nonsense://"));
    assert_eq!(way("http://127.0.0.1:8787", &vars), "direct");
}

#[test]
fn a_proxy_is_read_as_curl_reads_it() {
    for (url, expected) in [
        ("http://proxy", "http://proxy:1080"),
        ("proxy", "http://proxy:1080"),
        ("proxy:3128", "http://proxy:3128"),
        ("HTTP://proxy:", "http://proxy:1080"),
        ("https://proxy", "https://proxy:443"),
        ("https://proxy:8443/path?query#fragment", "https://proxy:8443"),
        ("socks://proxy", "socks4://proxy:1080"),
        ("socks4://proxy", "socks4://proxy:1080"),
        ("socks4a://proxy:9050", "socks4a://proxy:9050"),
        ("socks5://proxy", "socks5://proxy:1080"),
        ("SOCKS5H://10.0.0.1:9", "socks5h://10.0.0.1:9"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        ("http://[fe80::1]", "http://[fe80::1]:1080"),
        ("http://a_b.example.com.:1", "http://a_b.example.com.:1"),
        ("http://ada:1815@proxy:1", "http://proxy:1"),
    ] {
        assert_eq!(way("https://example.com", &[("https_proxy", url)]), expected, "{url}");
    }
}

#[test]
fn credentials_are_decoded_and_never_shown() {
    for (url, user, password, basic) in [
        ("http://ada:18%3A15%40@proxy", "ada", "18:15@", "Basic YWRhOjE4OjE1QA=="),
        ("socks5://ada@proxy", "ada", "", "Basic YWRhOg=="),
        ("http://ad%C3%A4:+%25@proxy", "adä", "+%", "Basic YWTDpDorJQ=="),
        ("http://grace:b:c@proxy", "grace", "b:c", "Basic Z3JhY2U6Yjpj"),
    ] {
        let proxy = read("https://example.com", &[("https_proxy", url)]).unwrap().unwrap();
        assert_eq!(proxy.credentials, Some((user.to_owned(), password.to_owned())), "{url}");
        let authorization = proxy.authorization().unwrap();
        assert_eq!(authorization, basic);
        assert!(authorization.is_sensitive());
        let shown = format!("{proxy:?} {proxy:#?} {}", proxy.url());
        assert!(!shown.contains(user) && !shown.contains("18"), "{shown}");
        assert_eq!(
            proxy.unsupported().to_string(),
            "the proxy in https_proxy cannot be used: this transport does not support its scheme"
        );
    }
    let proxy = read("https://example.com", &[("https_proxy", "http://proxy")]).unwrap().unwrap();
    assert_eq!((proxy.authorization(), proxy.scheme), (None, ProxyScheme::Http));
}

/// An invalid setting must not lead to a direct connection.
#[test]
fn a_proxy_that_cannot_be_read_is_an_error() {
    for url in [
        "foo://proxy:3128",
        "://proxy",
        "http://",
        "http://:3128",
        "http://ada:5ecret@",
        "http://[::1",
        "http://[proxy]:1",
        "http://[127.0.0.1]:1",
        "http://[127.0.0.1:1",
        "http://::1:3128",
        "http://proxy:99999",
        "http://proxy:+1",
        "http://proxy:port",
        " http://proxy",
        "http://proxy ",
        "http://pro xy",
        "http://ada:5ecret@pro\u{fffd}xy",
        "http://ada:5e@cret@proxy",
        "http://ada:5ecret%zz@proxy",
        "http://ada:5ecret%ff@proxy",
        "http://ada:5ecret%0d%0a@proxy",
        "http://ada:5ecret%4@proxy",
        "http://prox\u{fc}",
    ] {
        for variable in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            let error = read("https://example.com", &[(variable, url)]).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(&format!("the proxy in {variable} cannot be used: ")), "{url}");
            assert!(!shown.contains("5e") && !shown.contains("ada"), "{shown}");
            assert!(error.source().is_none());
        }
        // The setting is ignored if the API is excluded.
        let vars = [("https_proxy", url), ("no_proxy", "example.com")];
        assert_eq!(way("https://example.com", &vars), "direct");
    }
}

#[test]
fn no_proxy_excludes_the_same_hosts_as_curl() {
    let (host, ip, v6) = ("https://api.example.com", "https://127.0.0.1:9", "https://[fe80::1]");
    for (url, list, excepted) in [
        (host, "*", true),
        (host, "example.com", true),
        (host, ".example.com", true),
        (host, "api.example.com", true),
        (host, ".api.example.com", true),
        (host, "API.Example.COM.", true),
        (host, "com", true),
        (host, "other.org,example.com", true),
        (host, "other.org, example.com", true),
        (host, " other.org\texample.com ,", true),
        (host, "other.org,,example.com", true),
        ("https://api.example.com.", "example.com", true),
        (host, "ample.com", false),
        (host, "www.api.example.com", false),
        (host, "", false),
        (host, ",", false),
        (host, ".", false),
        (host, "..example.com", false),
        (host, "0.0.0.0/0", false),
        (ip, "127.0.0.1", true),
        (ip, "127.0.0.0/8", true),
        (ip, "127.0.0.1/32", true),
        (ip, "10.0.0.0/8, 127.0.0.0/31", true),
        (ip, "127.0.0.0/32", false),
        (ip, "127.0.0.1/33", false),
        (ip, "127.0.0.1/x", false),
        (ip, "128.0.0.0/8", false),
        (ip, "127.0.0.1/0", true),
        (ip, "0.0.0.0/0", false),
        (ip, ".0.0.1", false),
        (ip, "1", false),
        (ip, "fe80::1", false),
        (v6, "fe80::1", true),
        (v6, "fe80:0::1", true),
        (v6, "fe80::/10", true),
        (v6, "fe81::/10", true),
        (v6, "fec0::/10", false),
        (v6, "::/128", false),
        (v6, "127.0.0.1", false),
        // curl ignores these forms.
        (host, "*.example.com", true),
        (host, "*.other.org", false),
        (host, "localhost, *", true),
        (host, "api.example.com:443", true),
        (host, "api.example.com:8443", false),
        (host, "example.com:x", false),
        (ip, "127.0.0.1:9", true),
        (ip, "127.0.0.1:10", false),
        (v6, "[fe80::1]", true),
        (v6, "[fe80::1]:443", true),
        (v6, "[fe80::1]:444", false),
    ] {
        for name in ["no_proxy", "NO_PROXY"] {
            let vars = [("https_proxy", "http://proxy:1"), (name, list)];
            let expected = if excepted { "direct" } else { "http://proxy:1" };
            assert_eq!(way(url, &vars), expected, "{url} {list:?}");
        }
    }
    // The variable in lower case wins.
    let vars = [("https_proxy", "http://proxy:1"), ("no_proxy", "x"), ("NO_PROXY", "*")];
    assert_eq!(way(host, &vars), "http://proxy:1");
}
