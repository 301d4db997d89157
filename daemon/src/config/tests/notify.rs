//! Who is told of ends.

use std::path::Path;

use super::*;
use crate::task::state::StateKind;

#[test]
fn a_table_or_only_a_command_says_who_is_told() {
    let none = parse("").unwrap().notify;
    assert_eq!(none, Notify::default());
    assert!(none.command.is_empty() && none.webhook.is_none());
    assert_eq!(none.states.len(), 5);
    let short = parse("notify = [\"tell-me\", \"$x\"]\n").unwrap().notify;
    assert_eq!(short.command, ["tell-me", "$x"]);
    assert_eq!((short.states, short.timeout), (none.states, NOTIFY_TIMEOUT));
    let text = "[notify]\nwebhook_url = \"https://h/S3cret\"\nstates = [\"failed\"]\n\
                timeout = \"5s\"\n";
    let config = parse(text).unwrap();
    assert!(config.notify.states.iter().eq(&[StateKind::Failed]));
    assert_eq!(config.notify.timeout, 5000);
    // Whoever prints a configuration, says no secret.
    assert!(!format!("{config:?}").contains("S3cret"));
}

#[test]
fn a_token_is_a_secret_as_an_env_file_is() {
    let text = "[notify]\nwebhook_url = \"https://h\"\nwebhook_token_file = \"/run/token\"\n\
                [agents.a]\ntype = \"command\"\nenv_file = \"/run/env\"\n";
    let config = parse(text).unwrap();
    let secrets: Vec<_> = config.secrets().collect();
    assert_eq!(secrets, [Path::new("/run/env"), Path::new("/run/token")]);
}

#[test]
fn what_cannot_be_told_is_refused() {
    for (text, wrong) in [
        ("notify = []\n", "notify: names no program"),
        ("notify = \"tell-me\"\n", "notify: expected a table"),
        ("[notify]\nstates = []\n", "notify.states: names no state"),
        (
            "[notify]\nwebhook_token_file = \"/run/token\"\n",
            "notify.webhook_token_file: there is no webhook_url",
        ),
        ("[notify]\ntimeout = \"1ms\"\n", "expected 100ms to 10m"),
        ("[notify]\ncommand = [\"\"]\n", "names no program"),
    ] {
        let said = parse(text).unwrap_err().to_string();
        assert!(said.contains(wrong), "{text}: {said}");
    }
}
