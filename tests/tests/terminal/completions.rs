//! Tab in bash, zsh and fish, with a daemon that knows tasks.

use std::{env, ffi::OsString, path::Path, process::Stdio};

use agentd_tests::{Output, TestDaemon, command, program};

/// Two tasks: the first has ended well, the second has failed.
fn daemon() -> TestDaemon {
    let daemon = TestDaemon::start();
    for script in ["true", "false"] {
        let args = ["run", "--max-attempts", "1", "--", "sh", "-c", script];
        let run = daemon.ctl(&args);
        assert!(run.code <= 1, "{run:?}");
    }
    daemon
}

/// What a shell says to a script, in which `agentctl` is a program on the PATH.
fn shell(daemon: &TestDaemon, name: &str, script: &str) -> Vec<String> {
    let ctl = program("agentctl");
    let mut path = OsString::from(ctl.parent().unwrap());
    path.push(":");
    path.push(env::var_os("PATH").unwrap());
    let mut call = command(Path::new(name), &daemon.home());
    call.env("PATH", path)
        .env("AGENTD_SOCKET", daemon.socket())
        .args(["-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = call.spawn();
    let said = Output::wait(child.unwrap_or_else(|error| panic!("{name} is needed: {error}")));
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{name}");
    String::from_utf8(said.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// What bash would offer for the last of these words.
fn bash(daemon: &TestDaemon, words: &[&str]) -> Vec<String> {
    let (last, quoted) = (words.len() - 1, quoted(words));
    let script = format!(
        "source <(agentctl completions bash)
         COMP_WORDS=({quoted}) COMP_CWORD={last} COMP_TYPE=9
         _clap_complete_agentctl agentctl {} before
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.rsplit(' ').next().unwrap(),
    );
    shell(daemon, "bash", &script)
}

/// What zsh would: `value:description`. Its line editor is not there; what it
/// asks the script and gets from it is.
fn zsh(daemon: &TestDaemon, words: &[&str]) -> Vec<String> {
    let script = format!(
        "compdef() {{ }}
         _describe() {{ printf '%s\\n' \"${{(P@)argv[3]}}\" }}
         source <(agentctl completions zsh)
         words=({}) CURRENT={}
         _clap_dynamic_completer_agentctl",
        quoted(words),
        words.len(),
    );
    shell(daemon, "zsh", &script)
}

/// What fish would: value and description, with a tab between.
fn fish(daemon: &TestDaemon, words: &[&str]) -> Vec<String> {
    let line = words.join(" ");
    let script = format!("agentctl completions fish | source; complete -C '{line}'");
    shell(daemon, "fish", &script)
}

fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    quoted.join(" ")
}

#[test]
fn bash_offers_what_there_is() {
    let daemon = daemon();
    assert_eq!(
        bash(&daemon, &["agentctl", "rerun", ""])[..3],
        ["2", "@last", "@last-failed"]
    );
    assert_eq!(bash(&daemon, &["agentctl", "show", "1"]), ["1"]);
    assert_eq!(bash(&daemon, &["agentctl", "expl"]), ["explain"]);
    assert_eq!(
        bash(&daemon, &["agentctl", "ls", "--agent", "s"]),
        ["shell"]
    );
    assert_eq!(
        bash(&daemon, &["agentctl", "ls", "--state", "fai"]),
        ["failed"]
    );
}

#[test]
fn zsh_says_what_they_are() {
    let daemon = daemon();
    assert_eq!(
        zsh(&daemon, &["agentctl", "rerun", ""])[..2],
        ["2:failed shell sh -c false", "@last:the newest"]
    );
}

#[test]
fn fish_says_what_they_are() {
    let daemon = daemon();
    assert_eq!(
        fish(&daemon, &["agentctl", "rerun", "@"]),
        ["@last\tthe newest", "@last-failed\tthe newest failed"]
    );
    assert_eq!(
        fish(&daemon, &["agentctl", "show", "2"]),
        ["2\tfailed shell sh -c false"]
    );
}

/// Whoever presses Tab sees neither an error nor a daemon that starts.
#[test]
fn without_a_daemon_there_is_nothing_but_words() {
    let daemon = TestDaemon::prepared("");
    let names = bash(&daemon, &["agentctl", "cancel", ""]);
    assert!(!names.iter().any(|name| name.starts_with('@')), "{names:?}");
    assert!(!daemon.socket().exists());
    assert_eq!(bash(&daemon, &["agentctl", "canc"]), ["cancel"]);
}
