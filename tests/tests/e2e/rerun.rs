//! Running a finished task again.

use std::sync::Arc;

use agentd_tests::{TestDaemon, reason, v1::RerunRequest};
use serde_json::Value;
use tokio::{sync::Barrier, task::JoinSet};
use tonic::Code;

use crate::submit::why;

#[test]
fn a_failed_task_runs_again_as_a_new_one() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let options = [
        "-C",
        repo.arg(),
        "--issue",
        "8",
        "--label",
        "team=web",
        "--priority",
        "3",
        "--model",
        "large",
        "--max-attempts",
        "2",
        "--title",
        "a title",
    ];
    let first = daemon.submit(&[&options[..], &["--", "sh", "-c", "exit 1"]].concat());
    let _settled = daemon.settled(first);
    let old = daemon.kept(first);
    let again = daemon.ctl(&["rerun", "1"]).ok();
    assert_eq!(again.text(), "2\n");
    let new = daemon.wait(2);
    for same in [
        "agent", "repo", "issue", "key", "labels", "priority", "model", "limits", "title",
        "command", "lineage",
    ] {
        assert_eq!(new[same], old[same], "{same}");
    }
    assert_eq!(
        (&new["rerun_of"], &new["trigger"]),
        (&1.into(), &"rerun".into())
    );
    assert_eq!(new["attempt"]["workspace"], old["attempt"]["workspace"]);
    // A rerun of a rerun is of the same lineage.
    assert_eq!(
        daemon
            .ctl(&["rerun", "@last-failed", "--model", "small"])
            .id(),
        3
    );
    let third = daemon.wait(3);
    assert_eq!(
        (&third["lineage"], &third["rerun_of"]),
        (&1.into(), &2.into())
    );
    assert_eq!(third["model"], "small");
    // The old one is as it was.
    assert_eq!(daemon.kept(first), old);
}

#[test]
fn the_prompt_can_be_changed() {
    let daemon = TestDaemon::start();
    let first = daemon.submit(&["-a", "shell", "echo one; exit 1"]);
    daemon.wait(first);
    assert_eq!(daemon.ctl(&["rerun", "1", "--prompt", "echo two"]).id(), 2);
    assert_eq!(daemon.wait(2)["state"], "succeeded");
    assert_eq!(
        daemon
            .ctl(&["rerun", "2", "--force", "--append-prompt", "echo three"])
            .id(),
        3
    );
    daemon.wait(3);
    assert_eq!(
        daemon.ctl(&["logs", "3", "--raw"]).ok().text(),
        "two\nthree\n"
    );
    daemon
        .ctl(&["rerun", "1", "--prompt", " "])
        .refused(2, &["the prompt is empty"]);
}

#[test]
fn what_cannot_run_again_is_refused() {
    let other = "[daemon]\nmax_running = 4\n\
                 [agents.other]\ntype = \"command\"\ncommand = [\"false\"]\n";
    let mut daemon = TestDaemon::with(other);
    let repo = daemon.repo("app");
    let gate = daemon.gate("gate");
    let of_key = ["-C", repo.arg(), "--issue", "1", "--", "sh", "-c"];
    let failed = daemon.submit(&[&of_key[..], &["exit 1"]].concat());
    daemon.wait(failed);
    let succeeded = daemon.sh("true");
    daemon.wait(succeeded);
    let foreign = daemon.submit(&["-a", "other", "x"]);
    daemon.wait(foreign);
    let active = daemon.submit(&[&of_key[..], &[&format!("read _ <{}", gate.path())]].concat());
    daemon.wait_state(active, "running");
    daemon.kill();
    daemon.configure("[daemon]\nmax_running = 4\n");
    daemon.launch();

    let before = daemon.ctl(&["ls", "-o", "name"]).ok();
    let refused = |args: &[&str], code, says: &[&str]| {
        daemon.ctl(&[&["rerun"], args].concat()).refused(code, says);
    };
    refused(&["99"], 3, &["99", "hint: agentctl ls"]);
    refused(
        &["4"],
        4,
        &["task 4", "running", "hint: ", "rerun 4 --replace"],
    );
    refused(&["1"], 4, &["task 4", "hint: ", "--queue"]);
    refused(&["2"], 4, &["succeeded", "hint: ", "--force"]);
    refused(&["3"], 4, &["\"other\"", "hint: "]);
    refused(&["0"], 2, &["counted from 1"]);
    assert_eq!(daemon.ctl(&["ls", "-o", "name"]).ok().text(), before.text());

    let some = daemon.ctl(&["rerun", "--force", "99", "2"]);
    assert_eq!((some.code, some.text()), (3, "5\n"), "the others are tried");
    daemon.wait(5);
    let queued = daemon.ctl(&["rerun", "1", "--queue"]).id();
    assert_eq!(daemon.show(queued)["hold"]["task"], 4);
    gate.open();
    assert_eq!(daemon.wait(queued)["state"], "failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_reruns_at_once_make_one_task() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let gate = daemon.gate("gate");
    // Fails at first, later it waits.
    let script = format!(
        "mkdir {} && exit 1; read _ <{}",
        daemon.arg("ran"),
        gate.path()
    );
    let first = daemon.submit(&["-C", repo.arg(), "--issue", "1", "--", "sh", "-c", &script]);
    daemon.wait(first);
    let mut racers = JoinSet::new();
    let start = Arc::new(Barrier::new(2));
    for _ in 0..2 {
        let (mut client, start) = (daemon.client().await, Arc::clone(&start));
        racers.spawn(async move {
            start.wait().await;
            let request = RerunRequest {
                id: 1,
                ..RerunRequest::default()
            };
            client.rerun(request).await
        });
    }
    let (made, refused): (Vec<_>, Vec<_>) =
        racers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (1, 1));
    let refused = refused.into_iter().next().unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
    assert_eq!(
        why(&refused),
        (reason::KEY_BUSY.to_owned(), Some("2".to_owned()))
    );

    // The same request is the same task, however often it comes.
    gate.open();
    daemon.wait(2);
    let request = RerunRequest {
        id: 1,
        request_id: "again".to_owned(),
        ..RerunRequest::default()
    };
    let mut client = daemon.client().await;
    for existing in [false, true, true] {
        let answer = client.rerun(request.clone()).await.unwrap().into_inner();
        assert_eq!((answer.task.unwrap().id, answer.existing), (3, existing));
    }
    gate.open();
    assert_eq!(daemon.wait(3)["rerun_of"], 1);
}

/// A queued task of the key gives way to a rerun; one of another agent stays.
#[test]
fn a_queued_task_of_the_key_is_superseded() {
    let daemon = TestDaemon::with("[agents.other]\ntype = \"command\"\ncommand = [\"true\"]\n");
    let repo = daemon.repo("app");
    let of_key = ["-C", repo.arg(), "--issue", "1"];
    let failed = daemon.submit(&[&of_key[..], &["--", "false"]].concat());
    daemon.wait(failed);
    let _said = daemon.ctl(&["pause"]).ok();
    let queued = daemon.submit(&[&of_key[..], &["--", "false"]].concat());
    let others = daemon.submit(&[&of_key[..], &["-a", "other", "x"]].concat());
    assert_eq!(daemon.ctl(&["rerun", "1"]).id(), 4);
    let gone = daemon.show(queued);
    assert_eq!(
        (&gone["state"], &gone["failure_reason"]),
        (&"cancelled".into(), &"superseded".into())
    );
    assert!(
        gone["message"].as_str().unwrap().contains("task 4"),
        "{gone}"
    );
    assert_eq!(daemon.show(others)["state"], "queued");
    assert_eq!(daemon.show(others)["attempt"], Value::Null);
}

/// The first of a lineage without an issue has no key, and all of the lineage
/// have one workspace: the rerun waits for the end of what it replaces.
#[test]
fn an_active_task_is_replaced_by_its_rerun_if_asked_for() {
    let daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let first = daemon.sh(&format!("read _ <{}", gate.path()));
    daemon.wait_state(first, "running");
    daemon.ctl(&["rerun", "1"]).refused(
        4,
        &["task 1 is still running", "agentctl rerun 1 --replace"],
    );
    let said = daemon.ctl(&["rerun", "1", "--replace"]).ok();
    assert_eq!(said.text(), "2\n");
    assert!(
        said.stderr
            .contains("task 1 was cancelled: replaced by task 2"),
        "{said:?}"
    );
    let old = daemon.wait(first);
    assert_eq!(
        (&old["state"], &old["failure_reason"]),
        (&"cancelled".into(), &"superseded".into())
    );
    daemon.wait_state(2, "running");
    let new = daemon.show(2);
    assert_eq!(new["rerun_of"], 1);
    assert_eq!(new["attempt"]["workspace"], old["attempt"]["workspace"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    assert!(text(&new["attempt"]["claimed_at"]) >= text(&old["finished_at"]));

    daemon
        .ctl(&["rerun", "1"])
        .refused(4, &["task 2 already runs task 1 again", "--replace"]);
    gate.open();
    assert_eq!(daemon.wait(2)["state"], "succeeded");
    // A queued one, too; and one that has succeeded is not active.
    let _said = daemon.ctl(&["pause"]).ok();
    let queued = daemon.submit(&["--", "true"]);
    assert_eq!(daemon.ctl(&["rerun", "3", "--replace"]).id(), 4);
    assert_eq!(daemon.show(queued)["failure_reason"], "superseded");
    assert_eq!(daemon.show(4)["hold"]["kind"], "paused");
    daemon
        .ctl(&["rerun", "2", "--replace"])
        .refused(4, &["task 2 succeeded", "--force"]);
}

#[test]
fn a_task_that_was_run_again_knows_as_what() {
    let daemon = TestDaemon::start();
    let first = daemon.sh("exit 1");
    daemon.wait(first);
    for again in 2..=3 {
        assert_eq!(daemon.ctl(&["rerun", "1"]).id(), again);
        daemon.wait(again);
    }
    let told = daemon.ctl(&["explain", "1"]).ok();
    let again =
        "its work was run again as task 2 (failed: agent_error), task 3 (failed: agent_error)";
    assert!(told.text().contains(again), "{told:?}");
    assert!(
        told.text().contains("agentctl rerun 3 runs it again"),
        "{told:?}"
    );
    let told = daemon.ctl(&["explain", "3", "-o", "json"]).json();
    assert_eq!(told["reruns"], Value::Array(Vec::new()), "{told}");
    let shown = daemon.show(1);
    let ids: Vec<_> = shown["reruns"].as_array().unwrap().iter().collect();
    assert_eq!((&ids[0]["id"], &ids[1]["id"]), (&2.into(), &3.into()));
    let page = daemon.ctl(&["show", "1"]).ok();
    assert!(
        page.text().contains("3 attempts (it and its reruns)"),
        "{page:?}"
    );
    assert!(
        page.text()
            .contains("2 (failed: agent_error), 3 (failed: agent_error)"),
        "{page:?}"
    );
}
