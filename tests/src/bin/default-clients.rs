//! One purchase through each adapter's one-line client, as the environment
//! describes it; run by the suite with a trust store of its own.

use std::fmt::Display;
use std::process::ExitCode;

use oneclick_proto::{Error, Trees};

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed("tokio", &error),
    };
    let trees = Trees::of::<5>();
    let outcomes = [
        ("reqwest", runtime.block_on(async { reqwest(trees).await })),
        (
            "ureq",
            oneclick_ureq::Client::from_env().and_then(|client| client.plant_tree(trees).map(drop)),
        ),
        ("hyper", runtime.block_on(async { hyper(trees).await })),
    ];
    let mut code = ExitCode::SUCCESS;
    for (adapter, outcome) in outcomes {
        if let Err(error) = outcome {
            code = failed(adapter, &format_args!("{error:#}"));
        }
    }
    code
}

async fn reqwest(trees: Trees) -> Result<(), Error> {
    oneclick_reqwest::Client::from_env()?.plant_tree(trees).await.map(drop)
}

async fn hyper(trees: Trees) -> Result<(), Error> {
    oneclick_hyper::Client::from_env()?.plant_tree(trees).await.map(drop)
}

fn failed(adapter: &str, error: &dyn Display) -> ExitCode {
    eprintln!("{adapter}: {error}");
    ExitCode::FAILURE
}
