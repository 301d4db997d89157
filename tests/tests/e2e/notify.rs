//! Word to a person when a task ends.

use std::{fs, path::Path};

use agentd_tests::{
    AUTHORITY, Answer, TestDaemon, Webhook, check_schema, exists, wait_for, wait_until,
    write_private,
};
use serde_json::Value;

/// A configuration that has this script told; what it is told of it is its own.
fn by(script: &str, more: &str) -> String {
    format!(
        "[daemon]\nmax_running = 4\n[notify]\ncommand = [\"sh\", \"-c\", '''{script}''']\n{more}"
    )
}

/// Has each notice end up in a file of the home, whole or not at all.
const KEEP: &str = "cat >>$HOME/now && cat $HOME/now >>$HOME/told; rm $HOME/now";

/// The notices in a file, each of which keeps to its schema.
fn told(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let notices = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let notices: Vec<Value> = notices.collect();
    notices.iter().for_each(check_schema);
    notices
}

fn tasks(notices: &[Value]) -> Vec<u64> {
    notices
        .iter()
        .filter_map(|one| one["id"].as_u64())
        .collect()
}

#[test]
fn a_command_is_told_of_each_end_in_order_and_of_none_before() {
    let mut daemon = TestDaemon::with("[daemon]\nmax_running = 4\n");
    let old = daemon.sh("exit 1");
    daemon.wait(old);
    daemon.configure(&by(&format!("{KEEP}; env >>$HOME/env"), ""));
    let _said = daemon.ctl(&["reload"]).ok();
    let file = daemon.home().join("told");
    wait_until("it counts", || daemon.log().contains("from now on"));

    let title = "$(exit 1) `exit 1` \"q\" '; exit 1";
    let failed = daemon.submit(&["--title", title, "--", "sh", "-c", "exit 3"]);
    daemon.wait(failed);
    let good = daemon.sh("true");
    daemon.wait(good);
    wait_until("both are told", || told(&file).len() >= 2);
    let notices = told(&file);
    assert_eq!(tasks(&notices), [failed, good]);
    let first = &notices[0];
    for (key, value) in [
        ("state", Value::from("failed")),
        ("failure_reason", "agent_error".into()),
        ("message", "exit code 3".into()),
        ("agent", "shell".into()),
        ("attempt_count", 1.into()),
        ("rerun", format!("agentctl rerun {failed}").into()),
    ] {
        assert_eq!(first[key], value, "{key}: {first}");
    }
    let shown = daemon.show(failed);
    for key in ["title", "user", "created_at", "finished_at", "labels"] {
        assert_eq!(first[key], shown[key], "{key}");
    }
    assert!(notices[1]["event"].as_u64() > first["event"].as_u64());

    let env = fs::read_to_string(daemon.home().join("env")).unwrap();
    for line in [
        format!("AGENTD_TASK={failed}"),
        "AGENTD_STATE=failed".to_owned(),
        format!("AGENTD_EVENT={}", first["event"]),
        format!("AGENTD_SOCKET={}", daemon.socket().display()),
        format!("HOME={}", daemon.home().display()),
    ] {
        assert!(env.lines().any(|one| one == line), "{line}: {env}");
    }
    for own in [
        "AGENTD_LOG",
        "NOTIFY_SOCKET",
        "AGENTD_TOKEN",
        "AGENTD_ATTEMPT",
    ] {
        assert!(!env.contains(own), "{own}: {env}");
    }
    // A start tells nothing twice.
    daemon.kill();
    daemon.launch();
    let last = daemon.sh("true");
    wait_until("it is told", || tasks(&told(&file)).contains(&last));
    assert_eq!(tasks(&told(&file)), [failed, good, last]);
    let status = daemon.ctl(&["status", "-o", "json"]).json();
    assert_eq!(status["notices"][0]["way"], "command");
    assert_eq!(status["notices"][0]["failing_since"], Value::Null);
}

#[test]
fn only_the_ends_that_are_named_are_told() {
    let daemon = TestDaemon::with(&by(KEEP, "states = [\"failed\", \"cancelled\"]\n"));
    let good = daemon.sh("true");
    daemon.wait(good);
    let failed = daemon.sh("exit 1");
    daemon.wait(failed);
    let stopped = daemon.sh("exec sleep 1000");
    daemon.wait_state(stopped, "running");
    let _said = daemon.ctl(&["cancel", &stopped.to_string()]).ok();
    let file = daemon.home().join("told");
    wait_until("both are told", || told(&file).len() >= 2);
    assert_eq!(tasks(&told(&file)), [failed, stopped]);
}

#[test]
fn a_notice_that_a_crash_cut_short_is_sent_again() {
    let mut daemon = TestDaemon::prepared("");
    let gate = daemon.gate("gate");
    let script = format!("echo $$ >$HOME/hook; read _ <{}; {KEEP}", gate.path());
    daemon.configure(&by(&script, ""));
    daemon.launch();
    let task = daemon.sh("true");
    let waiting = gate.reached();
    let text = fs::read_to_string(daemon.home().join("hook")).unwrap();
    let hook: u32 = text.trim().parse().unwrap();
    daemon.kill();
    // It is not left behind.
    wait_until("the command has gone with the daemon", || !exists(hook));
    drop(waiting);
    let file = daemon.home().join("told");
    assert!(told(&file).is_empty());
    daemon.launch();
    gate.open();
    wait_until("it is told", || !told(&file).is_empty());
    assert_eq!(tasks(&told(&file)), [task]);

    // A daemon that is told to end does not wait for it either.
    let next = daemon.sh("true");
    let waiting = gate.reached();
    assert!(daemon.terminate().success());
    drop(waiting);
    daemon.launch();
    gate.open();
    wait_until("it is told", || told(&file).len() >= 2);
    assert_eq!(tasks(&told(&file)), [task, next]);
}

#[test]
fn a_command_that_hangs_is_ended_and_does_not_keep_the_next_one() {
    let script = format!(
        "if [ $AGENTD_STATE = failed ]; then echo sorry >&2; trap '' TERM; \
         sleep 1000 & echo $! >>$HOME/hang; wait; fi; {KEEP}"
    );
    let daemon = TestDaemon::with(&by(&script, "timeout = \"500ms\"\n"));
    let failed = daemon.sh("exit 1");
    daemon.wait(failed);
    let good = daemon.sh("true");
    let file = daemon.home().join("told");
    wait_until("the next one is told", || !told(&file).is_empty());
    assert_eq!(tasks(&told(&file)), [good]);
    let left = fs::read_to_string(daemon.home().join("hang")).unwrap();
    assert_eq!(left.lines().count(), 3, "it is tried a few times: {left}");
    for pid in left.lines() {
        assert!(!exists(pid.parse().unwrap()), "{pid} was left");
    }
    let log = daemon.log();
    assert!(log.contains("it is given up"), "{log}");
    // It is over, and a person is told all the same.
    let status = daemon.ctl(&["status"]).ok();
    assert!(
        status.text().contains("1 given up, last of task 1"),
        "{status:?}"
    );
    let doctor = daemon.ctl(&["doctor"]);
    let said = doctor.text();
    assert!(said.contains("1 end was told nobody by sh"), "{said}");
    assert!(said.contains("took longer than 500ms"), "{said}");
}

#[test]
fn a_webhook_is_told_again_until_it_takes_it_and_what_it_refuses_is_given_up() {
    let server = Webhook::up();
    let daemon = TestDaemon::prepared("");
    let token = daemon.path("token");
    write_private(&token, "S3cretToken\n");
    daemon.configure(&format!(
        "[notify]\nwebhook_url = \"{}\"\nwebhook_token_file = \"{}\"\n",
        server.url("/hooks/S3cretPath?k=S3cretKey"),
        token.display()
    ));
    let mut daemon = daemon;
    daemon.launch();
    server.answer([
        Answer::Status(500, ""),
        Answer::Status(429, "Retry-After: 1\r\n"),
        Answer::Status(200, ""),
        Answer::Status(400, ""),
    ]);
    let first = daemon.sh("true");
    daemon.wait(first);
    let refused = daemon.sh("exit 1");
    daemon.wait(refused);
    // What an agent says of itself, and a prompt that is taken for a title.
    let last = daemon.submit(&["-a", "shell", "echo a\r\nX-Evil: 1\r\n\r\nb"]);
    server.wait(5);
    assert_eq!(server.tasks(), [first, first, first, refused, last]);
    let posted = server.posted();
    for one in &posted {
        assert_eq!(one.line, "POST /hooks/S3cretPath?k=S3cretKey HTTP/1.1");
        let has = |header: &str| one.headers.iter().any(|line| line == header);
        assert!(has("authorization: Bearer S3cretToken"), "{one:?}");
        assert!(has("content-type: application/json"), "{one:?}");
        assert!(!one.headers.iter().any(|line| line.starts_with("x-evil")));
        assert_eq!(one.headers.len(), 6, "{one:?}");
    }
    // It is the same event, by which a receiver knows it.
    assert_eq!(posted[0].notice, posted[2].notice);
    wait_until("it is told how it stands", || {
        let status = daemon.ctl(&["status", "-o", "json"]).json();
        let notices = &status["notices"][0];
        notices["given_up"] == 1 && notices["failing_since"] == Value::Null
    });
    let said = [
        daemon.log(),
        daemon.ctl(&["doctor"]).text().to_owned(),
        daemon.ctl(&["status"]).text().to_owned(),
    ];
    for text in &said {
        assert!(!text.contains("S3cret"), "{text}");
    }
    assert!(said[0].contains("400"), "{}", said[0]);
}

#[test]
fn a_webhook_that_is_down_gets_its_word_when_it_is_up() {
    let mut server = Webhook::down();
    let config = format!(
        "[notify]\nwebhook_url = \"{}\"\ncommand = [\"sh\", \"-c\", \"{KEEP}\"]\n",
        server.url("/")
    );
    let mut daemon = TestDaemon::with(&config);
    let first = daemon.sh("exit 1");
    daemon.wait(first);
    let failing = |daemon: &TestDaemon| {
        let status = daemon.ctl(&["status", "-o", "json"]).json();
        let notices = status["notices"].as_array().unwrap().clone();
        let webhook = notices
            .into_iter()
            .find(|one| one["way"] == "webhook")
            .unwrap();
        webhook["failing_since"]
            .is_string()
            .then(|| webhook["why"].clone())
    };
    let why = wait_for("it is seen", || failing(&daemon));
    assert!(why.as_str().unwrap().contains("cannot connect to"), "{why}");
    let doctor = daemon.ctl(&["doctor"]);
    assert!(
        doctor.text().contains("word of ends is not taken at"),
        "{doctor:?}"
    );
    // The other way does not wait for it.
    let file = daemon.home().join("told");
    wait_until("the command is told", || tasks(&told(&file)) == [first]);
    let second = daemon.sh("true");
    daemon.wait(second);
    daemon.kill();
    daemon.launch();
    let third = daemon.sh("true");
    daemon.wait(third);
    wait_until("the command is told", || told(&file).len() >= 3);
    assert!(server.posted().is_empty());
    // It hangs at first.
    server.answer([Answer::Silence]);
    server.listen();
    // Whoever mended it need not wait for the pause.
    daemon.configure(&format!("{config}timeout = \"700ms\"\n"));
    let _said = daemon.ctl(&["reload"]).ok();
    server.wait(4);
    assert_eq!(server.tasks(), [first, first, second, third]);
    wait_until("all is well", || failing(&daemon).is_none());
    assert_eq!(tasks(&told(&file)), [first, second, third]);
}

#[test]
fn what_goes_by_tls_goes_to_whom_an_authority_vouches_for() {
    let server = Webhook::secure();
    let on = |url: &str| format!("[notify]\nwebhook_url = \"{url}\"\n");
    let mut daemon = TestDaemon::with(&on(&server.url("/")));
    let task = daemon.sh("true");
    let why = |daemon: &TestDaemon| {
        let status = daemon.ctl(&["status", "-o", "json"]).json();
        status["notices"][0]["why"].as_str().map(str::to_owned)
    };
    let said = wait_for("nobody vouches for it", || why(&daemon));
    assert!(
        said.contains("no secure connection to https://127.0.0.1:"),
        "{said}"
    );
    daemon.kill();
    // The authority is one for another name.
    daemon.use_variable("SSL_CERT_FILE", AUTHORITY);
    daemon.configure(&on(&server.url("/").replace("127.0.0.1", "localhost")));
    daemon.launch();
    let said = wait_for("it is not who it should be", || why(&daemon));
    assert!(
        said.contains("no secure connection to https://localhost:"),
        "{said}"
    );
    assert!(server.posted().is_empty());
    daemon.configure(&on(&server.url("/")));
    let _said = daemon.ctl(&["reload"]).ok();
    server.wait(1);
    assert_eq!(server.tasks(), [task]);
}

#[test]
fn a_reload_begins_and_ends_it_and_nothing_is_told_of_between() {
    let server = Webhook::up();
    let on = format!("[notify]\nwebhook_url = \"{}\"\n", server.url("/a"));
    let mut daemon = TestDaemon::with(&on);
    let set = |daemon: &TestDaemon, config: &str| {
        daemon.configure(config);
        let told = daemon.ctl(&["reload"]).ok();
        assert!(told.stderr.contains("applied notify"), "{told:?}");
    };
    let told_off = |daemon: &TestDaemon| daemon.log().matches("any more").count();
    let first = daemon.sh("true");
    server.wait(1);
    set(&daemon, "");
    wait_until("it is off", || told_off(&daemon) == 1);
    let unseen = daemon.sh("true");
    daemon.wait(unseen);
    set(&daemon, &on.replace("/a", "/b"));
    wait_until("it is on", || {
        daemon.log().matches("from now on").count() == 2
    });
    let second = daemon.sh("true");
    server.wait(2);
    // While it is on, what ends with the daemon away is told, too.
    let gate = daemon.gate("gate");
    let alone = daemon.sh(&format!("read _ <{}", gate.path()));
    let waiting = gate.reached();
    daemon.kill();
    {
        use std::io::Write as _;
        writeln!(&waiting).unwrap();
    }
    daemon.launch();
    server.wait(3);
    assert_eq!(server.tasks(), [first, second, alone]);
    assert!(server.posted()[1].line.starts_with("POST /b "));
    // And what ends while it is off over a start is not.
    daemon.configure("");
    daemon.kill();
    daemon.launch();
    wait_until("it is off", || told_off(&daemon) == 2);
    let unseen = daemon.sh("true");
    daemon.wait(unseen);
    set(&daemon, &on);
    wait_until("it is on", || {
        daemon.log().matches("from now on").count() == 3
    });
    let last = daemon.sh("true");
    server.wait(4);
    assert_eq!(server.tasks(), [first, second, alone, last]);
}

#[test]
fn what_is_wrong_with_it_is_said_where_it_stands() {
    let daemon = TestDaemon::prepared("");
    let token = daemon.path("token");
    fs::write(&token, "S3cret\n").unwrap();
    daemon.configure(&format!(
        "[notify]\ncomand = [\"true\"]\ncommand = []\nwebhook_url = \"ftp://h/S3cret\"\n\
         webhook_token_file = \"{}\"\nstates = [\"faild\", \"running\"]\ntimeout = \"1h\"\n",
        token.display()
    ));
    let (code, said) = daemon.check_config();
    assert_ne!(code, Some(0));
    for words in [
        ":2:1: unknown key notify.comand: did you mean command?",
        ":3:11: notify.command: names no program",
        ":4:15: notify.webhook_url: expected an address",
        ":5:22: notify.webhook_token_file: ",
        "run chmod 600 on it",
        ":6:10: notify.states: no state that a task ends in: \"faild\": did you mean failed?",
        "\"running\"",
        ":7:11: notify.timeout: expected 100ms to 10m",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("S3cret"), "{said}");
    // What is not there keeps no daemon from its work, but is found.
    daemon.configure("notify = [\"/nonexistent/tell-me\"]\n");
    let (code, said) = daemon.check_config();
    assert_ne!(code, Some(0));
    assert!(
        said.contains("notify.command: /nonexistent/tell-me"),
        "{said}"
    );
    let mut daemon = daemon;
    daemon.launch();
    let doctor = daemon.ctl(&["doctor"]);
    let found = "nobody is told of ends: /nonexistent/tell-me is missing";
    assert!(doctor.text().contains(found), "{doctor:?}");
}
