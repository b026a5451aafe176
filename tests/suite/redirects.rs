//! Redirects are not followed.

use oneclick_proto::{ErrorKind, Execution, GetAccount};

use crate::adapter::{Adapter, plant};
use crate::behaviours;
use crate::raw_server::{RawServer, response};

behaviours! {
    a_redirect_is_not_followed_and_gets_no_key
}

fn a_redirect_is_not_followed_and_gets_no_key<S: Adapter>() {
    let elsewhere = RawServer::responding(response("200 OK", "", "{}"));
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}/v1/plant_tree\r\n", elsewhere.url());
        let server = RawServer::responding(response(&format!("{status} Moved"), &location, ""));
        let client = S::new(&server.url());
        let error = client.fails(plant());
        assert!(matches!(error.kind(), ErrorKind::Status(_)));
        assert_eq!(error.status().unwrap(), status);
        // 307 and 308 ask for the same request at another address. After the others, the
        // request may have been executed.
        let repeat = [307, 308].contains(&status);
        let expected = if repeat { Execution::NotExecuted } else { Execution::Unknown };
        assert_eq!(error.execution(), expected, "{status}");
        assert_eq!(client.fails(GetAccount).status().unwrap(), status);
        assert_eq!(server.requests().len(), 2);
    }
    assert_eq!(elsewhere.connections(), 0);
}
