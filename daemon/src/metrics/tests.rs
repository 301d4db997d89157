//! What is told, and that it is told as Prometheus reads it.

mod parse;
mod story;
mod told;

use proptest::prelude::*;

use self::{
    parse::{Family, parse},
    story::Story,
};
use super::*;
use crate::task::{
    id::Timestamp,
    moment::Moment,
    reason::FailureReason,
    state::{Hold, State},
    testing::{
        NONCE, cancel, claim, claimed, exited, exited_because, id, named, registered, running, spec,
    },
    usage::Usage,
};

fn metrics(agents: &[&str]) -> Arc<Metrics> {
    let metrics = Metrics::default();
    metrics.recount(agents.iter().copied(), []);
    Arc::new(metrics)
}

/// Nothing could be found.
fn nothing() -> Look {
    Look {
        version: "1",
        ..Look::default()
    }
}

/// Everything that can be found.
fn look() -> Look {
    Look {
        version: "9.9.9",
        incarnation: 3,
        phases: vec![("recovering", false), ("ready", true)],
        slots: 4,
        paused: Some(false),
        agents: vec![LookedAgent {
            name: "a".to_owned(),
            slots: 2,
            paused: Some(true),
        }],
        accounts: Some(vec![
            ("own".to_owned(), None),
            ("team".to_owned(), Some(Timestamp(1_700_000_000_500))),
        ]),
        store: Some(StoreSize {
            tasks: 5,
            events: 60,
            revision: 70,
        }),
        store_bytes: 1 << 20,
        state_free: Some(3 << 30),
        state_needed: 1 << 28,
        backup: Some((Timestamp(1_600_000_000_000), 4096)),
        started_at: Some(Timestamp(1_650_000_000_250)),
        process: Some(Process {
            cpu: 1.25,
            resident: 8 << 20,
            threads: 9,
            files: 20,
            most_files: Some(1024),
        }),
    }
}

#[track_caller]
fn page(metrics: &Arc<Metrics>, look: Look) -> Vec<Family> {
    let text = metrics.text(look, Format::Prometheus);
    parse(&text, Format::Prometheus).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

#[track_caller]
fn value(page: &[Family], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let family = page.iter().find(|family| family.name == name);
    family.and_then(|family| family.value(labels))
}

/// How many were observed, and their sum.
#[track_caller]
fn observed(page: &[Family], name: &str, labels: &[(&str, &str)]) -> (f64, f64) {
    let family = page.iter().find(|family| family.name == name).unwrap();
    let of = |part: &str| {
        let whole = format!("{name}_{part}");
        let samples = family.samples.iter().filter(|sample| sample.name == whole);
        let one = Family {
            samples: samples.cloned().collect(),
            ..family.clone()
        };
        one.value(labels).unwrap()
    };
    (of("count"), of("sum"))
}

/// One task of each fate.
fn eventful() -> Arc<Metrics> {
    let metrics = metrics(&["a", "b"]);
    let mut good = Story::begin(&metrics, 1, "a");
    let attempt = good.run();
    let usage = Usage {
        input: 100,
        output: 20,
        cached: 7,
        cost: Some(1_500_000),
        turns: 2,
    };
    good.uses(attempt, usage);
    let more = Usage {
        input: 150,
        cost: Some(2_000_000),
        ..usage
    };
    good.uses(attempt, more);
    good.at(3_000);
    good.then(&exited(attempt, 0));

    let mut bad = Story::begin(&metrics, 2, "a");
    let attempt = bad.run();
    bad.at(3_000);
    bad.then(&exited_because(attempt, FailureReason::ProviderUnreachable));
    // At the latest its backoff is over.
    bad.at(10_000);
    bad.then(&claim(NONCE));
    let attempt = named(2, 2, NONCE);
    bad.then(&registered(attempt, running()));
    bad.then(&exited(attempt, 3));

    let mut cancelled = Story::begin(&metrics, 3, "b");
    cancelled.then(&cancel(false));
    let _waits = Story::begin(&metrics, 4, "gone");
    metrics.turned(7, Some(Duration::from_millis(3)));
    metrics.turned(0, None);
    metrics
}

#[test]
fn what_happens_to_tasks_is_counted() {
    let page = page(&eventful(), look());
    for (name, labels, expected) in [
        (
            "agentd_tasks_submitted_total",
            &[("agent", "a"), ("trigger", "manual")][..],
            2.0,
        ),
        (
            "agentd_tasks_submitted_total",
            &[("agent", OTHER), ("trigger", "manual")],
            1.0,
        ),
        (
            "agentd_tasks",
            &[("agent", OTHER), ("state", "queued")],
            1.0,
        ),
        ("agentd_tasks", &[("agent", "a"), ("state", "queued")], 0.0),
        ("agentd_tasks", &[("agent", "a"), ("state", "running")], 0.0),
        (
            "agentd_tasks_finished_total",
            &[("agent", "a"), ("reason", "none"), ("state", "succeeded")],
            1.0,
        ),
        (
            "agentd_tasks_finished_total",
            &[
                ("agent", "a"),
                ("reason", "agent_error"),
                ("state", "failed"),
            ],
            1.0,
        ),
        (
            "agentd_tasks_finished_total",
            &[
                ("agent", "b"),
                ("reason", "cancelled"),
                ("state", "cancelled"),
            ],
            1.0,
        ),
        (
            "agentd_tasks_requeued_total",
            &[("agent", "a"), ("reason", "provider_unreachable")],
            1.0,
        ),
        ("agentd_attempts_claimed_total", &[("agent", "a")], 3.0),
        ("agentd_attempts_claimed_total", &[("agent", "b")], 0.0),
        (
            "agentd_attempts_finished_total",
            &[
                ("agent", "a"),
                ("outcome", "failed"),
                ("reason", "provider_unreachable"),
            ],
            1.0,
        ),
        (
            "agentd_attempts_finished_total",
            &[
                ("agent", "a"),
                ("outcome", "failed"),
                ("reason", "agent_error"),
            ],
            1.0,
        ),
        (
            "agentd_attempts_finished_total",
            &[("agent", "a"), ("outcome", "succeeded"), ("reason", "none")],
            1.0,
        ),
        ("agentd_cost_usd_total", &[("agent", "a")], 2.0),
        (
            "agentd_tokens_total",
            &[("agent", "a"), ("kind", "input")],
            150.0,
        ),
        (
            "agentd_tokens_total",
            &[("agent", "a"), ("kind", "output")],
            20.0,
        ),
        (
            "agentd_tokens_total",
            &[("agent", "a"), ("kind", "cached")],
            7.0,
        ),
        ("agentd_phase", &[("phase", "ready")], 1.0),
        ("agentd_phase", &[("phase", "recovering")], 0.0),
        ("agentd_agent_paused", &[("agent", "a")], 1.0),
        ("agentd_account_parked", &[("account", "own")], 0.0),
        ("agentd_account_parked", &[("account", "team")], 1.0),
        (
            "agentd_account_parked_until_timestamp_seconds",
            &[("account", "team")],
            1_700_000_000.5,
        ),
        ("agentd_process_start_time_seconds", &[], 1_650_000_000.25),
        ("agentd_process_cpu_seconds_total", &[], 1.25),
        ("agentd_build_info", &[("version", "9.9.9")], 1.0),
    ] {
        assert_eq!(
            value(&page, name, labels),
            Some(expected),
            "{name} {labels:?}"
        );
    }
    // Half a second each from submission, and the retry from the end of its backoff.
    let (count, sum) = observed(&page, "agentd_queue_wait_seconds", &[("agent", "a")]);
    assert_eq!(count, 3.0);
    assert!((1.0..8.0).contains(&sum), "{sum}");
    let starts = observed(&page, "agentd_start_seconds", &[("agent", "a")]);
    // The last one had been started before it was claimed, as clocks go.
    assert_eq!(starts, (3.0, 1.0));
    let (runs, _) = observed(&page, "agentd_run_seconds", &[("agent", "a")]);
    assert_eq!(runs, 3.0);
    assert_eq!(observed(&page, "agentd_turn_messages", &[]), (2.0, 7.0));
    assert_eq!(
        observed(&page, "agentd_store_commit_seconds", &[]),
        (1.0, 0.003)
    );
}

#[test]
fn what_waits_for_a_time_of_its_own_waits_from_then_on() {
    let now = Moment::of_wall(Timestamp(50_000));
    let waited = |hold: Hold, queued_since: Option<i64>| {
        let mut before = Task::submitted(id(1), spec("a"));
        before.state = State::Queued(hold);
        before.queued_since = queued_since.map(|at| Moment::of_wall(Timestamp(at)));
        let after = claimed(1, 1);
        Step::of(Some(&before), &after, now).waited
    };
    let until = Moment::of_wall(Timestamp(49_000));
    assert_eq!(waited(Hold::None, None), Some(49_000));
    assert_eq!(waited(Hold::None, Some(30_000)), Some(20_000));
    assert_eq!(waited(Hold::Scheduled { until }, None), Some(1_000));
    assert_eq!(waited(Hold::Backoff { until }, None), Some(1_000));
}

#[test]
fn a_reload_takes_series_away_and_begins_others() {
    let metrics = metrics(&["a", "b"]);
    let mut story = Story::begin(&metrics, 1, "a");
    let _other = Story::begin(&metrics, 2, "b");
    story.run();
    metrics.recount(["b", "c"], [&story.task]);
    let label = |agent| [("agent", agent), ("state", "running")];
    let told = page(&metrics, nothing());
    assert_eq!(value(&told, "agentd_tasks", &label("a")), None);
    assert_eq!(value(&told, "agentd_tasks", &label(OTHER)), Some(1.0));
    assert_eq!(value(&told, "agentd_tasks", &label("c")), Some(0.0));
    // What was counted of one that stays goes on.
    let submitted = [("agent", "b"), ("trigger", "manual")];
    assert_eq!(
        value(&told, "agentd_tasks_submitted_total", &submitted),
        Some(1.0)
    );
    // The end of a task is told where its agent is.
    story.at(3_000);
    story.then(&exited(named(1, 1, NONCE), 0));
    let told = page(&metrics, nothing());
    assert_eq!(value(&told, "agentd_tasks", &label(OTHER)), Some(0.0));
    let ended = [("agent", OTHER), ("reason", "none"), ("state", "succeeded")];
    assert_eq!(
        value(&told, "agentd_tasks_finished_total", &ended),
        Some(1.0)
    );
}

#[test]
fn there_is_an_end_of_series() {
    let names: Vec<String> = (0..2 * AGENTS)
        .map(|number| format!("agent{number}"))
        .collect();
    let metrics = Arc::new(Metrics::default());
    metrics.recount(names.iter().map(String::as_str), []);
    for (number, name) in (1..).zip(&names) {
        let mut story = Story::begin(&metrics, number, name);
        story.then(&cancel(true));
    }
    let told = page(&metrics, nothing());
    let family = told
        .iter()
        .find(|family| family.name == "agentd_tasks_finished_total");
    assert_eq!(family.unwrap().samples.len(), AGENTS + 1);
    let others = [
        ("agent", OTHER),
        ("reason", "cancelled"),
        ("state", "cancelled"),
    ];
    assert_eq!(
        value(&told, "agentd_tasks_finished_total", &others),
        Some(256.0)
    );
    let size = metrics.text(nothing(), Format::OpenMetrics).len();
    assert!(size < 2 << 20, "{size} bytes do not fit into an answer");
}

proptest! {
    /// What is counted up and down is what counting anew finds.
    #[test]
    fn the_count_of_active_tasks_is_kept(moves in prop::collection::vec((0_u64..6, 0_u8..4), 0..60)) {
        let metrics = metrics(&["a", "b"]);
        let agents = ["a", "b", "c"];
        let mut stories: BTreeMap<u64, Story> = BTreeMap::new();
        for (number, what) in moves {
            let agent = agents[usize::try_from(number % 3).unwrap()];
            let story = stories.entry(number).or_insert_with(|| Story::begin(&metrics, number + 1, agent));
            let queued = matches!(story.task.state, State::Queued(_));
            let attempt = named(number + 1, story.task.attempts, NONCE);
            let live = story.task.live_attempt().is_some();
            match what {
                0 if queued => { story.at(1_000_000); story.then(&claim(NONCE)); }
                1 if live => story.then(&exited(attempt, 1)),
                2 if live => story.then(&exited_because(attempt, FailureReason::RateLimited)),
                3 if queued => story.then(&cancel(true)),
                _ => {}
            }
        }
        let kept = metrics.text(look(), Format::Prometheus);
        let active = stories.values().map(|story| &story.task).filter(|task| task.state.is_active());
        metrics.recount(["a", "b"], active);
        prop_assert_eq!(kept, metrics.text(look(), Format::Prometheus));
    }
}
