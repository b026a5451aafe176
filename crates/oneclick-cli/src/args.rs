//! The command line: commands, options and how their values are parsed.
#![allow(clippy::doc_markdown, reason = "the comments are what `--help` prints")]
#![allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::NaiveDate;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use oneclick_emulator::HostName;
use oneclick_ureq::{
    Category, Cents, Cursor, Customer, DateRange, Email, Fragments, ImpactId, ImpactKind,
    InvalidValue, Limit, Pounds, Reason, SortOrder, Trees,
};

/// The 1ClickImpact API at the command line.
///
/// The key is read from the environment variable ONECLICK_API_KEY, from a file
/// or from standard input. Its prefix, test_ or live_, chooses the environment.
/// With --local no key is needed: an emulator on this machine answers.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done; of a purchase: it was bought, by this run or an earlier one
  1    something on this machine went wrong, or `doctor` found something
  2    the command line, a value in it or a setting is wrong, or the intent stands
       for another purchase; this run bought nothing
  3    the API refused it; nothing was bought
  4    it is not known whether it was bought, or it was bought more than once;
       what to do next was printed
  5    the API was not reached, its response cannot be used, or the purchase was
       looked for and does not exist; nothing was bought
  6    it was bought and has been cancelled since
  130  interrupted

With 3 and 5 no earlier run bought it either: while one may have, a failure is 4.";

/// Where the API is, and how much is printed.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Use a local emulator, which is kept in a file and needs no key.
    #[arg(long, global = true, conflicts_with_all = ["sandbox", "production", "base_url"])]
    pub(crate) local: bool,

    /// Keep the local emulator in this file instead of the default one.
    #[arg(long, global = true, value_name = "FILE", requires = "local")]
    pub(crate) state: Option<PathBuf>,

    /// Require the sandbox environment: a live_ key is refused.
    #[arg(long, global = true, conflicts_with = "production")]
    pub(crate) sandbox: bool,

    /// Require production: a test_ key is refused.
    #[arg(long, global = true)]
    pub(crate) production: bool,

    /// Read the key from this file, `-` for standard input, instead of from
    /// ONECLICK_API_KEY.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// The URL of the API, instead of that in ONECLICK_BASE_URL or the one that
    /// belongs to the key's prefix. With ONECLICK_INSECURE=1 in the environment,
    /// http:// is allowed for any host; otherwise for this machine alone.
    #[arg(long, global = true, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) base_url: Option<String>,

    /// Print nothing but errors on standard error.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Show the causes of an error.
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the account that the key belongs to.
    #[command(after_help = example("oneclick whoami"))]
    Whoami(Json),

    /// Plant trees.
    #[command(after_help = example("oneclick --local plant 5 --for ada@example.com --name Ada"))]
    Plant {
        /// Number of trees, 1 to 10,000,000.
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
        pounds: Pounds,
        #[command(flatten)]
        purchase: PurchaseArgs,
    },

    /// Capture carbon.
    #[command(after_help = example("oneclick --local capture 25 --intent order-123"))]
    Capture {
        /// Pounds of CO2, 1 to 10,000,000.
        pounds: Pounds,
        #[command(flatten)]
        purchase: PurchaseArgs,
    },

    /// Donate money.
    #[command(after_help = example("oneclick --local donate 5.00 --cause climate"))]
    Donate {
        /// US dollars, 0.01 to 10,000,000.00.
        #[arg(value_parser = dollars)]
        dollars: Cents,
        /// The cause, such as veterans, animals or climate.
        #[arg(long, value_name = "CAUSE", value_parser = category, allow_hyphen_values = true)]
        cause: Option<Category>,
        #[command(flatten)]
        purchase: PurchaseArgs,
    },

    /// Restore coral reefs.
    #[command(after_help = example("oneclick --local restore 3"))]
    Restore {
        /// Number of coral fragments, 1 to 10,000,000.
        fragments: Fragments,
        #[command(flatten)]
        purchase: PurchaseArgs,
    },

    /// Cancel an impact, by the id that its purchase printed. Repeating this is
    /// safe.
    #[command(after_help = example("oneclick cancel U1234-2025-03-12T15:22:14.753Z --reason refunded"))]
    Cancel {
        /// The id of the impact.
        id: ImpactId,
        /// The reason, of at most 200 characters.
        #[arg(long, value_parser = reason, allow_hyphen_values = true)]
        reason: Option<Reason>,
        /// Do not ask for confirmation, even in production.
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        json: Json,
    },

    /// Show the history of an impact, and its next step.
    #[command(after_help = example("oneclick track U1234-2025-03-12T15:22:14.753Z"))]
    Track {
        /// The id of the impact.
        id: ImpactId,
        #[command(flatten)]
        json: Json,
    },

    /// Show the totals: the account's own, its customers', and both.
    #[command(after_help = example("oneclick impact"))]
    Impact(Json),

    /// Show a bar for every day.
    #[command(after_help = example("oneclick daily --from 2025-01-01 --to 2025-01-31 --chart january.svg"))]
    Daily {
        #[command(flatten)]
        dates: Dates,
        /// The kind of impact. Default: the one with the most days.
        #[arg(long, value_parser = kind)]
        kind: Option<ImpactKind>,
        /// Also write the chart to an SVG file.
        #[arg(long, value_name = "FILE.svg")]
        chart: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
    },

    /// List the purchases without a customer.
    #[command(after_help = example("oneclick records --kind tree_planted --from 2025-01-01 --all --csv"))]
    Records {
        #[command(flatten)]
        kinds: Kinds,
        #[command(flatten)]
        dates: Dates,
        #[command(flatten)]
        list: Listing,
    },

    /// List the purchases for customers.
    #[command(after_help = example("oneclick customer-records --email ada@example.com"))]
    CustomerRecords {
        /// Only purchases for this customer.
        #[arg(long, allow_hyphen_values = true)]
        email: Option<Email>,
        #[command(flatten)]
        kinds: Kinds,
        #[command(flatten)]
        dates: Dates,
        #[command(flatten)]
        list: Listing,
    },

    /// List the customers.
    #[command(after_help = example("oneclick customers --all --jsonl"))]
    Customers {
        /// Only this customer.
        #[arg(long, allow_hyphen_values = true)]
        email: Option<Email>,
        #[command(flatten)]
        list: Listing,
    },

    /// List the projects that impacts go to, or show one.
    #[command(after_help = example("oneclick projects --language de"))]
    Projects {
        /// Show only this project.
        id: Option<String>,
        /// Only projects of this type: trees, ocean or carbon.
        #[arg(long = "type", value_name = "TYPE")]
        project_type: Option<String>,
        /// The language of the texts, such as en or de.
        #[arg(long)]
        language: Option<String>,
        #[command(flatten)]
        format: FormatArgs,
    },

    /// Run an emulator server on this machine until it is interrupted, for clients
    /// in any language.
    #[command(after_help = example(
        r#"oneclick emulator --seed 7 --fault '{"fault":"apply_then_drop","path":"/v1/plant_tree"}'"#
    ))]
    Emulator {
        /// Where to listen; port 0 picks a free one.
        #[arg(long, default_value = "127.0.0.1:8787")]
        listen: SocketAddr,
        /// Answer to this name in the Host header too, such as that of a container,
        /// beside loopback names; may be given several times.
        #[arg(long, value_name = "NAME")]
        allow_host: Vec<HostName>,
        /// The seed from which ids are derived.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// A rule for faults, in JSON; may be given several times.
        #[arg(long, value_name = "JSON")]
        fault: Vec<String>,
        /// Ignore unknown fields of a POST instead of refusing them.
        #[arg(long)]
        lenient: bool,
    },

    /// Check key, environment, connection and clock, and say what to fix.
    #[command(after_help = example("oneclick doctor"))]
    Doctor,

    /// Print a script that completes commands in a shell.
    #[command(after_help = example("oneclick completions bash > ~/.local/share/bash-completion/completions/oneclick"))]
    Completions {
        /// The shell.
        shell: Shell,
    },

    /// Print the manual page.
    #[command(after_help = example("oneclick man > oneclick.1"))]
    Man,
}

/// The customer, and how the purchase is made exactly once.
#[derive(Args, Debug)]
pub(crate) struct PurchaseArgs {
    /// The e-mail address of the customer for whom it is bought.
    #[arg(long = "for", value_name = "EMAIL", allow_hyphen_values = true)]
    pub(crate) customer: Option<Email>,
    /// The customer's name.
    #[arg(long, requires = "customer", value_parser = own_text, allow_hyphen_values = true)]
    pub(crate) name: Option<String>,
    /// Send the customer no e-mail.
    #[arg(long, requires = "customer")]
    pub(crate) silent: bool,
    /// Metadata to store with it; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, allow_hyphen_values = true)]
    pub(crate) metadata: Vec<(String, String)>,
    /// A name for this purchase, such as an order number. However often the
    /// command is run, one intent is bought once. This machine remembers it.
    #[arg(long, value_name = "KEY", value_parser = intent, allow_hyphen_values = true)]
    pub(crate) intent: Option<String>,
    /// Look for the intent without ever sending anything: exits with 0 if it was
    /// bought, 6 if it was cancelled, 5 if it was not bought, and 4 if that is
    /// not known.
    #[arg(long, requires = "intent", conflicts_with_all = ["look_first", "buy_anyway"])]
    pub(crate) look_only: bool,
    /// Look for the intent because another machine may have bought it. If it is
    /// not found, nothing is sent either, unless you add --buy-anyway.
    #[arg(long, requires = "intent")]
    pub(crate) look_first: bool,
    /// Buy the intent even if an earlier run may have sent it and it is not
    /// found. Make sure first that no other machine is working on it.
    #[arg(long, requires = "intent")]
    pub(crate) buy_anyway: bool,
    /// How long to look for a purchase whose response was lost, in seconds. If
    /// it is not found by then, run the same command later.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) wait: u32,
    /// How many seconds after it was sent a purchase without a record counts as
    /// not made, and may be sent again. This must be longer than a request may
    /// be under way plus the time until a record shows.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(crate) settle: u32,
    /// Do not ask for confirmation, even in production.
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

impl PurchaseArgs {
    /// Whether another machine may have bought it.
    pub(crate) fn looks(&self) -> bool {
        self.look_only || self.look_first
    }

    /// Whether nothing is sent, whatever is found.
    pub(crate) fn only_looks(&self) -> bool {
        self.looks() && !self.buy_anyway
    }

    /// The `customer` and the `notify` of an action.
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

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Json {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Dates {
    /// The first day, such as 2025-01-31.
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<NaiveDate>,
    /// The last day.
    #[arg(long, value_name = "DAY")]
    pub(crate) to: Option<NaiveDate>,
}

impl Dates {
    pub(crate) fn range(&self) -> Result<DateRange, InvalidValue> {
        DateRange::new(self.from, self.to)
    }
}

#[derive(Args, Debug)]
pub(crate) struct Kinds {
    /// Only this kind of impact, such as tree_planted; may be given several times.
    #[arg(long, value_parser = kind)]
    pub(crate) kind: Vec<ImpactKind>,
}

/// How much of a list, in which order and form.
#[derive(Args, Debug)]
pub(crate) struct Listing {
    /// Number of rows, or of rows in each page with --all: 1 to 1,000.
    #[arg(long, value_parser = limit)]
    pub(crate) limit: Option<Limit>,
    /// Sort by time.
    #[arg(long, value_enum, default_value_t = Order::Newest)]
    pub(crate) order: Order,
    /// Print every page.
    #[arg(long)]
    pub(crate) all: bool,
    /// Continue where an earlier list stopped; repeat its other options.
    #[arg(long, value_name = "CURSOR", value_parser = cursor, allow_hyphen_values = true)]
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
    /// Print CSV with a header line. A file or a pipe gets every byte of the
    /// data; at a terminal, control characters are replaced.
    #[arg(long)]
    csv: bool,
}

/// In which form rows are printed.
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

/// US dollars with at most two digits behind the point.
fn dollars(text: &str) -> Result<Cents, String> {
    let wrong = || "expected a dollar amount, such as 5 or 5.25".to_owned();
    let (dollars, cents) = text.split_once('.').unwrap_or((text, "00"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(dollars) || !digits(cents) || cents.len() != 2 {
        return Err(wrong());
    }
    let cents: Option<u64> = format!("{dollars}{cents}").parse().ok();
    Cents::new(cents.ok_or_else(wrong)?).map_err(|error| error.to_string())
}

/// Text that is not an option: after `--intent $ORDER --yes` with an empty variable,
/// all orders would be the intent `--yes`.
fn own_text(text: &str) -> Result<String, String> {
    if text.starts_with('-') && is_option(text) {
        return Err(format!(
            "it is an option of this command; is the value before {text} missing?"
        ));
    }
    Ok(text.to_owned())
}

/// Whether this stands for an option of any command, or for several short ones.
fn is_option(text: &str) -> bool {
    let cli = Cli::command();
    let commands = || std::iter::once(&cli).chain(cli.get_subcommands());
    let mut arguments = commands().flat_map(clap::Command::get_arguments);
    if let Some(long) = text.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or_default();
        return matches!(name, "" | "help" | "version")
            || arguments.any(|argument| argument.get_long() == Some(name));
    }
    let shorts: Vec<_> = arguments.filter_map(clap::Arg::get_short).chain(['h', 'V']).collect();
    text.len() > 1 && text.chars().skip(1).all(|char| shorts.contains(&char))
}

fn intent(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("the key must not be empty".to_owned()) } else { own_text(text) }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let text = own_text(text)?;
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, such as order=A-1001")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn kind(text: &str) -> Result<ImpactKind, String> {
    ImpactKind::known(text).ok_or_else(|| {
        let known: Vec<_> = ImpactKind::KNOWN.iter().map(ImpactKind::as_str).collect();
        format!("expected one of {}", known.join(", "))
    })
}

fn category(text: &str) -> Result<Category, String> {
    own_text(text).map(|text| Category::from(text.as_str()))
}

fn reason(text: &str) -> Result<Reason, String> {
    Reason::new(own_text(text)?).map_err(|error| error.to_string())
}

fn limit(text: &str) -> Result<Limit, String> {
    let number = text.parse().map_err(|_| "expected a whole number".to_owned())?;
    Limit::new(number).map_err(|error| error.to_string())
}

#[expect(clippy::unnecessary_wraps, reason = "clap's shape")]
fn cursor(text: &str) -> Result<Cursor, String> {
    Ok(Cursor::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn dollars_become_cents_without_a_float() {
        for (text, cents) in [("5", 500), ("5.00", 500), ("0.01", 1), ("0.29", 29), ("10.10", 1010)]
        {
            assert_eq!(dollars(text).unwrap().get(), cents, "{text}");
        }
        for text in [
            "",
            ".",
            "5.",
            ".5",
            "5.0",
            "5.001",
            "-1",
            "+1",
            "1e3",
            "5,00",
            "$5",
            "0",
            "0.00",
            "10000000.01",
            "99999999999999999999",
        ] {
            assert!(dollars(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_text_may_begin_with_a_hyphen_but_is_no_option() {
        for text in ["", "-", "-1", "-vQ==", "-Ada", "--", "--no-such-option", "order--yes", "-ada"]
        {
            assert_eq!(own_text(text).is_ok(), text != "--", "{text}");
        }
        for text in [
            "--yes",
            "-y",
            "-qy",
            "-v",
            "-h",
            "-V",
            "--silent",
            "--settle=5",
            "--for",
            "--json",
            "--base-url=x",
            "--all",
            "--help",
            "--version",
        ] {
            assert!(own_text(text).unwrap_err().contains(text), "{text}");
            assert!(intent(text).is_err() && reason(text).is_err() && category(text).is_err());
        }
        assert!(pair("--settle=5").is_err() && pair("-a=-b").is_ok() && intent("").is_err());
    }
}
