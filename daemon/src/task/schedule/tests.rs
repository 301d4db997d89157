use proptest::prelude::*;

use super::*;
use crate::task::state::Hold;
use crate::task::{
    state::StopReason,
    testing::{id, spec},
};

const NOW: Moment = Moment {
    wall: Timestamp(1_000_000),
    steady: None,
};

fn capacity(total: u32) -> Capacity {
    Capacity {
        total,
        ..Capacity::default()
    }
}

fn queued(number: u64, change: impl FnOnce(&mut crate::task::spec::TaskSpec)) -> Task {
    let mut spec = spec("shell");
    spec.created_at = Timestamp(1_000 + i64::try_from(number).unwrap());
    change(&mut spec);
    Task::submitted(id(number), spec)
}

fn started(schedule: &mut Schedule, task: &Task) -> Task {
    let mut task = task.clone();
    task.state = State::Starting;
    schedule.update(&task, NOW);
    task
}

fn order(schedule: &mut Schedule, tasks: &[Task]) -> Vec<u64> {
    for task in tasks {
        schedule.update(task, NOW);
    }
    let mut picked = Vec::new();
    while let Some(next) = schedule.pick() {
        picked.push(next.get());
        let task = tasks.iter().find(|t| t.id == next).unwrap();
        started(schedule, task);
    }
    picked
}

#[test]
fn older_numbers_first_even_if_the_clock_stepped_back() {
    let tasks = [
        queued(1, |s| s.created_at = Timestamp(9_000_000)),
        queued(2, |s| s.created_at = Timestamp(5_000_000)),
        queued(3, |s| s.created_at = Timestamp(9_000_001)),
    ];
    assert_eq!(order(&mut Schedule::new(capacity(9)), &tasks), [1, 2, 3]);
}

#[test]
fn priority_first_and_age_against_starving() {
    let late = AGEING * 2 + 5_000;
    let tasks = [
        queued(1, |_| ()),
        queued(2, |s| s.priority = 1),
        queued(3, |s| s.priority = -1),
        // Submitted so much later that two steps of priority do not help.
        queued(4, |s| {
            s.priority = 2;
            s.created_at = Timestamp(late);
        }),
    ];
    assert_eq!(order(&mut Schedule::new(capacity(9)), &tasks), [2, 1, 4, 3]);
}

#[test]
fn limits_of_agent_repo_and_all() {
    let limits = Capacity {
        total: 3,
        agents: [("slow".to_owned(), 1)].into(),
        repos: [(PathBuf::from("/r"), 1)].into(),
    };
    let tasks = [
        queued(1, |s| s.agent = "slow".to_owned()),
        queued(2, |s| s.agent = "slow".to_owned()),
        queued(3, |s| s.repo = Some("/r".into())),
        queued(4, |s| s.repo = Some("/r".into())),
        queued(5, |_| ()),
        queued(6, |_| ()),
    ];
    assert_eq!(order(&mut Schedule::new(limits), &tasks), [1, 3, 5]);
}

#[test]
fn one_in_place_task_a_checkout() {
    let in_place = |s: &mut crate::task::spec::TaskSpec| {
        s.repo = Some("/r".into());
        s.workspace_mode = WorkspaceMode::InPlace;
    };
    let tasks = [queued(1, in_place), queued(2, in_place)];
    let mut schedule = Schedule::new(capacity(9));
    assert_eq!(order(&mut schedule, &tasks), [1]);
    let mut done = tasks[0].clone();
    done.state = State::Finished(crate::task::attempt::Ending {
        outcome: crate::task::reason::Outcome::Succeeded,
        reason: None,
        message: String::new(),
        at: NOW.wall,
    });
    schedule.update(&done, NOW);
    assert_eq!(schedule.pick(), Some(id(2)));
}

#[test]
fn a_key_runs_one_after_the_other() {
    let keyed = |s: &mut crate::task::spec::TaskSpec| s.issue = Some("7".to_owned());
    let tasks = [queued(1, keyed), queued(2, keyed), queued(3, |_| ())];
    let mut schedule = Schedule::new(capacity(9));
    assert_eq!(order(&mut schedule, &tasks), [1, 3]);
    let key = tasks[0].spec.key().unwrap();
    assert_eq!(schedule.key_head(&key), Some(id(1)));
    // A retry of the first goes before the second.
    let mut again = tasks[0].clone();
    again.state = State::Queued(Hold::Backoff {
        until: NOW.plus_millis(5),
    });
    schedule.update(&again, NOW);
    assert_eq!(schedule.pick(), None);
    schedule.release(id(1));
    assert_eq!(schedule.pick(), Some(id(1)));
}

#[test]
fn what_is_paused_is_not_chosen() {
    let mut schedule = Schedule::new(capacity(9));
    schedule.update(&queued(1, |_| ()), NOW);
    assert!(schedule.set_paused(Some("shell"), true));
    assert!(!schedule.set_paused(Some("shell"), true));
    assert_eq!(schedule.pick(), None);
    assert!(schedule.set_paused(Some("shell"), false));
    assert!(schedule.set_paused(None, true));
    assert_eq!(schedule.pick(), None);
    schedule.set_paused(None, false);
    assert_eq!(schedule.pick(), Some(id(1)));
}

/// The rule, told slowly: over all tasks, by looking at each.
fn slow_pick(tasks: &BTreeMap<TaskId, Task>, limits: &Capacity) -> Option<TaskId> {
    let occupied: Vec<_> = tasks.values().filter(|t| t.state.is_occupied()).collect();
    if occupied.len() >= limits.total as usize {
        return None;
    }
    tasks
        .values()
        .filter(|t| matches!(t.state, State::Queued(Hold::None)))
        .filter(|t| {
            let key = t.spec.key();
            !tasks
                .values()
                .any(|o| key.is_some() && o.spec.key() == key && o.id < t.id && o.state.is_active())
        })
        .filter(|t| {
            let same = occupied
                .iter()
                .filter(|o| o.spec.agent == t.spec.agent)
                .count();
            limits
                .agents
                .get(&t.spec.agent)
                .is_none_or(|l| same < *l as usize)
        })
        .min_by_key(|t| {
            (
                t.spec.created_at.0 - i64::from(t.spec.priority) * AGEING,
                t.id,
            )
        })
        .map(|t| t.id)
}

proptest! {
    #[test]
    fn picks_what_the_slow_rule_picks(steps in prop::collection::vec((1u64..12, 0u8..6, 0u8..3, -2i32..3), 1..80)) {
        let limits = Capacity {
            total: 4,
            agents: [("a1".to_owned(), 2)].into(),
            ..Capacity::default()
        };
        let mut schedule = Schedule::new(limits.clone());
        let mut tasks: BTreeMap<TaskId, Task> = BTreeMap::new();
        for (number, act, agent, priority) in steps {
            let task = tasks.entry(id(number)).or_insert_with(|| queued(number, |s| {
                s.created_at = Timestamp(5_000);
                s.agent = format!("a{agent}");
                s.priority = priority;
                s.issue = (number % 3 == 0).then(|| (number % 2).to_string());
            }));
            let kept = task.state.is_active();
            match act {
                0 if kept => task.state = State::Starting,
                1 if kept => task.state = State::Running,
                2 if kept => task.state = State::Stopping { reason: StopReason::Cancel, forced: false },
                3 if kept => task.state = State::Finished(crate::task::attempt::Ending {
                    outcome: crate::task::reason::Outcome::Failed,
                    reason: None,
                    message: String::new(),
                    at: NOW.wall,
                }),
                4 if kept => task.state = State::Queued(Hold::Backoff { until: NOW.plus_millis(1) }),
                5 if kept => task.state = State::Queued(Hold::None),
                _ => {}
            }
            schedule.update(task, NOW);
            prop_assert_eq!(schedule.pick(), slow_pick(&tasks, &limits));
            let occupied = tasks.values().filter(|t| t.state.is_occupied()).count();
            prop_assert_eq!(schedule.occupied() as usize, occupied);
        }
    }
}
