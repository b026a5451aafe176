//! Decodes any status and any bytes as the response of every endpoint. Decoding never
//! panics, a decoded value survives a round trip through JSON, and no error shows the key.
#![no_main]

use http::{Response, StatusCode};
use libfuzzer_sys::fuzz_target;
use oneclick_proto::{
    Api, CancelImpact, Endpoint, GetAccount, GetDailyTotals, GetImpactTotals, GetProject, ImpactId,
    ListCustomerRecords, ListCustomers, ListProjects, ListRecords, PlantTree, TrackImpact, Trees,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|input: (u16, &[u8])| {
    let (status, body) = input;
    let Ok(status) = StatusCode::from_u16(100 + status % 900) else { return };
    let id: ImpactId = "U1-2024-09-16T20:34:04.429Z".parse().unwrap();
    decode(&GetAccount, status, body);
    decode(&PlantTree::new(Trees::of::<1>()), status, body);
    decode(&CancelImpact::new(&id), status, body);
    decode(&TrackImpact::new(&id), status, body);
    decode(&GetImpactTotals, status, body);
    decode(&GetDailyTotals::new(), status, body);
    decode(&ListRecords::new(), status, body);
    decode(&ListCustomerRecords::new(), status, body);
    decode(&ListCustomers::new(), status, body);
    decode(&ListProjects::new(), status, body);
    decode(&GetProject::new("x"), status, body);
});

fn decode<E: Endpoint<Response: Serialize + DeserializeOwned>>(
    endpoint: &E,
    status: StatusCode,
    body: &[u8],
) {
    let api = Api::sandbox("test_5ecretKey").unwrap();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    match api.decode(endpoint, response) {
        Ok(read) => {
            let written = serde_json::to_vec(&read).unwrap();
            let reread: E::Response = serde_json::from_slice(&written).unwrap();
            assert_eq!(written, serde_json::to_vec(&reread).unwrap());
        }
        Err(error) => {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("5ecretKey"), "{shown}");
            assert!(!error.to_string().contains(char::is_control), "{shown}");
        }
    }
}
