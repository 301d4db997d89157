//! Many submits at once, and the same one twice.

use std::{collections::BTreeSet, fs, sync::Arc};

use agentd_tests::{
    TestDaemon, fake_agent, reason,
    v1::{self, SubmitRequest},
};
use tokio::{sync::Barrier, task::JoinSet};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const TASKS: u64 = 500;
const CLIENTS: u64 = 8;

fn command(words: &[&str]) -> SubmitRequest {
    SubmitRequest {
        command: words.iter().map(|&word| word.to_owned()).collect(),
        ..SubmitRequest::default()
    }
}

/// The stable reason of a refusal, and the task that it names.
pub(crate) fn why(status: &Status) -> (String, Option<String>) {
    let info = status.get_details_error_info().expect("a reason");
    let task = info.metadata.get(reason::META_TASK).cloned();
    (info.reason, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_tasks_of_many_clients_run_once_each() {
    let daemon = TestDaemon::with("[daemon]\nmax_running = 8\n");
    fs::create_dir(daemon.path("slots")).unwrap();
    let line = fake_agent(["once", &daemon.arg("runs"), &daemon.arg("slots"), "8"]);
    let request = SubmitRequest {
        command: line,
        ..SubmitRequest::default()
    };
    let start = Arc::new(Barrier::new(usize::try_from(CLIENTS).unwrap()));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let (mut client, request) = (daemon.client().await, request.clone());
        let start = Arc::clone(&start);
        clients.spawn(async move {
            start.wait().await;
            let share = TASKS / CLIENTS + u64::from(number < TASKS % CLIENTS);
            let mut ids = Vec::new();
            for _ in 0..share {
                let answer = client.submit(request.clone()).await.unwrap();
                ids.push(answer.into_inner().task.unwrap().id);
            }
            // One client sees its tasks numbered in its order.
            assert!(ids.is_sorted(), "{ids:?}");
            ids
        });
    }
    let mut ids: Vec<u64> = clients.join_all().await.into_iter().flatten().collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=TASKS).collect::<Vec<_>>());

    let waited = daemon.ctl(&[
        "wait",
        &format!("1-{TASKS}"),
        "--timeout",
        "10m",
        "-o",
        "name",
    ]);
    assert_eq!(waited.code, 0, "{}", waited.stderr);

    // What the agents themselves wrote.
    let runs = fs::read_to_string(daemon.path("runs")).unwrap();
    assert!(!runs.contains("too many"), "more than 8 at once");
    let mut ran: Vec<u64> = runs.lines().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, ids, "each ran exactly once");

    let listed = daemon.ctl(&["ls", "--all", "-o", "json"]).json();
    let rows = listed["tasks"].as_array().unwrap();
    let newest_first: Vec<_> = rows.iter().map(|row| row["id"].as_u64().unwrap()).collect();
    assert_eq!(newest_first, (1..=TASKS).rev().collect::<Vec<_>>());
    for row in rows {
        assert_eq!(row["state"], "succeeded", "{row}");
        assert_eq!(row["attempt_count"], 1, "{row}");
        assert_eq!(row["attempt"]["exit"]["code"], 0, "{row}");
    }
    assert_eq!(listed["more"], 0);
    let revisions: BTreeSet<_> = rows.iter().map(|row| row["revision"].as_u64()).collect();
    assert_eq!(revisions.len(), rows.len(), "revisions are unique");

    let page = daemon.ctl(&["ls", "--limit", "7", "-o", "json"]).json();
    assert_eq!(page["tasks"].as_array().unwrap().len(), 7);
    assert_eq!(page["more"], TASKS - 7);
    let page = daemon.ctl(&["ls"]).ok();
    assert_eq!(page.text().lines().count(), 51, "a header and 50 rows");
    assert!(page.stderr.contains("450 more"), "{}", page.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_submits_of_a_key_at_once_make_one_task() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let gate = daemon.gate("gate");
    let waits = format!("read _ <{}", gate.path());
    for issue in 1..=20_u64 {
        let request = SubmitRequest {
            repo: repo.arg().to_owned(),
            issue: issue.to_string(),
            ..command(&["sh", "-c", &waits])
        };
        let mut racers = JoinSet::new();
        let start = Arc::new(Barrier::new(2));
        for _ in 0..2 {
            let (mut client, start) = (daemon.client().await, Arc::clone(&start));
            let request = request.clone();
            racers.spawn(async move {
                start.wait().await;
                client.submit(request).await
            });
        }
        let answers = racers.join_all().await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!((made.len(), refused.len()), (1, 1));
        let made = made
            .into_iter()
            .next()
            .unwrap()
            .unwrap()
            .into_inner()
            .task
            .unwrap();
        assert_eq!(made.id, issue, "a refusal takes no number");
        let refused = refused.into_iter().next().unwrap().unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
        let named = Some(made.id.to_string());
        assert_eq!(why(&refused), (reason::KEY_BUSY.to_owned(), named));
    }
    let busy = ["submit", "-C", repo.arg(), "--issue", "3", "--", "true"];
    daemon
        .ctl(&busy)
        .refused(4, &["task 3", "hint: ", "--queue", "--replace"]);
    assert_eq!(
        daemon
            .ctl(&["ls", "-o", "name"])
            .ok()
            .text()
            .lines()
            .count(),
        20
    );
}

#[test]
fn a_key_may_be_queued_for_or_taken_over() {
    let daemon = TestDaemon::start();
    let repo = daemon.repo("app");
    let gate = daemon.gate("gate");
    let waits = format!("read _ <{}", gate.path());
    let of_key = ["-C", repo.arg(), "--issue", "9"];
    let first = daemon.submit(&[&of_key[..], &["--", "sh", "-c", &waits]].concat());
    daemon.wait_state(first, "running");
    let behind = daemon.submit(&[&of_key[..], &["--queue", "--", "true"]].concat());
    let task = daemon.show(behind);
    assert_eq!(
        (&task["state"], &task["hold"]["kind"]),
        (&"queued".into(), &"key_busy".into())
    );
    assert_eq!(task["hold"]["task"], first);
    gate.open();
    assert_eq!(daemon.wait(first)["state"], "succeeded");
    assert_eq!(daemon.wait(behind)["state"], "succeeded");

    let old = daemon.submit(&[&of_key[..], &["--", "sh", "-c", &waits]].concat());
    daemon.wait_state(old, "running");
    let behind = daemon.submit(&[&of_key[..], &["--queue", "--", "true"]].concat());
    let submit = [&["submit"], &of_key[..], &["--replace", "--", "true"]].concat();
    let said = daemon.ctl(&submit).ok();
    assert!(
        said.stderr
            .contains("task 3, task 4 were cancelled: replaced by task 5"),
        "{said:?}"
    );
    let new = said.id();
    assert_eq!(daemon.wait(new)["state"], "succeeded");
    // Each of them names the other, and says that no person ended it.
    for replaced in [old, behind] {
        let replaced = daemon.show(replaced);
        assert_eq!(replaced["state"], "cancelled");
        assert_eq!(replaced["failure_reason"], "superseded");
        let message = replaced["message"].as_str().unwrap();
        assert!(message.starts_with("replaced by task 5"), "{replaced}");
    }
    let told = daemon.ctl(&["explain", "3"]).ok();
    let told = told.text();
    assert!(
        told.contains("it is to be stopped: replaced by task 5"),
        "{told}"
    );
    assert!(
        told.contains("no other attempt: a newer task took its place"),
        "{told}"
    );
    let told = daemon.ctl(&["explain", "5"]).ok();
    assert!(
        told.text().contains("  replaces task 3, task 4\n"),
        "{told:?}"
    );
    let old = daemon.show(old);
    // It began when the old one had ended, in the same worktree.
    let new = daemon.show(new);
    assert_eq!(new["attempt"]["workspace"], old["attempt"]["workspace"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    assert!(text(&new["attempt"]["claimed_at"]) >= text(&old["finished_at"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_makes_one_task_for_ever() {
    let mut daemon = TestDaemon::start();
    let request = SubmitRequest {
        request_id: "r-1".to_owned(),
        labels: [("a", "1"), ("b", "2"), ("c", "3")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..command(&["true"])
    };
    let mut racers = JoinSet::new();
    for _ in 0..4 {
        let (mut client, request) = (daemon.client().await, request.clone());
        racers.spawn(async move { client.submit(request).await.unwrap().into_inner() });
    }
    let answers = racers.join_all().await;
    let id = |answer: &v1::SubmitResponse| answer.task.as_ref().unwrap().id;
    assert!(answers.iter().all(|answer| id(answer) == 1), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| !answer.existing).count(), 1);
    daemon.wait(1);

    let other = SubmitRequest {
        priority: 1,
        ..request.clone()
    };
    for _ in 0..2 {
        let mut client = daemon.client().await;
        let again = client.submit(request.clone()).await.unwrap().into_inner();
        assert_eq!((id(&again), again.existing), (1, true));
        assert_eq!(again.task.unwrap().state(), v1::State::Succeeded);
        let refused = client.submit(other.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists);
        let reused = (reason::REQUEST_ID_REUSED.to_owned(), Some("1".to_owned()));
        assert_eq!(why(&refused), reused);
        drop(client);
        daemon.kill();
        daemon.launch();
    }
    let submit = |what| daemon.ctl(&["submit", "-q", "--request-id", "r-2", "--", what]);
    assert_eq!((submit("true").id(), submit("true").id()), (2, 2));
    submit("false").refused(4, &["task 2", "other contents", "hint: "]);
    assert_eq!(daemon.ctl(&["ls", "-o", "name"]).ok().text(), "2\n1\n");
}

#[test]
fn higher_priority_goes_first() {
    let daemon = TestDaemon::with("[daemon]\nmax_running = 1\n");
    let (gate, order) = (daemon.gate("gate"), daemon.arg("order"));
    daemon.sh(&format!("read _ <{}", gate.path()));
    let waiting = gate.reached();
    for (name, priority) in [("low", "-1"), ("plain", "0"), ("high", "5"), ("later", "5")] {
        let script = format!("echo {name} >>{order}");
        daemon.submit(&["--priority", priority, "--", "sh", "-c", &script]);
    }
    // One slot: nothing but the first runs yet.
    assert_eq!(
        daemon
            .ctl(&["ls", "--state", "queued", "-o", "name"])
            .text()
            .lines()
            .count(),
        4
    );
    gate.open();
    drop(waiting);
    assert_eq!(daemon.ctl(&["wait", "1-5", "--timeout", "60s"]).code, 0);
    assert_eq!(
        fs::read_to_string(order).unwrap(),
        "high\nlater\nplain\nlow\n"
    );
}
