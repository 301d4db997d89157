//! Lists, filters, formats; the daemon's own figures.

use agentd_tests::{TestDaemon, wait_until};
use serde_json::{Value, json};

/// The numbers that `ls` with these arguments names.
#[track_caller]
fn ids(daemon: &TestDaemon, args: &[&str]) -> Vec<u64> {
    let listed = daemon.ctl(&[&["ls", "-o", "name"], args].concat()).ok();
    let lines = listed.text().lines();
    lines.map(|line| line.parse().unwrap()).collect()
}

#[test]
fn filters_narrow_the_list() {
    let daemon = TestDaemon::with(
        "[daemon]\nmax_running = 1\n[agents.other]\ntype = \"command\"\ncommand = [\"false\"]\n",
    );
    let (app, web) = (daemon.repo("app"), daemon.repo("web"));
    assert!(ids(&daemon, &[]).is_empty());
    daemon.submit(&[
        "-C",
        app.arg(),
        "--issue",
        "1",
        "--label",
        "team=a",
        "--",
        "true",
    ]);
    daemon.submit(&[
        "-C",
        web.arg(),
        "--issue",
        "1",
        "--label",
        "team=b",
        "--",
        "false",
    ]);
    daemon.submit(&[
        "-a", "other", "--label", "team=a", "--label", "x=y", "prompt",
    ]);
    daemon.sh("exit 79");
    assert_eq!(daemon.ctl(&["wait", "1-4", "--timeout", "60s"]).code, 1);
    let gate = daemon.gate("gate");
    daemon.sh(&format!("read _ <{}", gate.path()));
    daemon.wait_state(5, "running");
    daemon.sh("true");
    let _said = daemon.ctl(&["cancel", "6"]).ok();
    daemon.sh("true");

    for (args, found) in [
        (&[][..], &[7, 6, 5, 4, 3, 2, 1][..]),
        (&["--failed"], &[4, 3, 2]),
        (&["--unsuccessful"], &[6, 4, 3, 2]),
        (&["--active"], &[7, 5]),
        (&["--state", "queued"], &[7]),
        (&["--state", "running,succeeded"], &[5, 1]),
        (&["--state", "aborted", "--state", "cancelled"], &[6, 4]),
        (&["-a", "other"], &[3]),
        (&["-a", "other", "--state", "queued"], &[]),
        (&["-C", app.arg()], &[1]),
        (&["-C", web.arg(), "--failed"], &[2]),
        (&["--issue", "1"], &[2, 1]),
        (&["--issue", "2"], &[]),
        (&["--label", "team=a"], &[3, 1]),
        (&["--label", "team=a", "--label", "x=y"], &[3]),
        (&["--since", "1h"], &[7, 6, 5, 4, 3, 2, 1]),
        (&["--until", "1h"], &[]),
        (&["--since", "2999-01-01"], &[]),
        (&["--limit", "2"], &[7, 6]),
        (&["--all", "--failed"], &[4, 3, 2]),
    ] {
        assert_eq!(ids(&daemon, args), found, "{args:?}");
    }
    // From a directory inside a repository, as a person would say it.
    let none = daemon.ctl(&["ls", "--issue", "2", "-o", "name"]).ok();
    assert_eq!((none.text(), none.stderr.as_str()), ("", ""));
    // Whoever waits is told why.
    let text = daemon.ctl(&["ls", "--state", "queued"]).ok();
    assert_eq!(text.text().lines().count(), 2, "{text:?}");
    gate.open();
    daemon.wait(7);
}

#[test]
fn every_format_names_the_same_tasks() {
    let daemon = TestDaemon::start();
    for code in ["0", "1", "0"] {
        daemon.sh(&format!("exit {code}"));
    }
    assert_eq!(daemon.ctl(&["wait", "1-3", "--timeout", "60s"]).code, 1);
    let of = |format: &str| daemon.ctl(&["ls", "-o", format]).ok();
    let json = of("json").json();
    assert_eq!(json["schema"], "agentctl.tasks/v1");
    let rows = json["tasks"].as_array().unwrap();
    let jsonl = of("jsonl");
    let lines: Vec<Value> = jsonl
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), rows.len());
    for (line, row) in lines.iter().zip(rows) {
        assert_eq!(line["schema"], "agentctl.task/v1");
        assert_eq!((&line["id"], &line["state"]), (&row["id"], &row["state"]));
        assert_eq!(
            daemon.show(row["id"].as_u64().unwrap())["attempt"],
            row["attempt"]
        );
    }
    for format in ["table", "wide"] {
        let table = of(format);
        let rows: Vec<_> = table.text().lines().collect();
        assert_eq!(rows.len(), 4, "{table:?}");
        for (row, id) in rows[1..].iter().zip(["3", "2", "1"]) {
            assert!(row.split_whitespace().any(|word| word == id), "{row}");
        }
        assert!(!table.text().contains('\u{1b}'), "no colour in a pipe");
    }
    assert_eq!(of("name").text(), "3\n2\n1\n");
    // Streamed lists are the same.
    let all = daemon.ctl(&["ls", "--all", "-o", "jsonl"]).ok();
    assert_eq!(all.text(), jsonl.text());
}

#[test]
fn the_status_counts_what_there_is() {
    let mut daemon = TestDaemon::with(
        "[daemon]\nmax_running = 2\n[agents.one]\ntype = \"command\"\ncommand = [\"sleep\", \"1000\"]\nmax_running = 1\n",
    );
    for _ in 0..3 {
        daemon.submit(&["-a", "one", "x"]);
    }
    daemon.wait_state(1, "running");
    let status = || daemon.ctl(&["status", "-o", "json"]).json();
    let now = status();
    assert_eq!(now["schema"], "agentctl.status/v1");
    assert_eq!(
        (&now["running"], &now["queued"]),
        (&1.into(), &2.into()),
        "{now}"
    );
    assert_eq!((&now["slots"], &now["phase"]), (&2.into(), &"ready".into()));
    assert_eq!(
        (&now["pid"], &now["incarnation"]),
        (&daemon.pid().into(), &1.into())
    );
    let agents = now["agents"].as_array().unwrap();
    let one = agents.iter().find(|agent| agent["name"] == "one").unwrap();
    assert_eq!(
        (&one["running"], &one["queued"], &one["slots"]),
        (&1.into(), &2.into(), &1.into())
    );
    let page = daemon.ctl(&["status"]).ok();
    assert!(page.text().contains(env!("CARGO_PKG_VERSION")), "{page:?}");
    let version = daemon.ctl(&["version"]).ok();
    let both = format!("agentctl {0}\nagentd {0}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(version.text(), both);
    daemon.kill();
    daemon.launch();
    wait_until("the attempt is adopted", || {
        let status = daemon.ctl(&["status", "-o", "json"]).json();
        status["phase"] == "ready" && status["recovery"]["adopted"] == 1
    });
    let now = daemon.ctl(&["status", "-o", "json"]).json();
    assert_eq!(
        (&now["incarnation"], &now["running"], &now["queued"]),
        (&2.into(), &1.into(), &2.into())
    );
}

#[test]
fn waiting_ends_as_asked() {
    let daemon = TestDaemon::start();
    let gate = daemon.gate("gate");
    let long = daemon.sh(&format!("read _ <{}", gate.path()));
    let held = gate.reached();
    let short = daemon.sh("exit 4");
    let any = daemon.ctl(&["wait", "1", "2", "--any", "-o", "name"]);
    assert_eq!((any.code, any.text()), (1, "2\n"), "{any:?}");
    let over = daemon.ctl(&["wait", "1-2", "--timeout", "50ms"]);
    assert_eq!(over.code, 8, "{over:?}");
    assert!(over.stderr.contains("1 of 2 tasks not ended"), "{over:?}");
    gate.open();
    drop(held);
    assert_eq!(daemon.wait(long)["state"], "succeeded");
    assert_eq!(daemon.ctl(&["wait", "1-2", "--propagate"]).code, 4);
    assert_eq!(daemon.wait(short)["state"], "failed");
}

#[test]
fn agents_tell_how_their_last_task_ended() {
    let daemon = TestDaemon::start();
    let last = || {
        let agents = daemon.ctl(&["agents", "-o", "json"]).json();
        let mut agents = agents["agents"].as_array().unwrap().iter();
        let shell = agents.find(|agent| agent["name"] == "shell").unwrap();
        shell["last_task"].clone()
    };
    assert_eq!(last(), Value::Null);
    let failing = daemon.sh("exit 3");
    daemon.wait(failing);
    let _said = daemon.ctl(&["pause"]).ok();
    daemon.sh("true");
    let shown = daemon.show(failing);
    let expected = json!({
        "id": failing,
        "state": "failed",
        "failure_reason": "agent_error",
        "finished_at": shown["finished_at"],
    });
    assert_eq!(last(), expected);
    let wide = daemon.ctl(&["agents", "-o", "wide"]).ok();
    assert!(wide.text().contains("  failed "), "{wide:?}");
}
