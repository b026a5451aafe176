//! Every help text and every message, as golden files for review.
//!
//! This rewrites them:
//!
//! ```sh
//! SNAPSHOTS=overwrite cargo test -p oneclick-cli --test command golden
//! ```

mod messages;

use snapbox::{assert_data_eq, file};

use super::support::Setup;

/// The commands, as the help lists them.
fn commands(help: &str) -> Vec<&str> {
    let list = help.split_once("\nCommands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    // Indented further, a line continues the one before it.
    let names = list.lines().filter(|line| !line.starts_with("   "));
    names
        .map(|line| line.split_whitespace().next().unwrap())
        .filter(|name| *name != "help")
        .collect()
}

/// The parts of a help text that have a title. A part that was shown before is not repeated
/// in the file, so that it can be read in one go.
fn sections(help: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    for line in help.lines() {
        if line.ends_with(':') && !line.starts_with(' ') {
            sections.push(String::new());
        }
        let section = sections.last_mut().unwrap();
        *section += line;
        section.push('\n');
    }
    sections
}

#[test]
fn help_texts() {
    let setup = Setup::of("http://127.0.0.1:1");
    let run = |arguments: &[&str]| {
        let output = setup.command(arguments).env("COLUMNS", "80").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        // clap indents empty lines.
        let lines: Vec<_> = help.lines().map(str::trim_end).collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{arguments:?}: {help}");
        lines.join("\n") + "\n"
    };
    let help = run(&["--help"]);
    let commands = commands(&help);
    let shown = |arguments: &str, help: &str| format!("$ oneclick {arguments}\n{help}\n\n");
    let mut all =
        "The help texts of the command. A part that is the same as in an earlier text is \
                   \"as above\".\n\n\n"
            .to_owned();
    all += &shown("-h", &run(&["-h"]));
    all += &shown("--help", &help);
    let common = help.split_once("\nOptions:\n").unwrap().1;
    let common = common.split_once("\n\nConnection options:").unwrap().0;
    let mut seen = sections(&help);
    let outbox = run(&["outbox", "--help"]);
    let of_outbox = self::commands(&outbox).into_iter().map(|command| vec!["outbox", command]);
    for command in commands.iter().map(|command| vec![*command]).chain(of_outbox) {
        run(&[&command[..], &["-h"]].concat());
        let help = run(&[&command[..], &["--help"]].concat());
        assert!(help.contains("\nExample:\n  oneclick "), "{help}");
        let mut shortened = String::new();
        for section in sections(&help.replace(common, "  and those of every command")) {
            let title = section.lines().next().unwrap_or_default();
            if seen.contains(&section) {
                shortened.push_str(title);
                shortened.push_str(" as above\n\n");
            } else {
                shortened += &section;
                seen.push(section);
            }
        }
        all += &shown(&format!("{} --help", command.join(" ")), &shortened);
    }
    assert_data_eq!(all, file!["../golden/help.txt"].raw());

    let manual = setup.run_ok(&["man"]);
    for command in &commands {
        assert!(
            manual.contains(&format!("oneclick\\-{}(1)", command.replace('-', "\\-"))),
            "{command}"
        );
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = setup.run_ok(&["completions", shell]);
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
}

#[test]
fn messages() {
    assert_data_eq!(messages::all(), file!["../golden/messages.txt"].raw());
}
