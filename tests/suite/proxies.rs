//! Proxies that the environment names: they are not shown a key in clear text.

use std::process::Command;

use crate::peer::{Peer, RECEIPT, response};
use crate::subject::KEY;

#[test]
fn a_key_in_clear_text_goes_past_no_proxy() {
    let peer = Peer::answering(response("200 OK", "", RECEIPT));
    let proxy = Peer::answering(response("200 OK", "", RECEIPT));
    let mut child = Command::new(env!("CARGO_BIN_EXE_default-clients"));
    child.env("ONECLICK_API_KEY", KEY).env("ONECLICK_BASE_URL", peer.url());
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, proxy.url());
    }
    let child = child.output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert_eq!(proxy.connections(), 0);
    assert_eq!(peer.requests().len(), 3);
}
