//! The `oneclick` command.

mod apply;
mod args;
mod buy;
mod cancel;
mod chart;
mod columns;
mod daily;
mod doctor;
mod emulator;
mod failure;
mod intents;
mod interrupt;
mod list;
mod local;
mod outbox;
mod output;
mod probe;
mod session;
mod shell;
mod show;
mod values;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue};
use oneclick_emulator::{Server, ServerBuilder};
use oneclick_ureq::{
    CaptureCarbon, CleanOcean, DonateMoney, PlantTree, RestoreCoral, TreeCategory,
};

use args::{Cli, Command, Global};
use failure::Failure;
use output::{is_terminal_control, printable, stderr_line};
use session::Session;

fn main() -> ExitCode {
    let Cli { global, command } = match parse() {
        Ok(cli) => cli,
        Err(usage) => return print_usage(usage),
    };
    let result = interrupt::install_handler()
        .map_err(|error| Failure::machine("could not handle signals", error))
        .and_then(|()| run(&global, command));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(global.verbose);
            failure.code()
        }
    }
}

fn parse() -> Result<Cli, clap::Error> {
    let matches = args::command().try_get_matches()?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut args::command()))
}

/// Prints the help, the version, or what is wrong with the command line. Unlike clap, it
/// fails if the help or the version cannot be printed.
fn print_usage(mut usage: clap::Error) -> ExitCode {
    if usage.use_stderr() {
        suggest_json(&mut usage);
        // The message quotes the arguments, which a script may have from strangers.
        let mut arguments = std::env::args_os();
        if arguments.any(|argument| argument.to_string_lossy().contains(is_terminal_control)) {
            usage.render().to_string().lines().for_each(|line| stderr_line(&printable(line)));
        } else {
            // If it cannot be printed, there is no other place to report that.
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

/// Suggests `--json` for `--format json` and `--output json`. clap suggests the most similar
/// name, which for `--format` is `--for` or `--from`.
fn suggest_json(usage: &mut clap::Error) {
    let Some(ContextValue::String(argument)) = usage.get(ContextKind::InvalidArg) else { return };
    if !["--format", "--output", "-o"].contains(&argument.as_str()) {
        return;
    }
    usage.remove(ContextKind::SuggestedArg);
    usage.remove(ContextKind::Usage);
    let cli = args::command();
    let arguments = std::env::args_os().skip(1);
    // The innermost, such as `list` of `outbox`.
    let command = arguments
        .fold(&cli, |command, argument| command.find_subcommand(argument).unwrap_or(command));
    let takes_json = |command: &clap::Command| {
        command.get_arguments().any(|argument| argument.get_long() == Some("json"))
    };
    if takes_json(command) {
        usage.insert(ContextKind::SuggestedArg, ContextValue::String("--json".to_owned()));
    }
}

fn run(global: &Global, command: Command) -> Result<(), Failure> {
    check_connection_options(global, &command)?;
    let open = || Session::open(global);
    match command {
        Command::Whoami(json) => show::whoami(&open()?, json),
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
        Command::Apply(args) => apply::run(global, &args),
        Command::Cancel { id, reason, yes, json } => {
            cancel::run(&open()?, id, reason, yes, json.json)
        }
        Command::Track { id, json } => show::track(&open()?, id, json),
        Command::Impact(json) => show::impact(&open()?, json),
        Command::Daily { dates, kind, chart, json } => {
            daily::run(&open()?, &dates, kind, chart.as_deref(), json.json)
        }
        Command::Records { selected, list } => list::records(&open()?, selected, &list),
        Command::CustomerRecords { email, selected, list } => {
            list::customer_records(&open()?, email, selected, &list)
        }
        Command::Customers { email, list } => list::customers(&open()?, email, &list),
        Command::Projects { id, project_type, language, format } => {
            show::projects(&open()?, id, project_type, language, format)
        }
        Command::Emulator { listen, allow_host, seed, fault, lenient } => {
            let server = Server::builder().listen(listen).seed(seed).lenient(lenient);
            let server = allow_host.into_iter().fold(server, ServerBuilder::allow_host);
            let server = fault.into_iter().fold(server, ServerBuilder::fault);
            emulator::run(server, listen, global.quiet)
        }
        Command::Outbox { command, database } => outbox::run(global, command, database),
        Command::Doctor => doctor::run(global),
        Command::Probe(args) => probe::run(&open()?, &args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::command(), "oneclick", &mut script);
            output::raw(&script)
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(args::command()).render(&mut page)?;
            output::raw(&page)
        }
    }
}

/// Refuses connection options for a command that does not call the API. clap accepts them
/// for every command.
fn check_connection_options(global: &Global, command: &Command) -> Result<(), Failure> {
    let (name, reason) = match command {
        Command::Emulator { .. } => ("emulator", "starts empty and keeps its state in memory"),
        Command::Completions { .. } => ("completions", "does not call the API"),
        Command::Man => ("man", "does not call the API"),
        _ => return Ok(()),
    };
    let Some(option) = global.connection_option() else { return Ok(()) };
    let text = format!("`oneclick {name}` does not take {option}: it {reason}; leave {option} out");
    Err(Failure::Usage(text))
}
