//! The daemon goes, in every way; what it had started goes on.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    process::Child,
};

use agentd_tests::{Gate, Output, TestDaemon, fake_agent, kill_pid, v1::WaitRequest, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// An agent that prints a line for each token, and exits with 7 at the end.
struct Paced {
    tokens: File,
    printed: usize,
    progress: std::path::PathBuf,
    task: u64,
}

impl Paced {
    fn start(daemon: &TestDaemon) -> Self {
        let pipe = daemon.gate("tokens");
        let progress = daemon.path("progress");
        // Both ends, so that opening waits for nobody.
        let tokens = OpenOptions::new()
            .read(true)
            .write(true)
            .open(pipe.path())
            .unwrap();
        let line = fake_agent(["paced", pipe.path(), progress.to_str().unwrap()]);
        let mut args = vec!["--".to_owned()];
        args.extend(line);
        let task = daemon.submit(&args);
        Self {
            tokens,
            printed: 0,
            progress,
            task,
        }
    }

    /// Has it print so many more, and waits for them.
    fn print(&mut self, lines: usize) {
        self.tokens.write_all(&vec![b'.'; lines]).unwrap();
        self.printed += lines;
        wait_until("the agent prints", || {
            fs::read_to_string(&self.progress).is_ok_and(|text| text == self.expected())
        });
    }

    fn expected(&self) -> String {
        (0..self.printed)
            .map(|index| format!("line {index}\n"))
            .collect()
    }

    /// Lets it come to its end.
    fn finish(self) -> String {
        self.expected()
    }
}

/// A call that goes on while the daemon comes and goes.
struct Live {
    child: Child,
    printed: std::path::PathBuf,
}

impl Live {
    /// Begins it, and waits until it has printed something: before that, a
    /// daemon that is not there is an error.
    fn begin(daemon: &TestDaemon, args: &[&str]) -> Self {
        let printed = daemon.path(args[0]);
        let child = daemon
            .agentctl()
            .command(args)
            .stdout(File::create(&printed).unwrap())
            .spawn()
            .unwrap();
        wait_until("it prints", || {
            fs::read(&printed).is_ok_and(|text| !text.is_empty())
        });
        Self { child, printed }
    }

    /// Waits for its end; what it has printed.
    #[track_caller]
    fn end(self) -> String {
        let ended = Output::wait(self.child);
        assert_eq!(ended.code, 0, "{ended:?}");
        fs::read_to_string(self.printed).unwrap()
    }
}

fn what(events: &[serde_json::Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["what"].as_str().unwrap())
        .collect()
}

#[test]
fn an_agent_outlives_its_daemon_and_nothing_of_it_is_lost() {
    let mut daemon = TestDaemon::start();
    let mut agent = Paced::start(&daemon);
    let task = agent.task;
    agent.print(3);
    daemon.wait_state(task, "running");
    let before = daemon.show(task);
    let id = task.to_string();
    let followed = Live::begin(&daemon, &["logs", "-f", "--raw", &id]);
    let watched = Live::begin(&daemon, &["watch", &id, "--since-start", "-o", "jsonl"]);
    let waited = daemon
        .agentctl()
        .command(&["wait", &id, "--propagate"])
        .spawn()
        .unwrap();
    // Two that follow, one that waits, and the runner.
    wait_until("all are connected", || daemon.connections() == 4);
    for _ in 0..2 {
        agent.print(5);
        daemon.kill();
        // Nobody listens, and it goes on.
        agent.print(500);
        daemon.launch();
        wait_until("the attempt is adopted", || {
            daemon.ctl(&["status", "-o", "json"]).json()["recovery"]["adopted"] == 1
        });
        agent.print(5);
    }
    let expected = agent.finish();
    assert_eq!(followed.end(), expected);
    assert_eq!(Output::wait(waited).code, 7);

    let after = daemon.wait(task);
    assert_eq!(after["state"], "failed");
    assert_eq!(after["attempt"]["exit"]["code"], 7);
    assert_eq!(after["attempts"].as_array().unwrap().len(), 1);
    for same in ["agent_pid", "runner_pid", "started_at", "claimed_at"] {
        assert_eq!(after["attempt"][same], before["attempt"][same], "{same}");
    }
    assert_eq!(daemon.ctl(&["logs", "--raw", &id]).ok().text(), expected);

    // The journal tells of it, and who watched saw each entry once.
    let events = daemon.events(task);
    let story = [
        "submitted",
        "claimed",
        "workspace_ready",
        "registered",
        "started",
        "adopted",
        "adopted",
        "finished",
    ];
    assert_eq!(what(&events), story);
    let watched = watched.end();
    let seen: Vec<serde_json::Value> = watched
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(seen, events);
}

#[test]
fn a_task_that_ends_while_nobody_listens_keeps_its_true_end() {
    for runner_dies in [false, true] {
        let mut daemon = TestDaemon::start();
        let mut agent = Paced::start(&daemon);
        let task = agent.task;
        agent.print(1);
        daemon.wait_state(task, "running");
        daemon.kill();
        agent.print(1);
        let expected = agent.finish();
        let result = daemon.state().join(format!("attempts/{task}.1/result"));
        wait_until("the result is on disk", || result.exists());
        assert!(daemon.agents().is_empty(), "{:?}", daemon.agents());
        if runner_dies {
            let runners = daemon.runners();
            assert_eq!(runners.len(), 1, "it waits for its daemon: {runners:?}");
            kill_pid(runners[0].pid);
            wait_until("the runner is dead", || daemon.runners().is_empty());
        }
        daemon.launch();
        let ended = daemon.wait(task);
        assert_eq!(ended["attempt"]["exit"]["code"], 7, "{ended}");
        assert_eq!(ended["failure_reason"], "agent_error");
        assert_eq!(ended["attempt_count"], 1);
        let status = daemon.ctl(&["status", "-o", "json"]).json();
        let (end, start) = (&ended["attempt"]["ended_at"], &status["started_at"]);
        assert!(
            end.as_str().unwrap() < start.as_str().unwrap(),
            "{end} {start}"
        );
        assert_eq!(daemon.ctl(&["logs", "--raw", "1"]).ok().text(), expected);
        daemon.wait_no_process();
    }
}

#[test]
fn an_acknowledged_submit_is_never_lost_and_runs_once() {
    let mut daemon = TestDaemon::start();
    for round in 1..=12_u64 {
        let id = daemon.sh(&format!("echo $AGENTD_TASK >>{}", daemon.arg("ran")));
        daemon.kill();
        daemon.launch();
        assert_eq!(id, round);
    }
    let waited = daemon.ctl(&["wait", "1-12", "--timeout", "60s"]);
    assert_eq!(waited.code, 0, "{waited:?}");
    let ran = fs::read_to_string(daemon.path("ran")).unwrap();
    let mut ran: Vec<u64> = ran.lines().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, (1..=12).collect::<Vec<_>>());
}

#[test]
fn agents_go_on_over_an_orderly_stop() {
    let mut daemon = TestDaemon::start();
    let mut agent = Paced::start(&daemon);
    let task = agent.task;
    agent.print(2);
    daemon.wait_state(task, "running");
    let followed = Live::begin(&daemon, &["logs", "-f", "--raw", "1"]);
    assert!(daemon.terminate().success());
    assert!(daemon.log().contains("agents go on"));
    agent.print(2);
    daemon.launch();
    agent.print(2);
    // The same by the command.
    let said = daemon.ctl(&["shutdown"]).ok();
    assert!(said.stderr.contains("1 agent goes on"), "{said:?}");
    assert!(daemon.ended().success());
    agent.print(2);
    daemon.launch();
    let expected = agent.finish();
    assert_eq!(followed.end(), expected);
    assert_eq!(daemon.wait(task)["attempt"]["exit"]["code"], 7);
}

#[test]
fn a_shutdown_may_end_everything() {
    let mut daemon = TestDaemon::with("[daemon]\nmax_running = 2\n");
    for _ in 0..3 {
        daemon.submit(&[
            "--kill-grace",
            "100ms",
            "--",
            "sh",
            "-c",
            "trap '' TERM; sleep 1000; :",
        ]);
    }
    daemon.wait_state(2, "running");
    let _said = daemon.ctl(&["shutdown", "--cancel-all"]).ok();
    // The answer comes when all have ended: nothing is waited for here.
    assert!(daemon.agents().is_empty(), "{:?}", daemon.agents());
    assert!(daemon.ended().success());
    // No runner waits for the next daemon.
    daemon.wait_no_process();
    daemon.launch();
    for task in 1..=3 {
        assert_eq!(daemon.show(task)["state"], "cancelled");
    }
    daemon.wait_no_process();
}

#[test]
fn pause_holds_over_a_restart() {
    let mut daemon = TestDaemon::with(
        "[daemon]\nmax_running = 4\n[agents.other]\ntype = \"command\"\ncommand = [\"true\"]\n",
    );
    let _said = daemon.ctl(&["pause", "other"]).ok();
    let held = daemon.submit(&["-a", "other", "do it"]);
    let free = daemon.sh("true");
    assert_eq!(daemon.wait(free)["state"], "succeeded");
    let _said = daemon.ctl(&["pause"]).ok();
    let all = daemon.sh("true");
    for _ in 0..2 {
        assert_eq!(daemon.show(held)["hold"]["kind"], "paused");
        assert_eq!(daemon.show(all)["hold"]["kind"], "paused");
        daemon.kill();
        daemon.launch();
    }
    let _said = daemon.ctl(&["resume"]).ok();
    assert_eq!(daemon.wait(all)["state"], "succeeded");
    let task = daemon.show(held);
    assert_eq!(task["state"], "queued");
    assert_eq!(task["hold"]["kind"], "agent_paused");
    let _said = daemon.ctl(&["resume", "other"]).ok();
    assert_eq!(daemon.wait(held)["state"], "succeeded");
    let said = daemon.ctl(&["resume", "other"]).ok();
    assert!(said.stderr.contains("not paused"), "{said:?}");
    daemon
        .ctl(&["pause", "othr"])
        .refused(2, &["othr", "did you mean other?"]);
}

/// A runner that is alive and says nothing is left alone.
#[test]
fn a_runner_that_does_not_answer_is_not_given_up() {
    let mut daemon = TestDaemon::start();
    let mut agent = Paced::start(&daemon);
    let task = agent.task;
    agent.print(1);
    daemon.wait_state(task, "running");
    let runner = daemon.runners()[0].pid;
    let signal = |signal| kill(Pid::from_raw(i32::try_from(runner).unwrap()), signal).unwrap();
    signal(Signal::SIGSTOP);
    daemon.kill();
    daemon.launch();
    wait_until("the recovery is over", || {
        daemon.ctl(&["status", "-o", "json"]).json()["phase"] == "ready"
    });
    let status = daemon.ctl(&["status", "-o", "json"]).json();
    assert_eq!(status["recovery"]["unknown"], 1, "{status}");
    assert_eq!(daemon.state_of(task), "running");
    assert_eq!(daemon.agents().len(), 1);
    // Others are not held up by it.
    let other = daemon.sh("true");
    assert_eq!(daemon.wait(other)["state"], "succeeded");
    signal(Signal::SIGCONT);
    let expected = agent.finish();
    let ended = daemon.wait(task);
    assert_eq!(ended["attempt"]["exit"]["code"], 7);
    assert_eq!(ended["attempt_count"], 1);
    assert_eq!(daemon.ctl(&["logs", "--raw", "1"]).ok().text(), expected);
}

/// The daemon dies while git makes a worktree: nothing was started, so the
/// task begins anew.
#[test]
fn a_start_that_was_cut_short_is_made_again() {
    let mut daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let gate: Gate = daemon.gate("gate");
    super::hook(&repo, &format!("read _ <{}", gate.path()));
    let script = format!("git log --format=%s; echo ran >>{}", daemon.arg("ran"));
    let task = daemon.submit(&["-C", repo.arg(), "--", "sh", "-c", &script]);
    let held = gate.reached();
    daemon.kill();
    super::hook(&repo, "exit 0");
    daemon.launch();
    gate.open();
    drop(held);
    let ended = daemon.wait(task);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(fs::read_to_string(daemon.path("ran")).unwrap(), "ran\n");
    assert_eq!(daemon.ctl(&["logs", "--raw", "1"]).ok().text(), "first\n");
}

/// The daemon dies between the end of a task and the end of its runner: the
/// files of a live attempt, the agent's environment among them, do not stay.
#[tokio::test]
async fn files_of_ended_attempts_are_put_away_in_the_end() {
    let mut daemon = TestDaemon::start();
    for _ in 0..8 {
        let ids = vec![daemon.sh("echo done")];
        let request = WaitRequest {
            ids,
            ..WaitRequest::default()
        };
        // The answer comes at once, before all is tidied up.
        daemon.client().await.wait(request).await.unwrap();
        daemon.kill();
        daemon.launch();
    }
    // Those that still wait for an answer get it from this one.
    daemon.wait_no_process();
    daemon.kill();
    daemon.launch();
    let under_way = daemon.state().join("attempts");
    wait_until("the files are put away", || {
        fs::read_dir(&under_way).unwrap().next().is_none()
    });
    for task in 1..=8_u64 {
        let logs = daemon.ctl(&["logs", "--raw", &task.to_string()]).ok();
        assert_eq!(logs.text(), "done\n");
    }
}

/// What blocks signals hands that on to whatever it starts.
#[test]
fn a_daemon_hears_its_children_and_its_end_whoever_has_started_it() {
    let mut daemon = TestDaemon::prepared("");
    let signals = "CHLD,TERM,INT,HUP,USR1";
    daemon.start_through(&["env", &format!("--block-signal={signals}")]);
    daemon.launch();
    let task = daemon.sh("sh -c 'exit 3'");
    let ended = daemon.wait(task);
    assert_eq!(ended["attempt"]["exit"]["code"], 3, "{ended}");
    assert!(daemon.terminate().success());
}
