//! The figures agree with what the other verbs tell.

use std::{collections::BTreeMap, io::Write as _};

use agentd_tests::{TestDaemon, kill_pid, program, wait_until};

/// Two agents whose attempts may be repeated at once, with a slot for all.
const AGENTS: &str = "[daemon]\nmax_running = 8\n\
    [defaults]\ninitial_interval = \"1ms\"\n\
    [agents.a]\ntype = \"command\"\ncommand = [\"sh\"]\nmax_running = 3\n\
    [agents.b]\ntype = \"command\"\ncommand = [\"sh\"]\naccount = \"team\"\n";

/// Each sample by its name and labels, as they are written.
fn figures(daemon: &TestDaemon) -> BTreeMap<String, f64> {
    let told = daemon.ctl(&["metrics"]).ok();
    let lines = told.text().lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    samples.collect()
}

/// The sum of all samples of a family that hold all of these labels.
fn sum(figures: &BTreeMap<String, f64>, family: &str, labels: &[&str]) -> f64 {
    let of_family = figures.iter().filter(|(name, _)| {
        let rest = name.strip_prefix(family);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
    });
    let matching = of_family.filter(|(name, _)| labels.iter().all(|label| name.contains(label)));
    matching.map(|(_, value)| value).sum()
}

fn give(daemon: &TestDaemon, agent: &str, script: &str) -> u64 {
    daemon.submit(&["--agent", agent, script])
}

/// What `ls` shows: how many tasks are in each state, by agent and reason.
fn listed(daemon: &TestDaemon) -> BTreeMap<(String, String, String), f64> {
    let all = daemon.ctl(&["ls", "--all", "-o", "json"]).json();
    let mut counts = BTreeMap::new();
    for task in all["tasks"].as_array().unwrap() {
        let word = |key: &str| task[key].as_str().unwrap_or("none").to_owned();
        let key = (word("agent"), word("state"), word("failure_reason"));
        *counts.entry(key).or_default() += 1.0;
    }
    counts
}

/// Every row of `ls` is a sample, and there is nothing beside them.
#[track_caller]
fn agrees_with_the_list(daemon: &TestDaemon) {
    let (figures, listed) = (figures(daemon), listed(daemon));
    let mut known = 0.0;
    for ((agent, state, reason), count) in &listed {
        let active = ["queued", "starting", "running", "stopping"].contains(&state.as_str());
        let name = match active {
            true => format!("agentd_tasks{{agent=\"{agent}\",state=\"{state}\"}}"),
            false => format!(
                "agentd_tasks_finished_total{{agent=\"{agent}\",state=\"{state}\",reason=\"{reason}\"}}"
            ),
        };
        assert_eq!(figures.get(&name), Some(count), "{name}: {listed:?}");
        known += count;
    }
    let told = sum(&figures, "agentd_tasks", &[]);
    let told = told + sum(&figures, "agentd_tasks_finished_total", &[]);
    assert_eq!(told, known, "{figures:?}");
    assert_eq!(figures["agentd_store_tasks"], known);
}

#[test]
fn the_figures_are_those_of_the_list_and_of_usage() {
    let daemon = TestDaemon::with(AGENTS);
    let agentctl = program("agentctl");
    let report = format!(
        "{} report usage --input 100 --output 10 --cached 3 --cost-usd 1.25 || exit 9",
        agentctl.display()
    );
    let good = give(&daemon, "a", &report);
    let other = give(&daemon, "b", &report);
    let bad = give(&daemon, "a", "exit 3");
    for task in [good, other, bad] {
        daemon.wait(task);
    }
    // One whose first runner dies, and that is run again.
    let flag = daemon.arg("flag");
    let lost = give(
        &daemon,
        "b",
        &format!("[ -e {flag} ] && exit 0; touch {flag}; exec sleep 1000"),
    );
    wait_until("its first attempt runs", || {
        daemon.path("flag").exists() && daemon.state_of(lost) == "running"
    });
    kill_pid(daemon.runners()[0].pid);
    assert_eq!(daemon.wait(lost)["attempt_count"], 2);
    // One that is cancelled, one that waits, one that runs.
    let _said = daemon.ctl(&["pause", "b"]).ok();
    let cancelled = give(&daemon, "b", "true");
    let _said = daemon.ctl(&["cancel", &cancelled.to_string()]).ok();
    let _waits = give(&daemon, "b", "true");
    let runs = give(&daemon, "a", "exec sleep 1000");
    daemon.wait_state(runs, "running");

    agrees_with_the_list(&daemon);
    let told = figures(&daemon);
    let usage = daemon.ctl(&["usage", "--by", "agent", "-o", "json"]).json();
    for row in usage["rows"].as_array().unwrap() {
        let agent = format!("agent=\"{}\"", row["agent"].as_str().unwrap());
        let figure = |key: &str| row[key].as_f64().unwrap();
        let cost = sum(&told, "agentd_cost_usd_total", &[&agent]);
        assert_eq!(cost * 1e6, figure("cost_micro_usd"), "{usage}");
        for kind in ["input", "output", "cached"] {
            let of_kind = format!("kind=\"{kind}\"");
            let tokens = sum(&told, "agentd_tokens_total", &[&agent, &of_kind]);
            assert_eq!(tokens, figure(&format!("{kind}_tokens")), "{usage}");
        }
        let attempts = sum(&told, "agentd_attempts_claimed_total", &[&agent]);
        assert_eq!(attempts, row["attempts"].as_f64().unwrap(), "{usage}");
        let waits = sum(&told, "agentd_queue_wait_seconds_count", &[&agent]);
        assert_eq!(waits, attempts);
    }
    assert_eq!(sum(&told, "agentd_cost_usd_total", &[]), 2.5);
    for (name, value) in [
        (
            "agentd_tasks_requeued_total{agent=\"b\",reason=\"runner_lost\"}",
            1.0,
        ),
        (
            "agentd_attempts_finished_total{agent=\"b\",outcome=\"failed\",reason=\"runner_lost\"}",
            1.0,
        ),
        (
            "agentd_tasks_submitted_total{agent=\"a\",trigger=\"manual\"}",
            3.0,
        ),
        ("agentd_start_seconds_count{agent=\"a\"}", 3.0),
        ("agentd_run_seconds_count{agent=\"a\"}", 2.0),
        ("agentd_run_seconds_count{agent=\"b\"}", 3.0),
        ("agentd_slots_used", 1.0),
        ("agentd_slots_limit", 8.0),
        ("agentd_agent_slots_limit{agent=\"a\"}", 3.0),
        ("agentd_agent_slots_limit{agent=\"b\"}", 8.0),
        ("agentd_agent_paused{agent=\"a\"}", 0.0),
        ("agentd_agent_paused{agent=\"b\"}", 1.0),
        ("agentd_paused", 0.0),
        ("agentd_account_parked{account=\"team\"}", 0.0),
        ("agentd_phase{phase=\"ready\"}", 1.0),
        ("agentd_incarnation", 1.0),
        ("agentd_store_failures_total", 0.0),
        ("agentd_runner_heartbeats_late_total", 0.0),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name}: {told:?}");
    }
    let revision = daemon.ctl(&["status", "-o", "json"]).json()["revision"].as_f64();
    assert_eq!(told.get("agentd_store_revision").copied(), revision);
    // What was decided was committed, and nobody decides alone.
    let commits = told["agentd_store_commit_seconds_count"];
    assert!(commits > 10.0 && told["agentd_store_commit_seconds_sum"] > 0.0);
    assert!(told["agentd_turn_messages_sum"] >= commits, "{told:?}");
    let resident = told["agentd_process_resident_memory_bytes"];
    assert!((1e6..1e9).contains(&resident), "{resident}");
    assert!(told["agentd_process_open_fds"] < told["agentd_process_max_fds"]);
    assert!(told["agentd_process_cpu_seconds_total"] > 0.0);
}

#[test]
fn what_a_start_finds_is_counted_by_what_became_of_it() {
    let mut daemon = TestDaemon::with(AGENTS);
    let gate = daemon.gate("gate");
    let adopted = give(&daemon, "a", "exec sleep 1000");
    let dies = give(&daemon, "a", "exec sleep 1000");
    let ends = give(&daemon, "b", &format!("read _ <{}; exit 0", gate.path()));
    let mut waiting = gate.reached();
    for task in [adopted, dies, ends] {
        daemon.wait_state(task, "running");
    }
    let runner = daemon.show(dies)["attempt"]["runner_pid"].as_u64();
    daemon.kill();
    kill_pid(u32::try_from(runner.unwrap()).unwrap());
    waiting.write_all(b"\n").unwrap();
    wait_until("its runner has left", || daemon.runners().len() <= 2);
    daemon.launch();
    assert_eq!(daemon.wait(ends)["state"], "succeeded");
    wait_until("the dead one runs again", || {
        let shown = daemon.show(dies);
        shown["state"] == "running" && shown["attempt_count"] == 2
    });
    let told = figures(&daemon);
    for (result, count) in [
        ("adopted", 1.0),
        ("lost", 1.0),
        ("rebooted", 0.0),
        ("requeued", 0.0),
        ("unknown", 0.0),
        ("held", 0.0),
    ] {
        let name = format!("agentd_recovery_attempts{{result=\"{result}\"}}");
        assert_eq!(told.get(&name), Some(&count), "{name}: {told:?}");
    }
    // The third one had ended, or was on its way.
    let finished = sum(&told, "agentd_recovery_attempts", &[]);
    assert_eq!(finished, 3.0, "{told:?}");
    assert_eq!(told["agentd_incarnation"], 2.0);
    assert!(told["agentd_runner_reconnects_total"] >= 1.0, "{told:?}");
    // Active tasks are all there; counters began anew.
    let running = "agentd_tasks{agent=\"a\",state=\"running\"}";
    assert_eq!(told.get(running), Some(&2.0), "{told:?}");
    assert_eq!(sum(&told, "agentd_tasks_submitted_total", &[]), 0.0);
    assert_eq!(told["agentd_slots_used"], 2.0);
    let _said = daemon.ctl(&["kill", "1-2"]).ok();
    for task in [adopted, dies] {
        assert_eq!(daemon.wait(task)["state"], "cancelled");
    }
    assert_eq!(sum(&figures(&daemon), "agentd_tasks", &[]), 0.0);
}

#[test]
fn a_reload_changes_whose_series_there_are() {
    let daemon = TestDaemon::with(AGENTS);
    let runs = give(&daemon, "b", "exec sleep 1000");
    daemon.wait_state(runs, "running");
    let less = AGENTS.split("[agents.b]").next().unwrap();
    daemon.configure(less);
    let _said = daemon.ctl(&["reload"]).ok();
    let told = figures(&daemon);
    assert!(
        !told.keys().any(|name| name.contains("agent=\"b\"")),
        "{told:?}"
    );
    assert_eq!(
        told["agentd_tasks{agent=\"(other)\",state=\"running\"}"],
        1.0
    );
    let _said = daemon.ctl(&["kill", &runs.to_string()]).ok();
    daemon.wait(runs);
    let told = figures(&daemon);
    assert_eq!(
        told["agentd_tasks{agent=\"(other)\",state=\"running\"}"],
        0.0
    );
    let ended =
        "agentd_tasks_finished_total{agent=\"(other)\",state=\"cancelled\",reason=\"cancelled\"}";
    assert_eq!(told.get(ended), Some(&1.0), "{told:?}");
}

#[test]
fn both_forms_are_told() {
    let daemon = TestDaemon::start();
    let plain = daemon.ctl(&["metrics"]).ok();
    assert!(
        plain
            .text()
            .contains("# TYPE agentd_store_failures_total counter\n")
    );
    assert!(plain.text().contains("# TYPE agentd_build_info gauge\n"));
    let open = daemon.ctl(&["metrics", "--openmetrics"]).ok();
    assert!(open.text().ends_with("\n# EOF\n"), "{open:?}");
    assert!(
        open.text()
            .contains("# TYPE agentd_store_failures counter\n")
    );
    let version = format!(
        "agentd_build_info{{version=\"{}\"}} 1\n",
        env!("CARGO_PKG_VERSION")
    );
    assert!(plain.text().contains(&version) && open.text().contains(&version));
}
