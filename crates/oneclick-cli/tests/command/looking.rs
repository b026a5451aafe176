//! What is looked up, taken back, and printed about the command itself.

use oneclick_sandbox::Server;
use snapbox::assert_data_eq;
use snapbox::str;

use super::support::Place;

#[test]
fn account_totals_and_the_life_of_an_impact_are_shown() {
    let server = Server::start().unwrap();
    let place = Place::at(&server);
    assert_data_eq!(
        place.prints(&["whoami"]),
        str![[r#"
account  U[..]
email    [..]@example.com
API      http://127.0.0.1:[..]

"#]],
    );
    let planted = place.prints(&["plant", "60"]);
    place.prints(&["donate", "5.00", "--for", "ada@example.com"]);
    assert_data_eq!(
        place.prints(&["impact"]),
        str![[r#"
own         60 trees planted
customers'  $5.00 donated
all         60 trees planted, $5.00 donated

"#]],
    );
    let id = planted.lines().nth(1).unwrap();
    assert_data_eq!(
        place.prints(&["track", id]),
        str![[r#"
60 trees planted

initiated  [..]Z
next       donation available

"#]],
    );
    let cancelled = place.prints(&["cancel", id, "--reason", "refunded"]);
    assert_data_eq!(
        &cancelled,
        str![
            "impact cancelled: 60 trees planted, on [..]Z

"
        ]
    );
    let again = place.prints(&["cancel", id]);
    assert_data_eq!(
        &again,
        str![
            "impact was already cancelled: 60 trees planted, on [..]Z

"
        ]
    );
    assert_data_eq!(
        place.prints(&["track", id]),
        str![[r#"
60 trees planted

initiated  [..]Z
cancelled  [..]Z, refunded

"#]],
    );
    for arguments in [
        &["whoami", "--json"][..],
        &["impact", "--json"],
        &["track", id, "--json"],
        &["cancel", id, "--json"],
        &["projects", "--json"],
        &["projects", "sandbox-food-forest", "--json"],
    ] {
        serde_json::from_str::<serde_json::Value>(&place.prints(arguments)).unwrap();
    }
    assert!(place.prints(&["projects", "--type", "ocean"]).contains("Sandbox Clean Bay"));
    let unknown = place.run(&["track", "U1-2025-03-12T15:22:14.753Z"]);
    assert_eq!(unknown.code, 3);
}

#[test]
fn every_command_has_help_with_an_example_and_the_manual_names_them_all() {
    let place = Place::of("http://127.0.0.1:1");
    let help = place.prints(&["--help"]);
    let manual = place.prints(&["man"]);
    let commands = [
        "whoami",
        "plant",
        "clean",
        "capture",
        "donate",
        "restore",
        "cancel",
        "track",
        "impact",
        "daily",
        "records",
        "customer-records",
        "customers",
        "projects",
        "sandbox",
        "doctor",
        "completions",
        "man",
    ];
    for command in commands {
        assert!(help.contains(command), "{command}");
        let help = place.prints(&[command, "--help"]);
        assert!(help.contains("Example:\n  oneclick"), "{help}");
        assert!(manual.contains(&command.replace('-', "\\-")), "{command}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(place.prints(&["completions", shell]).contains("customer-records"), "{shell}");
    }
}
