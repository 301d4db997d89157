//! What an agent in a sandbox can do, and what not.
//!
//! The directories of these tests are not in `/tmp`, where it may write.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use agentd_tests::{Repo, TestDaemon, program};
use tempfile::TempDir;

/// A daemon whose state is where no agent may write, and a place beside it.
pub(super) struct Place {
    pub(super) daemon: TestDaemon,
    pub(super) dir: TempDir,
}

impl Place {
    pub(super) fn new(more: &str) -> Self {
        let place = Self::prepared(more);
        let Self { mut daemon, dir } = place;
        daemon.launch();
        Self { daemon, dir }
    }

    pub(super) fn prepared(more: &str) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut daemon = TestDaemon::prepared("");
        let state = dir.path().join("home/state");
        fs::create_dir_all(dir.path().join("home/kept")).unwrap();
        daemon.use_state(String::leak(state.to_str().unwrap().to_owned()));
        let place = Self { daemon, dir };
        fs::write(place.at("secrets.env"), "KEY=hush\n").unwrap();
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(place.at("secrets.env"), private).unwrap();
        place.daemon.configure(&format!(
            "[daemon]\nmax_running = 4\n[agents.boxed]\ntype = \"command\"\nsandbox = true\n\
             env_file = {:?}\n{}",
            place.at("secrets.env"),
            more.replace("DIR", place.dir.path().to_str().unwrap())
        ));
        place
    }

    pub(super) fn at(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    pub(super) fn repo(&self) -> Repo {
        Repo::new(Path::new(&self.at("app")), &self.daemon.home())
    }

    /// What a script of this agent has said, and how its task ended.
    fn said(&self, agent: &str, repo: &Repo, script: &str) -> (String, String) {
        let line = ["--agent", agent, "--repo", repo.arg(), "--", "sh", "-c"];
        let task = self.daemon.submit(&[&line[..], &[script]].concat());
        let ended = self.daemon.wait(task);
        let logs = self.daemon.ctl(&["logs", "--raw", &task.to_string()]).ok();
        (
            logs.text().to_owned(),
            ended["state"].as_str().unwrap().to_owned(),
        )
    }
}

/// Each word that was tried, and whether that came off.
fn tries(tried: &[(&str, String)]) -> String {
    let one = |(name, what): &(&str, String)| {
        format!("if ({what}) >/dev/null 2>&1; then echo '{name} yes'; else echo '{name} no'; fi\n")
    };
    tried.iter().map(one).collect()
}

fn answers(tried: &[(&str, String)], answer: &str) -> String {
    let lines = tried.iter().map(|(name, _)| format!("{name} {answer}\n"));
    lines.collect()
}

#[test]
fn it_writes_where_it_works_and_nowhere_else() {
    let place = Place::new("writable = [\"DIR/home/kept\"]\n");
    let repo = place.repo();
    let (outside, other) = (place.at("home/file"), place.at("home/other"));
    let prepare = || {
        fs::write(&outside, "precious").unwrap();
        fs::create_dir_all(&other).unwrap();
    };
    prepare();
    fs::write(place.daemon.state().join(".config"), "").unwrap();
    let needed = [
        (
            "work",
            "echo x >file && mkdir dir && mv file dir/ && rm -r dir".to_owned(),
        ),
        (
            "commit",
            "echo x >new && git add new && git commit -qm new".to_owned(),
        ),
        ("branch", "git branch side && git stash list".to_owned()),
        ("temporary", "t=$(mktemp) && echo x >$t && rm $t".to_owned()),
        ("kept", format!("echo x >{}", place.at("home/kept/$$"))),
        (
            "null",
            "echo x >/dev/null && head -c 1 /dev/urandom".to_owned(),
        ),
        ("read", format!("grep precious {outside}")),
        ("children", "sleep 1000 & kill $!".to_owned()),
        // The directory may be a home, too.
        (
            "config",
            format!("cat {}/.config", place.daemon.state().display()),
        ),
        ("secret", "test $KEY = hush".to_owned()),
        (
            "report",
            format!("{} report progress half", program("agentctl").display()),
        ),
    ];
    let (said, state) = place.said("boxed", &repo, &tries(&needed));
    assert_eq!((said, &*state), (answers(&needed, "yes"), "succeeded"));

    let forbidden = [
        ("write", format!("echo x >>{outside}")),
        ("empty", format!("truncate -s 0 {outside}")),
        ("make", format!("echo x >{outside}.new")),
        ("directory", format!("mkdir {other}/new")),
        ("link", format!("ln {outside} here")),
        ("move", format!("mv {outside} {outside}.moved")),
        ("config", "git config core.fsmonitor evil".to_owned()),
        (
            "hook",
            "echo x >$(git rev-parse --git-path hooks)/pre-commit".to_owned(),
        ),
        (
            "detached",
            format!("setsid -w env -i sh -c 'echo x >{outside}'"),
        ),
        ("remove", format!("rm -f {outside} && test ! -e {outside}")),
    ];
    let (said, state) = place.said("boxed", &repo, &tries(&forbidden));
    assert_eq!((said, &*state), (answers(&forbidden, "no"), "succeeded"));
    assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 0);

    // The same comes off without: that is what keeps it from it.
    for one in forbidden {
        prepare();
        let (said, _) = place.said("shell", &repo, &tries(std::slice::from_ref(&one)));
        assert_eq!(said, format!("{} yes\n", one.0));
        fs::remove_dir_all(&other).unwrap();
    }
}

#[test]
fn it_sees_no_secret_of_others_and_signals_nobody() {
    let place = Place::new("");
    let repo = place.repo();
    let victim = place.daemon.sh("exec sleep 1000");
    place.daemon.wait_state(victim, "running");
    let state = place.daemon.state();
    let state = state.display();
    let daemon = place.daemon.pid();
    let runner = place.daemon.runners()[0].pid;
    let forbidden = [
        ("store", format!("head -c 1 {state}/agentd.redb")),
        ("launch", format!("cat {state}/attempts/*/launch")),
        (
            "transcript",
            format!("find {state}/attempts -type f -exec cat {{}} + | grep ."),
        ),
        ("backups", format!("ls {state}/backups/* | xargs -r cat")),
        ("env_file", format!("cat {}", place.at("secrets.env"))),
        (
            "environment",
            format!("tr -d '\\0' </proc/{runner}/environ | grep ."),
        ),
        ("memory", format!("head -c 1 /proc/{daemon}/mem")),
        ("daemon", format!("kill -0 {daemon}")),
        ("runner", format!("kill -0 {runner}")),
        ("own", "kill -0 $PPID".to_owned()),
        (
            "perfmon",
            "test $((0x$(sed -n 's/CapEff:.//p' /proc/self/status) >> 38 & 1)) = 1".to_owned(),
        ),
        (
            "rights",
            "grep -q 'NoNewPrivs:.0' /proc/self/status".to_owned(),
        ),
    ];
    let (said, _) = place.said("boxed", &repo, &tries(&forbidden));
    assert_eq!(said, answers(&forbidden, "no"));
    // What its user may do: who is not root has no such capability.
    let all = nix::unistd::geteuid().is_root();
    let some = forbidden.iter().filter(|(name, _)| match *name {
        "memory" | "own" => false,
        "perfmon" => all,
        _ => true,
    });
    let some: Vec<_> = some.cloned().collect();
    let (said, _) = place.said("shell", &repo, &tries(&some));
    assert_eq!(said, answers(&some, "yes"));
    assert_eq!(place.daemon.state_of(victim), "running");
}

/// What sets a workspace up may have been written by the agent before.
#[test]
fn the_setup_is_in_the_sandbox_too() {
    let place = Place::prepared("");
    let outside = place.at("home/file");
    let repo = place.repo();
    let config = fs::read_to_string(place.daemon.path("config.toml")).unwrap();
    place.daemon.configure(&format!(
        "{config}\n[repos.app]\npath = {:?}\nsetup = [\"sh\", \"-c\", \"echo x >{outside}\"]\n",
        repo.arg()
    ));
    let Place { mut daemon, dir } = place;
    daemon.launch();
    let place = Place { daemon, dir };
    let line = ["--agent", "boxed", "--repo", repo.arg(), "--", "true"];
    let task = place.daemon.submit(&line);
    let ended = place.daemon.wait(task);
    assert_eq!(ended["failure_reason"], "workspace_failed", "{ended}");
    assert!(!Path::new(&outside).exists());
    let task = place.daemon.submit(&["--repo", repo.arg(), "--", "true"]);
    assert_eq!(place.daemon.wait(task)["state"], "succeeded");
    assert!(Path::new(&outside).exists());
}

#[track_caller]
fn is_refused(daemon: &TestDaemon, says: &str) {
    let task = daemon.submit(&["--agent", "boxed", "--", "touch", &daemon.arg("ran")]);
    let ended = daemon.wait(task);
    assert_eq!(ended["failure_reason"], "agent_missing", "{ended}");
    assert_eq!(
        ended["attempts"].as_array().map(Vec::len),
        Some(1),
        "{ended}"
    );
    let message = ended["message"].as_str().unwrap();
    assert!(message.contains(says), "{message}");
    assert!(!daemon.path("ran").exists(), "it was run");
}

#[test]
fn nothing_is_run_where_the_sandbox_would_not_hold() {
    let place = Place::new("writable = [\"DIR/home\"]\n");
    is_refused(&place.daemon, "which is to be hidden, is in");
    // A state directory in /tmp could be written by every one.
    let daemon = TestDaemon::with("[agents.boxed]\ntype = \"command\"\nsandbox = true\n");
    is_refused(&daemon, "is in /tmp, where it may write");
}

/// Here the kernel takes the rules and does not put them on.
#[test]
fn nothing_is_run_outside_of_a_sandbox_that_cannot_be_entered() {
    let mut place = Place::prepared("");
    let many = program("many-sandboxes").to_str().unwrap().to_owned();
    place.daemon.start_through(&[many]);
    place.daemon.launch();
    is_refused(&place.daemon, "does not take it into its sandbox");
    let task = place.daemon.sh("true");
    assert_eq!(place.daemon.wait(task)["state"], "succeeded");
}

/// Another repository cannot be had by leading git there.
#[test]
fn a_workspace_that_was_led_elsewhere_is_not_handed_out() {
    let place = Place::new("");
    let (repo, other) = (place.repo(), place.at("other"));
    let other = Repo::new(Path::new(&other), &place.daemon.home());
    let line = [
        "--agent",
        "boxed",
        "--repo",
        repo.arg(),
        "--issue",
        "7",
        "--",
        "sh",
        "-c",
    ];
    let lead = format!("echo 'gitdir: {}/.git' >.git", other.arg());
    let first = place.daemon.submit(&[&line[..], &[&lead]].concat());
    place.daemon.wait(first);
    let take = format!("echo x >{}/.git/config", other.arg());
    let second = place.daemon.submit(&[&line[..], &[&take]].concat());
    let ended = place.daemon.wait(second);
    assert_eq!(ended["state"], "failed", "{ended}");
    let config = fs::read_to_string(other.path().join(".git/config")).unwrap();
    assert!(config.contains("[core]"), "{config}");
}

/// It could name programs there that git runs for whoever asks, outside.
#[test]
fn git_is_not_asked_where_a_workspace_was_led_to() {
    let place = Place::new("");
    let repo = place.repo();
    let outside = place.at("home/escaped");
    let run = ["--agent", "boxed", "--repo", repo.arg(), "--issue", "8"];
    let line = [&run[..], &["--", "sh", "-c"]].concat();
    // A repository of its own in its workspace, with a monitor and a filter.
    let evil = format!(
        "git init -q evil && printf '#!/bin/sh\\ntouch {outside}\\ncat\\n' >monitor && \
         chmod +x monitor && cd evil && git config core.fsmonitor $PWD/../monitor && \
         git config filter.evil.clean $PWD/../monitor && cd .. && \
         echo '* filter=evil' >.gitattributes && echo \"gitdir: $PWD/evil/.git\" >.git"
    );
    let task = place.daemon.submit(&[&line[..], &[&evil]].concat());
    assert_eq!(place.daemon.wait(task)["state"], "succeeded");
    let listed = place.daemon.ctl(&["workspace", "ls"]);
    assert!(listed.text().contains("is not of"), "{listed:?}");
    let _pruned = place.daemon.ctl(&["prune", "--older-than", "0s"]).ok();
    let _differs = place.daemon.ctl(&["workspace", "diff", &task.to_string()]);
    let again = place.daemon.submit(&[&run[..], &["--", "true"]].concat());
    assert_eq!(place.daemon.wait(again)["state"], "failed");
    assert!(
        !Path::new(&outside).exists(),
        "it ran outside of its sandbox"
    );
}

#[test]
fn places_that_cannot_be_given_are_refused_with_the_file() {
    let place = Place::prepared("");
    for (lines, says) in [
        (
            "sandbox = true\nwritable = [\"/\"]",
            "leave sandbox out then",
        ),
        (
            "sandbox = true\nwritable = [\"/proc/sys\"]",
            "is the kernel's",
        ),
        (
            "sandbox = true\nwritable = [\"here\"]",
            "expected an absolute path",
        ),
        ("sandbox = true\nwritable = [\"/a/../b\"]", "leads upwards"),
        (
            "sandbox = true\nwritable = [\"/no/such\"]",
            "/no/such: No such file",
        ),
        ("writable = [\"/srv\"]", "wherever its user may"),
    ] {
        let config = format!("[agents.a]\ntype = \"command\"\n{lines}\n");
        place.daemon.configure(&config);
        let (code, said) = place.daemon.check_config();
        assert_eq!(code, Some(1), "{lines}: {said}");
        assert!(
            said.contains(says) && said.contains("agents.a.writable"),
            "{said}"
        );
    }
}
