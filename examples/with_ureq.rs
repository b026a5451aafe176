//! The blocking client over ureq: no async runtime, and lists are iterators. It shows the
//! failure that costs money: the response to a purchase is lost.

use std::io::Read;
use std::net::TcpListener;
use std::thread;

use oneclick_examples::{Failure, Place};
use oneclick_ureq::{
    Cents, Client, Customer, DonateMoney, Error, Execution, ListCustomerRecords, SortOrder,
};

fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    println!("ureq, against {place}");
    // In your own program: `Client::from_env()?` or `Client::production(key)?`.
    let client = Client::new(place.api())?;

    let ada = Customer::new("ada@example.com")?;
    let purchase = DonateMoney::new(Cents::of::<500>()).customer(ada.clone());
    client.donate_money(purchase.clone())?;

    // Purchases for customers are in another list than those without.
    let hers = ListCustomerRecords::new().customer_email(ada.customer_email);
    for record in client.customer_records(hers.sort_order(SortOrder::Desc)).max_items(3) {
        let record = record?;
        println!("{}  {}", record.time_utc, record.impact);
    }

    // This server reads the request and closes the connection. Has it bought anything?
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = thread::spawn(move || listener.accept()?.0.read(&mut [0; 8192]));
    if let Err(error) = Client::with_base_url(url, "test_example")?.donate_money(purchase) {
        println!("{error}\n  -> {}", advice(&error));
    }
    drop(server.join());
    Ok(())
}

fn advice(error: &Error) -> &'static str {
    match error.execution() {
        Execution::NotExecuted => "nothing was bought, it may be sent again",
        Execution::Unknown => "look it up before you send it again",
        Execution::Executed => "it was bought, only the receipt is lost",
    }
}
