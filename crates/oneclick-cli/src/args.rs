//! The command line: its commands and options, and their help.
#![allow(clippy::doc_markdown, reason = "the comments are what `--help` prints")]
#![allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::NaiveDate;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use oneclick_emulator::{FaultRule, HostName};
use oneclick_outbox::Status;
use oneclick_ureq::{
    Category, Cents, Cursor, Customer, DateRange, Email, Fragments, ImpactId, ImpactKind, Limit,
    Locale, Pounds, ProjectType, Reason, SortOrder, Trees,
};

use crate::failure::Failure;
use crate::outbox::{Place, serve};
use crate::output::CsvForm;
use crate::shell;
use crate::values;

/// Buy and look up environmental impact through the 1ClickImpact API
///
/// The API key is read from the environment variable ONECLICK_API_KEY, from a
/// file or from standard input. Its prefix chooses the environment: test_ means
/// the sandbox, where no money moves, and live_ means production. With --local
/// no key is needed: a local emulator takes the place of the API.
#[derive(Debug, Parser)]
#[command(name = "oneclick", version, propagate_version = true)]
#[command(after_long_help = ENVIRONMENT_AND_EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const ENVIRONMENT_AND_EXIT_CODES: &str = "\
Environment variables:
  ONECLICK_API_KEY   the API key
  ONECLICK_BASE_URL  the URL of the API; without it, the key's prefix chooses
  ONECLICK_INSECURE  1 allows http:// to any host; nothing is encrypted then
  ONECLICK_DATABASE  the database for `oneclick outbox` and `oneclick apply`, as
                     --database names it
  HTTPS_PROXY        the proxy, as curl reads it; also ALL_PROXY and NO_PROXY
  XDG_STATE_HOME     the folder that contains oneclick/, with the outboxes and
                     the files of the local emulator; without it,
                     ~/.local/state
  XDG_CONFIG_HOME    the folder that contains oneclick/, with what
                     `oneclick probe --save` found; without it, ~/.config

Exit codes:
  0    success; for a purchase: it was made, by this run or an earlier one
  1    a problem of this machine, or one that `oneclick doctor` found
  2    an invalid option, value or setting, or an intent that belongs to
       another purchase; this run bought nothing
  3    the API refused the request; nothing was bought
  4    it is not known whether the purchase was made, or it was made more than
       once, or something that `oneclick probe` bought may not be cancelled; the
       message says what to do
  5    the API could not be reached or its response cannot be used, and nothing
       was bought; or the purchase was looked for long enough and not found; or
       `oneclick probe` could buy nothing, save nothing, or find nothing saved
  6    the purchase was made and has been cancelled since
  130  interrupted; the message says what it left unfinished
  141  the reader of standard output closed it, as `head` does; a purchase was
       made nevertheless, and its id is on standard error

With 3 and 5, no earlier run on this machine made the purchase either. As long
as one may have made it, a failed call is 4 instead.

For `oneclick apply`, 0 means that all lines were bought, 3 that the API refused
some of them, and 4 that some are not known yet. It has bought the others, unless
the message says that nothing was bought.";

const CONNECTION: &str = "Connection options";

/// The commands that do not call the API.
const OFFLINE: [&str; 3] = ["emulator", "completions", "man"];

/// The command line as clap parses it. The help of commands that do not call the API
/// leaves the connection options out.
pub(crate) fn command() -> clap::Command {
    let cli = Cli::command();
    let connection = cli.get_arguments().filter(|arg| arg.get_help_heading() == Some(CONNECTION));
    let hidden: Vec<_> = connection.map(|arg| arg.clone().hide(true)).collect();
    OFFLINE.iter().fold(cli, |cli, name| cli.mut_subcommand(name, |command| command.args(&hidden)))
}

/// The options of every command.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Use a local emulator; no key is needed
    ///
    /// Its state is a file, so a command sees what earlier ones bought.
    #[arg(long, global = true, help_heading = CONNECTION)]
    #[arg(conflicts_with_all = ["sandbox", "production", "base_url"])]
    pub(crate) local: bool,

    /// The file in which the local emulator keeps its state
    ///
    /// By default, oneclick/local.jsonl in XDG_STATE_HOME or in ~/.local/state.
    #[arg(long, global = true, help_heading = CONNECTION, value_name = "FILE")]
    #[arg(requires = "local")]
    pub(crate) state: Option<PathBuf>,

    /// Accept only keys for the sandbox (test_).
    #[arg(long, global = true, help_heading = CONNECTION, conflicts_with = "production")]
    pub(crate) sandbox: bool,

    /// Accept only keys for production (live_).
    #[arg(long, global = true, help_heading = CONNECTION)]
    pub(crate) production: bool,

    /// Read the key from a file, or from standard input with -
    ///
    /// The key is a line of its own, or follows ONECLICK_API_KEY= on a line.
    #[arg(long, global = true, help_heading = CONNECTION, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// The URL of the API
    ///
    /// By default, ONECLICK_BASE_URL or the URL that belongs to the key's prefix.
    /// http:// is allowed for this machine only, or for any host if
    /// ONECLICK_INSECURE=1 is set.
    #[arg(long, global = true, help_heading = CONNECTION, value_name = "URL")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) base_url: Option<String>,

    /// Print only warnings and errors on standard error.
    #[arg(long, short, global = true, display_order = LAST)]
    pub(crate) quiet: bool,

    /// Show the causes of an error.
    #[arg(long, short, global = true, display_order = LAST)]
    pub(crate) verbose: bool,
}

/// Places an option after those of its command, and before --help.
const LAST: usize = 900;

impl Global {
    /// The connection options that were given, as they can be typed.
    pub(crate) fn connection_words(&self) -> String {
        let flags = [
            ("--local", self.local),
            ("--sandbox", self.sandbox),
            ("--production", self.production),
        ];
        let flags = flags.into_iter().filter(|(_, given)| *given);
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let values = [
            ("--state", path(&self.state)),
            ("--key-file", path(&self.key_file)),
            ("--base-url", self.base_url.clone()),
        ];
        let values = values.into_iter().filter_map(|(option, value)| Some((option, value?)));
        let values = values.map(|(option, value)| format!(" {option} {}", shell::word(&value)));
        flags.map(|(option, _)| format!(" {option}")).chain(values).collect()
    }

    /// The first connection option that was given.
    pub(crate) fn connection_option(&self) -> Option<&'static str> {
        let given = [
            ("--local", self.local),
            ("--sandbox", self.sandbox),
            ("--production", self.production),
            ("--key-file", self.key_file.is_some()),
            ("--base-url", self.base_url.is_some()),
        ];
        given.into_iter().find_map(|(option, given)| given.then_some(option))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plant trees.
    #[command(after_help = example("oneclick --local plant 5 --for ada@example.com --name Ada"))]
    Plant {
        /// The number of trees, 1 to 10,000,000.
        #[arg(value_parser = values::trees, allow_negative_numbers = true)]
        trees: Trees,
        /// Plant trees that bear food.
        #[arg(long)]
        food: bool,
        #[command(flatten)]
        purchase: PurchaseArgs,
    },

    /// Remove plastic from the ocean.
    #[command(after_help = example("oneclick --local clean 10"))]
    Clean {
        /// Pounds of plastic, 1 to 10,000,000.
        #[arg(value_parser = values::pounds, allow_negative_numbers = true)]
        pounds: Pounds,
        #[command(flatten)]
        purchase: PurchaseArgs,
    },

    /// Capture carbon.
    #[command(after_help = example("oneclick --local capture 25 --intent order-123"))]
    Capture {
        /// Pounds of CO2, 1 to 10,000,000.
        #[arg(value_parser = values::pounds, allow_negative_numbers = true)]
        pounds: Pounds,
        #[command(flatten)]
        purchase: PurchaseArgs,
    },

    /// Donate money.
    #[command(after_help = example("oneclick --local donate 5.25 --cause climate"))]
    Donate {
        /// US dollars, with two decimals or none, 0.01 to 10,000,000.00.
        #[arg(value_parser = values::dollars, allow_negative_numbers = true)]
        dollars: Cents,
        /// The cause, such as veterans, animals or climate.
        #[arg(long, value_parser = values::cause, allow_hyphen_values = true)]
        cause: Option<Category>,
        #[command(flatten)]
        purchase: PurchaseArgs,
    },

    /// Restore coral reefs.
    #[command(after_help = example("oneclick --local restore 3"))]
    Restore {
        /// The number of coral fragments, 1 to 10,000,000.
        #[arg(value_parser = values::fragments, allow_negative_numbers = true)]
        fragments: Fragments,
        #[command(flatten)]
        purchase: PurchaseArgs,
    },

    /// Buy what a CSV file says, a purchase for each line
    ///
    /// The first line of the file names the columns: key, action and amount, and
    /// optionally email, name, category, date and metadata.NAME. The key names the
    /// purchase of its line, as --intent does: however often the command is run, it
    /// buys each key once. So it can be interrupted and run again, also with more
    /// lines. If a line is wrong, or differs from an earlier run, nothing is bought.
    #[command(after_help = example("oneclick --local apply orders.csv --dry-run"))]
    Apply(ApplyArgs),

    /// Cancel an impact; repeating this is safe.
    #[command(after_help = example(
        "oneclick cancel U1234-2025-03-12T15:22:14.753Z --reason refunded"
    ))]
    Cancel {
        /// The id of the impact, which its purchase printed.
        #[arg(value_parser = values::impact_id)]
        id: ImpactId,
        /// The reason, at most 200 characters.
        #[arg(long, value_parser = values::reason, allow_hyphen_values = true)]
        reason: Option<Reason>,
        /// Do not ask for confirmation in production.
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        json: Json,
    },

    /// Show the history of an impact and its next step.
    #[command(after_help = example("oneclick track U1234-2025-03-12T15:22:14.753Z"))]
    Track {
        /// The id of the impact, which its purchase printed.
        #[arg(value_parser = values::impact_id)]
        id: ImpactId,
        #[command(flatten)]
        json: Json,
    },

    /// Show the totals: your own, your customers' and both together.
    #[command(after_help = example("oneclick impact"))]
    Impact(Json),

    /// Show the impact of each day as a bar chart.
    #[command(after_help = example(
        "oneclick daily --from 2025-01-01 --to 2025-01-31 --chart january.svg"
    ))]
    Daily {
        #[command(flatten)]
        dates: Dates,
        /// The kind of impact; by default, the kind bought on the most days.
        #[arg(long, value_parser = values::one_of(ImpactKind::KNOWN, ImpactKind::as_str))]
        kind: Option<ImpactKind>,
        /// Also write the chart to an SVG file.
        #[arg(long, value_name = "FILE.svg", value_parser = values::svg_file())]
        chart: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
    },

    /// List your own purchases: those without a customer.
    #[command(after_help = example(
        "oneclick records --kind tree_planted --from 2025-01-01 --all --csv"
    ))]
    Records {
        #[command(flatten)]
        selected: Selected,
        #[command(flatten)]
        list: Listing,
    },

    /// List the purchases for customers.
    #[command(after_help = example("oneclick customer-records --email ada@example.com"))]
    CustomerRecords {
        /// Only purchases for the customer with this e-mail address.
        #[arg(long, allow_hyphen_values = true)]
        email: Option<Email>,
        #[command(flatten)]
        selected: Selected,
        #[command(flatten)]
        list: Listing,
    },

    /// List the customers.
    #[command(after_help = example("oneclick customers --all --jsonl"))]
    Customers {
        /// Only the customer with this e-mail address.
        #[arg(long, allow_hyphen_values = true)]
        email: Option<Email>,
        #[command(flatten)]
        list: Listing,
    },

    /// List the projects that receive the impact, or show one.
    #[command(after_help = example("oneclick projects --type ocean --language de"))]
    Projects {
        /// Show only the project with this id.
        #[arg(value_parser = values::project_id)]
        id: Option<String>,
        /// Only projects of this type.
        #[arg(long = "type", value_name = "TYPE", conflicts_with = "id")]
        #[arg(value_parser = values::one_of(ProjectType::KNOWN, ProjectType::as_str))]
        project_type: Option<ProjectType>,
        /// The language of names and descriptions; by default, English.
        #[arg(long, value_parser = values::one_of(Locale::KNOWN, Locale::as_str))]
        language: Option<Locale>,
        #[command(flatten)]
        format: FormatArgs,
    },

    /// Manage stored purchases, and carry them out
    ///
    /// An outbox is a database with intents: purchases that are to be made
    /// once. The key of an intent is its name, as given to --intent or stored by a shop.
    /// Without --database, the outbox is the one in which purchases of this account
    /// are remembered, in oneclick/intents in XDG_STATE_HOME or in ~/.local/state.
    #[command(after_help = example("oneclick outbox show order-123"))]
    Outbox {
        #[command(subcommand)]
        command: OutboxCommand,
        #[command(flatten)]
        database: Database,
    },

    /// Show the account of the key.
    #[command(after_help = example("oneclick whoami"))]
    Whoami(Json),

    /// Check the key, the connection and the clock.
    #[command(after_help = example("oneclick doctor"))]
    Doctor,

    /// Ask the API what its documentation leaves open, with a few small purchases
    ///
    /// It buys 20 of the smallest impacts with a key of the sandbox, reads, tracks and
    /// cancels them, and says what this API does where its documentation is silent,
    /// such as whether records show metadata. It makes fewer than 100 requests, or
    /// up to 20 more if cancellations must be repeated, sends no e-mails, and refuses
    /// keys that begin with live_.
    #[command(after_help = example("oneclick probe --save"))]
    Probe(ProbeArgs),

    /// Run the emulator as a server on this machine
    ///
    /// Clients in any language can call it, with any key that begins with test_. It
    /// prints its URL, then a line for each request, until it is interrupted. It
    /// starts empty and keeps its state in memory, so it does not take --local: the
    /// file of --local is neither read nor changed.
    #[command(after_help = example(
        "oneclick emulator --seed 7 \\\n    \
         --fault '{\"fault\":\"apply_then_drop\",\"path\":\"/v1/plant_tree\"}'"
    ))]
    Emulator {
        /// The address and port to listen on; port 0 picks a free one.
        #[arg(long, default_value = "127.0.0.1:8787", value_name = "ADDRESS:PORT")]
        #[arg(value_parser = values::socket_address)]
        listen: SocketAddr,
        /// Another host name to answer to, such as that of a container; may be given
        /// several times
        ///
        /// In the Host header, the emulator accepts only names of this machine
        /// (localhost, 127.0.0.1) and those given here.
        #[arg(long, value_name = "NAME")]
        allow_host: Vec<HostName>,
        /// The seed for ids and random choices, 0 to 18446744073709551615.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        #[arg(value_parser = values::seed, allow_negative_numbers = true)]
        seed: u64,
        /// A fault to inject: a rule as JSON, or the name of a fault; may be given several times
        ///
        /// A name alone hits every request. The running emulator lists the faults at
        /// /_emulator/.
        #[arg(long, value_name = "RULE")]
        fault: Vec<FaultRule>,
        /// Ignore unknown fields of a POST instead of refusing it.
        #[arg(long)]
        lenient: bool,
    },

    /// Print a completion script for a shell.
    #[command(after_help = example(
        "oneclick completions bash \\\n    \
         > ~/.local/share/bash-completion/completions/oneclick"
    ))]
    Completions {
        /// The shell.
        shell: Shell,
    },

    /// Print the manual page.
    #[command(after_help = example("oneclick man > oneclick.1"))]
    Man,
}

/// What can be done with an outbox.
#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// List the intents, in order of their numbers.
    #[command(after_help = example("oneclick outbox list --status unresolved"))]
    List {
        /// Only intents with this status.
        #[arg(long, value_parser = values::status())]
        status: Option<Status>,
        /// How many rows to print, 1 to 1,000.
        #[arg(long, value_name = "ROWS", value_parser = values::limit)]
        #[arg(allow_negative_numbers = true, default_value = "100", conflicts_with = "all")]
        limit: Limit,
        /// Print every row.
        #[arg(long)]
        all: bool,
        /// Continue after the intent with this number.
        #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
        after: i64,
        #[command(flatten)]
        format: FormatArgs,
    },

    /// Show an intent, what happened to it, and which commands decide it.
    #[command(after_help = example("oneclick outbox show order-123"))]
    Show {
        #[command(flatten)]
        intent: Named,
        #[command(flatten)]
        json: Json,
    },

    /// Decide which impact is the purchase of an unresolved intent.
    #[command(after_help = example(
        "oneclick outbox resolve order-123 \\\n    --bought-as U1234-2025-03-12T15:22:14.753Z"
    ))]
    Resolve {
        #[command(flatten)]
        intent: Named,
        /// The id of the impact, as `oneclick outbox show` and the records have it.
        #[arg(long, value_name = "ID", value_parser = values::impact_id)]
        bought_as: ImpactId,
        #[command(flatten)]
        json: Json,
    },

    /// Let a worker try an unresolved or refused intent again
    ///
    /// Make sure first that nothing was bought for it. If impacts were found that may
    /// be the purchase, this says that none of them is.
    #[command(after_help = example("oneclick outbox retry order-123"))]
    Retry {
        #[command(flatten)]
        intent: Named,
        #[command(flatten)]
        json: Json,
    },

    /// Drop an intent that is ready or unresolved
    ///
    /// Nothing is sent for it any more. What was bought for it stays bought.
    #[command(after_help = example("oneclick outbox drop order-123"))]
    Drop {
        #[command(flatten)]
        intent: Named,
        #[command(flatten)]
        json: Json,
    },

    /// Keep all workers from sending purchases
    ///
    /// A purchase that is under way goes on.
    #[command(after_help = example("oneclick outbox pause --reason 'the shop is being moved'"))]
    Pause {
        /// Why, for other people.
        #[arg(long, value_parser = values::text, allow_hyphen_values = true)]
        #[arg(default_value = "a person paused it")]
        reason: String,
        #[command(flatten)]
        json: Json,
    },

    /// Let workers go on, after a pause or after an API key was refused.
    #[command(after_help = example("oneclick outbox resume"))]
    Resume(Json),

    /// Show how many intents have each status, and whether workers are paused.
    #[command(after_help = example("oneclick outbox counts --json"))]
    Counts(Json),

    /// Cancel an intent, after a refund for instance
    ///
    /// If nothing was sent for it, it is dropped. If it was bought, the next worker
    /// cancels the impact. If that is not known yet, a worker finds out first.
    /// Repeating this is safe.
    #[command(after_help = example("oneclick outbox cancel order-123"))]
    Cancel {
        #[command(flatten)]
        intent: Named,
        #[command(flatten)]
        json: Json,
    },

    /// Show what was bought more than once, and the commands that cancel it
    ///
    /// A worker audits each intent that was sent twice or taken over from another
    /// worker: an hour and a day after its outcome, it checks whether more than one
    /// impact is not cancelled.
    #[command(after_help = example("oneclick outbox audit"))]
    Audit(Json),

    /// Print the SQL that creates an outbox in PostgreSQL, or run it
    ///
    /// Each numbered migration stores its number in the database, in the schema
    /// `oneclick`. Run them with your own migration tool, or with --run.
    #[command(after_help = example(
        "oneclick outbox migrations > outbox.sql\n  psql --single-transaction -v ON_ERROR_STOP=1 -f outbox.sql -U owner shop\n  oneclick outbox migrations --run \\\n    --database postgres://owner@localhost/shop"
    ))]
    Migrations {
        /// Only those above this number.
        #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
        #[arg(conflicts_with = "run")]
        after: usize,
        /// Run those that the database lacks. Several processes may do so at once.
        #[arg(long)]
        run: bool,
    },

    /// Serve the API's own paths on this machine, with an idempotency key for each purchase
    ///
    /// A shop in any language sends its purchases here instead of to the API, with a
    /// header such as `Idempotency-Key: "order-123"`. A purchase is stored before
    /// it is sent to the API, and is bought once, even if the shop or this command is
    /// killed. The response is the receipt, also when the shop repeats the request.
    /// Reads and cancellations are passed on. The shop needs no API key, but this
    /// command does. It prints its URL, then runs until it is interrupted.
    #[command(after_help = serve::EXAMPLE)]
    Serve(serve::Args),

    /// Carry out the intents, until interrupted
    ///
    /// It says on standard error which intents are done, and which ones a person has
    /// to look at. An interruption lets it finish what is under way; a second one ends
    /// it at once, and the next worker finds out what became of that. Several workers
    /// may run on one database.
    #[command(after_help = example("oneclick outbox work --once --yes"))]
    Work(WorkArgs),
}

/// The outbox that a command uses.
#[derive(Args, Debug)]
pub(crate) struct Database {
    /// The database with the outbox, which may be that of a shop
    ///
    /// An SQLite file, or postgres://USER@HOST/DATABASE. Set the variable if the URL has a
    /// password: other programs see the command line. With a database, only `work` and
    /// `serve` need an API key and the API.
    #[arg(long, global = true, value_name = "FILE|URL", value_parser = values::place())]
    #[arg(env = "ONECLICK_DATABASE", hide_env_values = true)]
    pub(crate) database: Option<Place>,
}

/// Names an intent.
#[derive(Args, Debug)]
pub(crate) struct Named {
    /// The key of the intent, such as an order number.
    #[arg(required_unless_present = "number", conflicts_with = "number")]
    pub(crate) key: Option<String>,
    /// The namespace of the key, if intents of several namespaces have it.
    #[arg(long, value_name = "NAME", conflicts_with = "number", allow_hyphen_values = true)]
    pub(crate) namespace: Option<String>,
    /// The number of the intent in the outbox, in place of its key.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) number: Option<i64>,
}

#[derive(Args, Debug)]
pub(crate) struct WorkArgs {
    /// Carry out what is due, and exit: for cron
    ///
    /// If the database was restored from a backup, an intent that was stored before
    /// this run began may have been sent already. So this run only looks for it, and a
    /// run after the time of --settle sends it. A worker that keeps running sends at
    /// once what is stored meanwhile.
    #[arg(long)]
    pub(crate) once: bool,
    /// Do not ask for confirmation in production.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Print each intent that is done as a JSON object on a line.
    #[arg(long)]
    pub(crate) jsonl: bool,
    /// After how long a purchase without a record counts as not made
    ///
    /// As for a purchase: at least 60, unless the API is on this machine. By default
    /// 900, or what `oneclick probe --save` found.
    #[arg(long, value_name = "SECONDS")]
    #[arg(value_parser = values::seconds, allow_negative_numbers = true)]
    pub(crate) settle: Option<u32>,
}

const ONCE: &str = "Options for buying exactly once";

/// The options of every purchase.
#[derive(Args, Debug)]
pub(crate) struct PurchaseArgs {
    /// The e-mail address of the customer to buy for.
    #[arg(long = "for", value_name = "EMAIL", allow_hyphen_values = true)]
    pub(crate) customer: Option<Email>,
    /// The customer's name.
    #[arg(long, requires = "customer", value_parser = values::text, allow_hyphen_values = true)]
    pub(crate) name: Option<String>,
    /// Send the customer no e-mail.
    #[arg(long, requires = "customer")]
    pub(crate) silent: bool,
    /// Metadata to store with the purchase, such as order=A-1001; may be given several times
    ///
    /// At most 19 times. A key has at most 40 characters, and a value at most 500.
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::pair)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) metadata: Vec<(String, String)>,
    /// Do not ask for confirmation in production.
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) json: Json,

    /// A name for this purchase, such as an order number
    ///
    /// This machine remembers it: however often the command is run, it buys an intent
    /// once from the same API and account. The name must have no invisible characters,
    /// and no space at either end.
    #[arg(long, value_name = "NAME", value_parser = values::intent, help_heading = ONCE)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) intent: Option<String>,
    /// Find out whether the intent was bought, and buy nothing
    ///
    /// Exits with 0 if it was bought, with 6 if it was bought and cancelled since,
    /// with 5 if it was not bought, and with 4 if that is not known.
    #[arg(long, requires = "intent", help_heading = ONCE)]
    #[arg(conflicts_with_all = ["look_first", "buy_anyway"])]
    pub(crate) look_only: bool,
    /// Look first, because another machine may have bought the intent
    ///
    /// If it is not found, this run buys it only if you add --buy-anyway.
    #[arg(long, requires = "intent", help_heading = ONCE)]
    pub(crate) look_first: bool,
    /// If the intent is not found, buy it although it may have been sent
    ///
    /// Make sure first that no other machine is working on it. If an earlier run
    /// listed impacts that may be the purchase, this says that none of them is.
    #[arg(long, requires = "intent", help_heading = ONCE)]
    pub(crate) buy_anyway: bool,
    /// How long to look for a purchase whose response was lost
    ///
    /// If it is not found by then, run the same command later. If the API's responses
    /// have no Date header, only a run that waits longer than --settle can find out.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = ONCE)]
    #[arg(value_parser = values::seconds, allow_negative_numbers = true)]
    pub(crate) wait: u32,
    /// After how long a purchase without a record counts as not made
    ///
    /// From then on it may be sent again. This must be longer than a request can be
    /// under way plus the time until its record shows. At least 60, unless the API is
    /// on this machine. By default 900, or what `oneclick probe --save` found.
    #[arg(long, value_name = "SECONDS", help_heading = ONCE)]
    #[arg(value_parser = values::seconds, allow_negative_numbers = true)]
    pub(crate) settle: Option<u32>,
}

impl PurchaseArgs {
    /// Whether another machine may have bought it.
    pub(crate) fn looks_first(&self) -> bool {
        self.look_only || self.look_first
    }

    /// Whether nothing is sent, even if nothing is found.
    pub(crate) fn never_buys(&self) -> bool {
        self.looks_first() && !self.buy_anyway
    }

    /// The `customer` and `notify` fields of the purchase.
    pub(crate) fn customer(&self) -> (Option<Customer>, Option<bool>) {
        let customer = self.customer.clone().map(|email| {
            let customer = Customer::from(email);
            match &self.name {
                Some(name) => customer.name(name),
                None => customer,
            }
        });
        (customer, self.silent.then_some(false))
    }
}

const CEILINGS: &str = "Ceilings: if this run would buy more, it buys nothing";

/// The options of `apply`.
#[derive(Args, Debug)]
pub(crate) struct ApplyArgs {
    /// The CSV file.
    #[arg(value_name = "FILE.csv")]
    pub(crate) file: PathBuf,
    /// Show what would be bought and which lines are wrong, and buy nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Store the lines in the outbox, and send nothing
    ///
    /// A worker buys them, or the same command without this. While the outbox is paused,
    /// nobody does.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) store_only: bool,
    /// Send the customers no e-mails.
    #[arg(long)]
    pub(crate) silent: bool,
    /// Where to write what became of each line, with the ids
    ///
    /// By default beside FILE.csv, as FILE.results.csv. An earlier result file is
    /// replaced, and no other file.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub(crate) results: Option<PathBuf>,
    /// How many purchases are made at a time, 1 to 32.
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    #[arg(value_parser = values::parallel, allow_negative_numbers = true)]
    pub(crate) parallel: usize,
    /// Do not ask for confirmation in production.
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) json: Json,
    #[command(flatten)]
    pub(crate) ceilings: Ceilings,

    /// The database with the outbox to use, which may be that of a shop
    ///
    /// An SQLite file, or postgres://USER@HOST/DATABASE. By default, the outbox in which
    /// purchases of this account are remembered.
    #[arg(long, value_name = "FILE|URL", value_parser = values::place(), help_heading = ONCE)]
    #[arg(env = "ONECLICK_DATABASE", hide_env_values = true)]
    pub(crate) database: Option<Place>,
    /// The namespace of the keys, such as the name of a shop
    ///
    /// By default the id of the account, so that a key is the same intent as for
    /// `oneclick plant --intent`.
    #[arg(long, value_name = "NAME", help_heading = ONCE)]
    #[arg(value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    pub(crate) namespace: Option<String>,
    /// How long to look for purchases whose responses were lost, once all are sent
    ///
    /// What is not found by then is listed, with the time from which on the same
    /// command finds out.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = ONCE)]
    #[arg(value_parser = values::seconds, allow_negative_numbers = true)]
    pub(crate) wait: u32,
    /// After how long a purchase without a record counts as not made
    ///
    /// As for a purchase: at least 60, unless the API is on this machine. By default
    /// 900, or what `oneclick probe --save` found.
    #[arg(long, value_name = "SECONDS", help_heading = ONCE)]
    #[arg(value_parser = values::seconds, allow_negative_numbers = true)]
    pub(crate) settle: Option<u32>,
}

/// How much a run may buy.
#[derive(Args, Debug)]
pub(crate) struct Ceilings {
    /// How many trees this run may plant.
    #[arg(long = "max-trees", value_name = "TREES", help_heading = CEILINGS)]
    #[arg(value_parser = values::ceiling, allow_negative_numbers = true)]
    pub(crate) trees: Option<u64>,
    /// How many pounds of plastic this run may remove.
    #[arg(long = "max-plastic", value_name = "POUNDS", help_heading = CEILINGS)]
    #[arg(value_parser = values::ceiling, allow_negative_numbers = true)]
    pub(crate) plastic: Option<u64>,
    /// How many pounds of CO2 this run may capture.
    #[arg(long = "max-carbon", value_name = "POUNDS", help_heading = CEILINGS)]
    #[arg(value_parser = values::ceiling, allow_negative_numbers = true)]
    pub(crate) carbon: Option<u64>,
    /// How many US dollars this run may donate.
    #[arg(long = "max-dollars", value_name = "DOLLARS", help_heading = CEILINGS)]
    #[arg(value_parser = values::dollar_ceiling, allow_negative_numbers = true)]
    pub(crate) cents: Option<u64>,
    /// How many coral fragments this run may restore.
    #[arg(long = "max-coral", value_name = "FRAGMENTS", help_heading = CEILINGS)]
    #[arg(value_parser = values::ceiling, allow_negative_numbers = true)]
    pub(crate) coral: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct ProbeArgs {
    /// Keep the result for this API and account: later purchases use it.
    #[arg(long)]
    pub(crate) save: bool,
    /// Buy nothing, and print the result that was kept for this API and account.
    #[arg(long, conflicts_with_all = ["save", "yes"])]
    pub(crate) saved: bool,
    /// Buy nothing, and remove the result that was kept for this API and account.
    #[arg(long, conflicts_with_all = ["save", "saved", "yes", "json"])]
    pub(crate) forget: bool,
    /// Do not ask for confirmation if the key does not begin with test_.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Print the result as JSON, without keys, addresses and ids.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Json {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Dates {
    /// The first day, included: a day, or the first one of a month or a year
    ///
    /// Such as 2025-01-31, 2025-01, 2025, today, yesterday, 'last month' or 'this year'.
    /// Days are those of UTC.
    #[arg(long, value_name = "DATE", value_parser = values::first_day)]
    pub(crate) from: Option<NaiveDate>,
    /// The last day, included: a day, or the last one of a month or a year.
    #[arg(long, value_name = "DATE", value_parser = values::last_day)]
    pub(crate) to: Option<NaiveDate>,
}

impl Dates {
    pub(crate) fn range(&self) -> Result<DateRange, Failure> {
        match (self.from, self.to) {
            (Some(from), Some(to)) if to < from => {
                Err(Failure::Usage(format!("--to {to} is earlier than --from {from}")))
            }
            (from, to) => Ok(DateRange::new(from, to)?),
        }
    }
}

/// Which records are listed.
#[derive(Args, Debug)]
pub(crate) struct Selected {
    /// Only this kind of impact; may be given several times.
    #[arg(long, value_parser = values::one_of(ImpactKind::KNOWN, ImpactKind::as_str))]
    pub(crate) kind: Vec<ImpactKind>,
    #[command(flatten)]
    pub(crate) dates: Dates,
    #[command(flatten)]
    pub(crate) csv: CsvArgs,
}

/// The options of CSV.
#[derive(Args, Clone, Debug)]
pub(crate) struct CsvArgs {
    /// Give this key of the metadata a column in CSV; may be given several times.
    #[arg(long, value_name = "KEY", requires = "csv", allow_hyphen_values = true)]
    #[arg(value_parser = values::text)]
    metadata: Vec<String>,
    /// Leave cells that a spreadsheet would run as a formula as they are
    ///
    /// Without this, such a cell begins with an apostrophe.
    #[arg(long, requires = "csv")]
    raw: bool,
}

impl From<CsvArgs> for CsvForm {
    fn from(CsvArgs { metadata, raw }: CsvArgs) -> Self {
        Self { metadata, raw }
    }
}

/// The options of every list.
#[derive(Args, Debug)]
pub(crate) struct Listing {
    /// How many rows to print, or with --all to request at a time, 1 to 1,000
    ///
    /// By default 10, or 1,000 with --all.
    #[arg(long, value_name = "ROWS", value_parser = values::limit, allow_negative_numbers = true)]
    pub(crate) limit: Option<Limit>,
    /// Which rows come first, by the time of purchase; of customers, by the time of the first one.
    #[arg(long, value_enum, default_value_t = Order::Newest)]
    pub(crate) order: Order,
    /// Print every row, not only the first page.
    #[arg(long)]
    pub(crate) all: bool,
    /// Continue where an earlier run stopped, with the same options as that run.
    #[arg(long, value_parser = values::cursor, allow_hyphen_values = true)]
    pub(crate) cursor: Option<Cursor>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Order {
    Newest,
    Oldest,
}

impl From<Order> for SortOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Newest => Self::Desc,
            Order::Oldest => Self::Asc,
        }
    }
}

#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
pub(crate) struct FormatArgs {
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    jsonl: bool,
    /// Print CSV with a header line
    ///
    /// A file or a pipe gets the data unchanged; at a terminal, control characters
    /// are replaced.
    #[arg(long)]
    csv: bool,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Json,
    JsonLines,
    Csv,
}

impl From<FormatArgs> for Format {
    fn from(format: FormatArgs) -> Self {
        match format {
            FormatArgs { json: true, .. } => Self::Json,
            FormatArgs { jsonl: true, .. } => Self::JsonLines,
            FormatArgs { csv: true, .. } => Self::Csv,
            _ => Self::Table,
        }
    }
}

fn example(command: &str) -> String {
    format!("Example:\n  {command}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }
}
