//! Makes a hundred purchases on an idle connection of ureq, and prints how many threads
//! they started. Run by the suite.

use std::error::Error;
use std::thread;

use oneclick_proto::Trees;

fn main() -> Result<(), Box<dyn Error>> {
    let client = oneclick_ureq::Client::from_env()?;
    client.plant_tree(Trees::of::<5>())?;
    let before = number_of_the_next()?;
    for _ in 0..100 {
        client.plant_tree(Trees::of::<5>())?;
    }
    println!("{} started", number_of_the_next()? - before - 1);
    Ok(())
}

/// Starts a thread and returns its number. Threads are numbered in order.
fn number_of_the_next() -> Result<u64, Box<dyn Error>> {
    let id = thread::spawn(|| format!("{:?}", thread::current().id()));
    let id = id.join().map_err(|_| "a thread panicked")?;
    Ok(id.trim_matches(|c: char| !c.is_ascii_digit()).parse()?)
}
