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
    let mut all = shown("-h", &run(&["-h"])) + &shown("--help", &help);
    for command in &commands {
        run(&[command, "-h"]);
        let help = run(&[command, "--help"]);
        assert!(help.contains("\nExample:\n  oneclick "), "{help}");
        all += &shown(&format!("{command} --help"), &help);
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
