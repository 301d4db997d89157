//! What a daemon does not start with: it says why, and changes nothing.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
};

use agentd_tests::TestDaemon;
use redb::{ReadableTable as _, TableDefinition};

const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");

/// It ends with 1 and says all of this.
#[track_caller]
fn refuses(daemon: &TestDaemon, says: &[&str]) {
    let (code, said) = daemon.refuse();
    told(code, &said, says);
}

#[track_caller]
fn told(code: Option<i32>, said: &str, says: &[&str]) {
    assert_eq!(code, Some(1), "{said}");
    for words in says {
        assert!(said.contains(words), "{words:?} is missing: {said}");
    }
}

#[test]
fn a_store_of_a_newer_format_is_not_touched() {
    let mut daemon = TestDaemon::start();
    let task = daemon.sh("true");
    let before = daemon.wait(task);
    daemon.terminate();
    let file = daemon.state().join("agentd.redb");
    let set_format = |format: u64| {
        let store = redb::Database::open(&file).unwrap();
        let change = store.begin_write().unwrap();
        {
            let mut counters = change.open_table(COUNTERS).unwrap();
            assert!(counters.get("format").unwrap().is_some());
            counters.insert("format", format).unwrap();
        }
        change.commit().unwrap();
    };
    set_format(99);
    let bytes = fs::read(&file).unwrap();
    refuses(&daemon, &["agentd.redb", "format 99", "formats up to 1"]);
    assert!(fs::read(&file).unwrap() == bytes, "it was written to");
    set_format(1);
    daemon.launch();
    assert_eq!(daemon.show(task), before);
}

#[test]
fn a_store_that_is_none_is_not_replaced() {
    let daemon = TestDaemon::prepared("");
    fs::create_dir(daemon.state()).unwrap();
    let file = daemon.state().join("agentd.redb");
    for content in [&b"no store at all"[..], &[0; 65536], b""] {
        fs::write(&file, content).unwrap();
        let (code, said) = daemon.refuse();
        told(code, &said, &["agentd.redb", "hint: there is no copy"]);
        assert!(
            fs::read(&file).unwrap() == content,
            "it was written to: {said}"
        );
    }
    let copy = daemon.state().join("backups/agentd-format-0.redb");
    fs::write(&copy, "a copy").unwrap();
    let (code, said) = daemon.refuse();
    told(
        code,
        &said,
        &["hint: put the newest copy", "agentd-format-0.redb"],
    );
}

#[test]
fn a_configuration_is_refused_with_the_place() {
    let daemon = TestDaemon::prepared("");
    for (config, says) in [
        (
            "[daemon]\nmax_runing = 4\n",
            &[
                "config.toml:2:1",
                "daemon.max_runing",
                "did you mean max_running?",
            ][..],
        ),
        (
            "\n[daemon]\nmax_running = \"four\"\n",
            &[
                "config.toml:3:15",
                "daemon.max_running",
                "expected a whole number",
            ],
        ),
        (
            "[daemon]\nmax_running = 0\n",
            &["config.toml:2:15", "daemon.max_running"],
        ),
        (
            "[defaults]\ntimeout = \"5 parsecs\"\n",
            &["config.toml:2:11", "defaults.timeout"],
        ),
        (
            "[agents.a]\ntype = \"comand\"\n",
            &["config.toml:2:8", "agents.a.type", "did you mean command?"],
        ),
        (
            "[daemon]\ndefault_agent = \"shel\"\n",
            &["config.toml:2:17", "did you mean shell?"],
        ),
        (
            "[deamon]\n",
            &["config.toml:1:2", "deamon", "did you mean daemon?"],
        ),
        ("[daemon\n", &["config.toml:1:"]),
        (
            "[repos.x]\npath = \"relative\"\n",
            &["config.toml:2:8", "repos.x.path"],
        ),
    ] {
        daemon.configure(config);
        refuses(&daemon, says);
        // The check says the same, and starts as little.
        let (code, said) = daemon.check_config();
        told(code, &said, says);
        assert!(!daemon.state().exists() && !daemon.socket().exists());
    }
    // All problems at once.
    daemon.configure("[daemon]\nmax_runing = 4\nmax_queud = 4\n");
    refuses(&daemon, &["max_runing", "max_queud"]);
    fs::remove_file(daemon.path("config.toml")).unwrap();
    refuses(&daemon, &["config.toml", "no such file"]);
}

#[test]
fn a_state_directory_has_one_daemon() {
    let daemon = TestDaemon::start();
    let task = daemon.sh("true");
    let second = daemon.refuse_at(&daemon.path("other"));
    told(
        second.0,
        &second.1,
        &[
            &format!("another agentd (pid {})", daemon.pid()),
            &format!("agentctl --socket {} shutdown", daemon.socket().display()),
            "--state-dir",
        ],
    );
    assert!(!second.1.contains("kill"), "{}", second.1);
    // The first is not disturbed, nor is its socket.
    assert_eq!(daemon.wait(task)["state"], "succeeded");
}

#[test]
fn a_socket_that_cannot_be_is_refused() {
    let daemon = TestDaemon::prepared("");
    let at = |path: &str| daemon.refuse_at(&daemon.path(path));
    let (code, said) = at(&"x".repeat(100));
    told(code, &said, &["107", "--socket"]);
    fs::write(daemon.path("file"), "precious").unwrap();
    let (code, said) = at("file");
    told(code, &said, &["file", "no socket"]);
    assert_eq!(fs::read(daemon.path("file")).unwrap(), b"precious");
    let _other = UnixListener::bind(daemon.path("taken")).unwrap();
    let (code, said) = at("taken");
    told(code, &said, &["another program answers"]);
    assert!(daemon.path("taken").exists());
}

#[test]
fn what_others_may_not_see_is_closed_to_them() {
    let mut daemon = TestDaemon::with(
        "[agents.cat]\ntype = \"command\"\ncommand = [\"cat\"]\nenv = { TOKEN = \"hidden-in-env\" }\n",
    );
    let run = daemon.ctl(&["run", "-a", "cat", "hidden-in-prompt"]).ok();
    assert!(run.text().contains("hidden-in-prompt"));
    let long = daemon.sh("echo hidden-in-script; exec sleep 1000");
    daemon.wait_state(long, "running");
    let mode = |path: &str| {
        fs::metadata(daemon.path(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(mode("run/s"), 0o600);
    assert_eq!(mode("run"), 0o700);
    assert_eq!(mode("state"), 0o700);
    // Whatever is inside, nothing of it may be read by others.
    let mut open = vec![daemon.state()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let meta = entry.metadata().unwrap();
            // Everybody may read where a link leads; not what is there.
            if meta.is_symlink() {
                continue;
            }
            assert_eq!(meta.permissions().mode() & 0o077, 0, "{:?}", entry.path());
            if meta.is_dir() {
                open.push(entry.path());
            }
        }
    }
    let nonce: Vec<_> = daemon.agents().iter().map(|agent| agent.pid).collect();
    let environ = fs::read_to_string(format!("/proc/{}/environ", nonce[0])).unwrap();
    let mark = environ
        .split('\0')
        .find_map(|entry| entry.strip_prefix("AGENTD_ATTEMPT="));
    let secret = mark.unwrap().rsplit(':').next().unwrap().to_owned();
    let _said = daemon.ctl(&["kill", "2"]).ok();
    daemon.wait(long);
    daemon.terminate();
    let log = daemon.log();
    assert!(log.contains("finished"), "{log}");
    for hidden in ["hidden-in", &secret] {
        assert!(!log.contains(hidden), "{hidden}");
    }
}
