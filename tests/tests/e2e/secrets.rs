//! Secrets of agents, and what people ask of them, stay where they belong.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use agentd_tests::{TestDaemon, wait_until};

/// Whatever has it in it is told apart from all else.
const SECRET: &str = "hush-d41d8cd98f00b204";
const PASSED: &str = "hush-7215ee9c7d9dc229";
const PROMPT: &str = "asked-9b74c9897bac770f";

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The files below a directory in which this text is.
fn holders(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut open = vec![dir.to_owned()];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        if meta.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if meta.is_file() {
            let bytes = fs::read(&path).unwrap();
            if memchr::memmem::find(&bytes, text.as_bytes()).is_some() {
                found.push(path);
            }
        }
    }
    found
}

/// The command lines of all processes.
fn command_lines() -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        all.extend(fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default());
    }
    all
}

fn token(daemon: &TestDaemon) -> String {
    let token = fs::read_to_string(daemon.path("token")).unwrap();
    token.trim().to_owned()
}

/// An agent that is given all of it, and waits at a gate when it has it.
fn started() -> (TestDaemon, agentd_tests::Gate, u64) {
    let mut daemon = TestDaemon::prepared("");
    private(&daemon.path("env"), &format!("FROM_FILE={SECRET}\n"));
    let gate = daemon.gate("gate");
    let script = format!(
        "cat >/dev/null; test $FROM_FILE = {SECRET} && test $PASSED = {PASSED} && \
         echo $AGENTD_TOKEN >{}; read _ <{}",
        daemon.arg("token"),
        gate.path()
    );
    private(&daemon.path("agent"), &format!("#!/bin/sh\n{script}\n"));
    daemon.configure(&format!(
        "[agents.knows]\ntype = \"command\"\ncommand = [\"sh\", {:?}]\n\
         env_file = {:?}\nenv_pass = [\"PASSED\"]\n",
        daemon.path("agent"),
        daemon.path("env")
    ));
    daemon.use_variable("PASSED", PASSED);
    daemon.launch();
    let task = daemon.submit(&["--agent", "knows", PROMPT]);
    wait_until("the agent has everything", || {
        fs::read_to_string(daemon.path("token")).is_ok_and(|token| token.ends_with('\n'))
    });
    (daemon, gate, task)
}

#[test]
fn no_command_line_shows_a_prompt_or_a_secret() {
    let (daemon, gate, task) = started();
    let token = token(&daemon);
    let lines = command_lines();
    // What runs is seen.
    assert!(memchr::memmem::find(&lines, daemon.arg("agent").as_bytes()).is_some());
    for hidden in [SECRET, PASSED, PROMPT, &token] {
        let seen = memchr::memmem::find(&lines, hidden.as_bytes());
        assert_eq!(seen, None, "{hidden}");
    }
    gate.open();
    assert_eq!(daemon.wait(task)["state"], "succeeded");
}

#[test]
fn secrets_are_in_no_log_no_answer_no_store_and_no_copy() {
    let (daemon, gate, task) = started();
    let token = token(&daemon);
    let secrets = [SECRET, PASSED, &token];
    // While it runs they are in what its runner was given, and nowhere else.
    for secret in secrets {
        for file in holders(&daemon.state(), secret) {
            assert!(
                file.ends_with(format!("attempts/{task}.1/launch")),
                "{file:?}"
            );
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{file:?}");
        }
    }
    let id = task.to_string();
    let copy = daemon.arg("copy.redb");
    let mut said = String::new();
    for call in [
        &["show", &id, "-o", "json"][..],
        &["show", &id],
        &["explain", &id],
        &["ls", "--all", "-o", "json"],
        &["status", "-o", "json"],
        &["agents", "-o", "json"],
        &["doctor", "-o", "json"],
        &["logs", &id],
        &["backup", &copy],
    ] {
        let told = daemon.ctl(call);
        said += told.text();
        said += &told.stderr;
    }
    gate.open();
    assert_eq!(daemon.wait(task)["state"], "succeeded");
    let events = daemon
        .ctl(&["watch", &id, "--since-start", "-o", "json"])
        .ok();
    assert!(events.text().contains("succeeded"), "{events:?}");
    said += events.text();
    said += &daemon.log();
    wait_until("its files are put away", || {
        !daemon.state().join(format!("attempts/{task}.1")).exists()
    });
    for secret in secrets {
        assert!(!said.contains(secret), "{secret}: {said}");
        assert_eq!(
            holders(&daemon.state(), secret),
            Vec::<PathBuf>::new(),
            "{secret}"
        );
        assert_eq!(holders(Path::new(&copy), secret), Vec::<PathBuf>::new());
    }
    // The prompt is kept for reruns, and no log has it.
    assert!(!holders(&daemon.state(), PROMPT).is_empty());
    assert!(!daemon.log().contains(PROMPT));
}

#[test]
fn nothing_is_listened_on_but_the_socket() {
    let daemon = TestDaemon::start();
    let task = daemon.sh("exec sleep 1000");
    daemon.wait_state(task, "running");
    let runner = daemon.runners()[0].pid;
    let mut sockets = Vec::new();
    for pid in [daemon.pid(), runner] {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
            let Ok(to) = fs::read_link(entry.unwrap().path()) else {
                continue;
            };
            let to = to.to_string_lossy().into_owned();
            let inode = to
                .strip_prefix("socket:[")
                .and_then(|to| to.strip_suffix(']'));
            sockets.extend(inode.map(str::to_owned));
        }
    }
    assert!(!sockets.is_empty());
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        let Ok(open) = fs::read_to_string(format!("/proc/net/{table}")) else {
            continue;
        };
        for line in open.lines().skip(1) {
            let inode = line.split_whitespace().nth(9).unwrap_or_default();
            assert!(!sockets.iter().any(|own| own == inode), "{table}: {line}");
        }
    }
}

/// Names in /tmp that somebody could make before us.
#[test]
fn nothing_is_made_in_the_directory_for_temporary_files() {
    let mut daemon = TestDaemon::prepared("");
    let temporary = daemon.path("tmp");
    fs::create_dir(&temporary).unwrap();
    daemon.use_variable("TMPDIR", &daemon.arg("tmp"));
    daemon.launch();
    let repo = daemon.repo("app");
    let task = daemon.submit(&["--repo", repo.arg(), "--", "sh", "-c", "echo x >new"]);
    assert_eq!(daemon.wait(task)["state"], "succeeded");
    let _copy = daemon.ctl(&["backup", &daemon.arg("copy.redb")]).ok();
    let left: Vec<_> = fs::read_dir(&temporary).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
