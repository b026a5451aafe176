//! `oneclick`: the 1ClickImpact API at the command line.

mod args;
mod buy;
mod chart;
mod daily;
mod doctor;
mod emulator;
mod failure;
mod intents;
mod interrupt;
mod list;
mod local;
mod look;
mod output;
mod session;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use oneclick_emulator::{Server, ServerBuilder};
use oneclick_ureq::{
    CaptureCarbon, CleanOcean, DonateMoney, PlantTree, RestoreCoral, TreeCategory,
};

use args::{Cli, Command, Global};
use failure::{Failure, moves, one_line, say};
use session::Session;

fn main() -> ExitCode {
    let Cli { global, command } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return print_usage(&usage),
    };
    let done = interrupt::watch()
        .map_err(|error| Failure::machine("signals", error))
        .and_then(|()| run(&global, command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(global.verbose);
            failure.code()
        }
    }
}

/// Prints the help, the version, or what is wrong with the command line. clap itself
/// would call it a success whether anything was printed or not.
fn print_usage(usage: &clap::Error) -> ExitCode {
    if usage.use_stderr() {
        // It quotes what was typed, which a script may have from strangers.
        let mut arguments = std::env::args_os();
        if arguments.any(|argument| argument.to_string_lossy().contains(moves)) {
            usage.render().to_string().lines().for_each(|line| say(&one_line(line)));
        } else {
            // Nobody is left to tell if this fails.
            let _ = usage.print();
        }
        return ExitCode::from(2);
    }
    let printed = usage.print().and_then(|()| io::stdout().flush());
    let Err(error) = printed else { return ExitCode::SUCCESS };
    let failure = Failure::from(error);
    failure.print(false);
    failure.code()
}

fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let open = || Session::open(global);
    match command {
        Command::Whoami(json) => look::whoami(&open()?, json),
        Command::Plant { trees, food, purchase } => {
            let mut plant = PlantTree::new(trees);
            plant.category = food.then_some(TreeCategory::Food);
            (plant.customer, plant.notify) = purchase.customer();
            buy::run(&open()?, plant.into(), &purchase)
        }
        Command::Clean { pounds, purchase } => {
            let mut clean = CleanOcean::new(pounds);
            (clean.customer, clean.notify) = purchase.customer();
            buy::run(&open()?, clean.into(), &purchase)
        }
        Command::Capture { pounds, purchase } => {
            let mut capture = CaptureCarbon::new(pounds);
            (capture.customer, capture.notify) = purchase.customer();
            buy::run(&open()?, capture.into(), &purchase)
        }
        Command::Donate { dollars, cause, purchase } => {
            let mut donate = DonateMoney::new(dollars);
            donate.category = cause;
            (donate.customer, donate.notify) = purchase.customer();
            buy::run(&open()?, donate.into(), &purchase)
        }
        Command::Restore { fragments, purchase } => {
            let mut restore = RestoreCoral::new(fragments);
            (restore.customer, restore.notify) = purchase.customer();
            buy::run(&open()?, restore.into(), &purchase)
        }
        Command::Cancel { id, reason, yes, json } => look::cancel(&open()?, id, reason, yes, json),
        Command::Track { id, json } => look::track(&open()?, id, json),
        Command::Impact(json) => look::impact(&open()?, json),
        Command::Daily { dates, kind, chart, json } => {
            daily::run(&open()?, &dates, kind, chart.as_deref(), json.json)
        }
        Command::Records { kinds, dates, list } => list::records(&open()?, kinds, &dates, &list),
        Command::CustomerRecords { email, kinds, dates, list } => {
            list::customer_records(&open()?, email, kinds, &dates, &list)
        }
        Command::Customers { email, list } => list::customers(&open()?, email, &list),
        Command::Projects { id, project_type, language, format } => {
            look::projects(&open()?, id, project_type, language, format)
        }
        Command::Emulator { listen, allow_host, seed, fault, lenient } => {
            let server = Server::builder().listen(listen).seed(seed).lenient(lenient);
            let server = allow_host.into_iter().fold(server, ServerBuilder::allow_host);
            emulator::run(server, listen, &fault, global.quiet)
        }
        Command::Doctor => doctor::run(global),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "oneclick", &mut script);
            output::print(&script)
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            output::print(&page)
        }
    }
}
