//! Reruns of issues that were closed meanwhile.

use std::fs;

use agentd_tests::{Repo, TestDaemon, v1::RerunRequest};

/// A daemon that asks a file for the state of issues, and a failed task of an
/// issue.
fn failed(required: bool) -> (TestDaemon, Repo) {
    let mut daemon = TestDaemon::prepared("");
    let repo = daemon.repo("app");
    daemon.configure(&format!(
        "[repos.app]\npath = {:?}\nissue_state = [\"cat\", \"{}/{{issue}}\"]\nrequire_issue_state = {required}\n",
        repo.arg(),
        daemon.arg("issues"),
    ));
    fs::create_dir(daemon.path("issues")).unwrap();
    daemon.launch();
    let failed = daemon.submit(&["-C", repo.arg(), "--issue", "7", "--", "false"]);
    assert_eq!(daemon.wait(failed)["state"], "failed");
    (daemon, repo)
}

fn set(daemon: &TestDaemon, state: &str) {
    fs::write(daemon.path("issues/7"), state).unwrap();
}

#[test]
fn a_closed_issue_is_not_worked_on() {
    let (daemon, _repo) = failed(false);
    set(&daemon, "CLOSED\n");
    daemon.ctl(&["rerun", "1"]).refused(
        5,
        &[
            "issue 7 of task 1 is closed",
            "hint: reopen the issue first",
        ],
    );
    assert_eq!(daemon.ctl(&["ls", "-o", "name"]).ok().text(), "1\n");
    set(&daemon, "open\n");
    assert_eq!(daemon.ctl(&["rerun", "1"]).id(), 2);
    assert_eq!(daemon.wait(2)["failure_reason"], "agent_error");
}

#[tokio::test]
async fn a_request_that_is_repeated_has_its_task_whatever_became_of_the_issue() {
    let (daemon, _repo) = failed(false);
    set(&daemon, "open\n");
    let request = RerunRequest {
        id: 1,
        request_id: "once".to_owned(),
        ..RerunRequest::default()
    };
    let mut client = daemon.client().await;
    for existing in [false, true] {
        let answer = client.rerun(request.clone()).await.unwrap().into_inner();
        assert_eq!((answer.task.unwrap().id, answer.existing), (2, existing));
        set(&daemon, "closed\n");
    }
}

#[test]
fn an_issue_that_is_closed_while_the_rerun_waits_ends_it() {
    let (daemon, _repo) = failed(false);
    set(&daemon, "open\n");
    let _said = daemon.ctl(&["pause"]).ok();
    assert_eq!(daemon.ctl(&["rerun", "1"]).id(), 2);
    set(&daemon, "closed\n");
    let _said = daemon.ctl(&["resume"]).ok();
    let ended = daemon.wait(2);
    assert_eq!(
        (&ended["state"], &ended["failure_reason"]),
        (&"cancelled".into(), &"issue_closed".into())
    );
    assert!(ended["attempt"]["exit"].is_null(), "no agent was started");
}

#[test]
fn a_forge_that_does_not_answer_is_a_note() {
    let (daemon, _repo) = failed(false);
    assert_eq!(daemon.ctl(&["rerun", "1"]).id(), 2);
    daemon.wait(2);
    let told = daemon.ctl(&["explain", "2"]).ok();
    let note = "whether issue 7 is open could not be found out: cat: ";
    assert!(told.text().contains(note), "{}", told.text());
}

#[test]
fn the_operator_may_require_an_answer() {
    let (daemon, _repo) = failed(true);
    daemon.ctl(&["rerun", "1"]).refused(
        4,
        &["cannot find out", "repos.app.require_issue_state = false"],
    );
}
