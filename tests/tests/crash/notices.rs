//! The daemon dies while people are told of ends: each is told, in order, and at
//! most one of them once more.

use std::fs;

use agentd_tests::{TestDaemon, wait_until};

/// Where it dies: around a notice, and around the commit that moves the mark.
const POINTS: [&str; 4] = [
    "notify.tell.before",
    "notify.tell.after",
    "store.commit.before",
    "store.commit.after",
];
/// How often in a row it dies at each, at a later time of it.
const ROUNDS: u64 = 4;

#[test]
fn nobody_misses_an_end_wherever_it_dies() {
    let script = "echo $AGENTD_TASK $AGENTD_EVENT >>$HOME/told";
    let config = format!("[notify]\ncommand = [\"sh\", \"-c\", '{script}']\n");
    let mut daemon = TestDaemon::prepared(&config);
    let plans = daemon.use_failpoints();
    daemon.launch();
    let hits = |point| fs::metadata(plans.join(point)).map_or(0, |meta| meta.len());
    wait_until("it counts", || daemon.log().contains("from now on"));
    let deaths = || {
        let fired = fs::read_to_string(plans.join("fired")).unwrap_or_default();
        fired.lines().count()
    };
    let file = daemon.home().join("told");
    // Task and event of all that was told.
    let lines = || -> Vec<(u64, u64)> {
        let told = fs::read_to_string(&file).unwrap_or_default();
        let pairs = told.lines().filter_map(|line| line.split_once(' '));
        let numbers = pairs.map(|(task, event)| (task.parse().unwrap(), event.parse().unwrap()));
        numbers.collect()
    };
    let mut ended = Vec::new();
    for point in POINTS {
        for round in 1..=ROUNDS {
            // Each commit of a task and of its notice, in turn; if that has been by
            // the time it is planned, the next one.
            let first = hits(point) + round;
            let plan = (first..first + 50).map(|hit| format!("{point} kill {hit}\n"));
            fs::write(plans.join("plan"), plan.collect::<String>()).unwrap();
            let before = deaths();
            while deaths() == before {
                // It may be gone before it has answered; then nothing was taken.
                let asked = daemon.ctl(&["submit", "-q", "--", "true"]);
                if asked.code == 0 {
                    ended.push(asked.id());
                }
                let newest = ended.last().copied();
                wait_until("somebody is told, or it dies", || {
                    let is_told = newest.is_some_and(|task| lines().iter().any(|l| l.0 == task));
                    is_told || deaths() > before
                });
            }
            let _status = daemon.ended();
            fs::remove_file(plans.join("plan")).unwrap();
            daemon.launch();
        }
    }
    for task in &ended {
        assert_eq!(daemon.wait(*task)["state"], "succeeded");
    }
    let last = *ended.last().unwrap();
    wait_until("the last is told", || {
        lines().iter().any(|(task, _)| *task == last)
    });
    let lines = lines();
    // In the order of their events; what is told once more is the same.
    assert!(lines.is_sorted_by_key(|(_, event)| *event), "{lines:?}");
    for task in &ended {
        let own: Vec<_> = lines.iter().filter(|(id, _)| id == task).collect();
        assert!(!own.is_empty(), "nobody was told of {task}: {lines:?}");
        assert!(own.iter().all(|one| *one == own[0]), "{own:?}");
    }
    let repeated = lines.len() - {
        let mut once = lines.clone();
        once.dedup();
        once.len()
    };
    assert!((1..=deaths()).contains(&repeated), "{repeated}: {lines:?}");
}
