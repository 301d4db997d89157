//! What people write reaches their agents as it is: no shell, no flag, no limit
//! of an argument's length is in its way.

use std::{fs, os::unix::fs::PermissionsExt as _};

use agentd_tests::TestDaemon;

/// What a shell, a command line or a format would take for something else.
const NASTY: &str = "-rf --help \"it's\" `touch pwned` $(touch pwned) ${HOME} \\n %s %n\r\n\
    \t--\n'; touch pwned; '\n{\"a\": [1]} \u{fc} \u{65e5}\u{672c} \u{202e} \u{1b}[31m &&|<>*?!#~";

/// The same, as long as a large file.
fn long() -> String {
    let line = format!("{NASTY}\n");
    let mut text = line.repeat(500 * 1024 / line.len());
    text.push_str("the end");
    text
}

#[test]
fn a_prompt_reaches_every_kind_of_agent_unchanged() {
    let daemon = TestDaemon::prepared("");
    let (got, args) = (daemon.arg("got"), daemon.arg("args"));
    // As Claude Code is called.
    let claude = format!(
        "#!/bin/sh\ncat >'{got}'\nprintf '%s\\n' \"$@\" >'{args}'\n\
         echo '{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"done\"}}'\n"
    );
    let program = daemon.arg("claude");
    fs::write(&program, claude).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    daemon.configure(&format!(
        "[agents.claude]\ntype = \"claude\"\ncommand = ['{program}']\nallow_root = true\n\
         [agents.cat]\ntype = \"command\"\ncommand = [\"sh\", \"-c\", \"cat >'{got}'\"]\n"
    ));
    let mut daemon = daemon;
    daemon.launch();
    for agent in ["cat", "claude"] {
        for prompt in [NASTY.to_owned(), long()] {
            let line = ["run", "-a", agent, "-"];
            let said = daemon.agentctl().call_with_input(&line, prompt.as_bytes());
            assert_eq!(said.code, 0, "{agent}: {}", said.stderr);
            assert_eq!(fs::read_to_string(&got).unwrap(), prompt, "{agent}");
            fs::remove_file(&got).unwrap();
        }
    }
    let args = fs::read_to_string(&args).unwrap();
    assert!(!args.contains("pwned"), "{args}");
    assert!(!daemon.path("pwned").exists());
    // A script as long as that is one, too.
    let script = format!("{}\necho the end\n", "# a comment\n".repeat(45_000));
    let line = ["run", "-a", "shell", "-"];
    let said = daemon.agentctl().call_with_input(&line, script.as_bytes());
    assert_eq!(said.ok().text(), "the end\n");
}

#[test]
fn words_of_issues_and_titles_are_words() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    for words in [
        "-rf",
        "--help",
        "it's \"quoted\"",
        "$(touch pwned) `touch pwned`",
        "../../etc",
    ] {
        let (issue, title) = (format!("--issue={words}"), format!("--title={words}"));
        let line = ["run", "-C", repo.arg(), &issue, &title, "--"];
        let print = ["sh", "-c", "printf '%s' \"$AGENTD_ISSUE\""];
        let said = daemon.ctl(&[&line[..], &print].concat()).ok();
        assert_eq!(said.text().trim_end_matches('\n'), words);
        let shown = daemon.ctl(&["show", "@last", "-o", "json"]).json();
        assert_eq!(shown["title"], words, "{shown}");
    }
    let found = repo.git(&["status", "--porcelain"]);
    assert_eq!(found, "");
    assert!(!daemon.path("pwned").exists());
}

#[test]
fn a_byte_that_no_text_holds_is_refused() {
    let daemon = TestDaemon::start();
    let line = ["submit", "-"];
    for bytes in [&b"a\0b"[..], b"\xff\xfe"] {
        let said = daemon.agentctl().call_with_input(&line, bytes);
        said.refused(2, &["prompt"]);
    }
    assert_eq!(daemon.ctl(&["ls", "-o", "name"]).ok().text(), "");
}
