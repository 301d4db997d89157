//! Limits of use, budgets, and policies.

use super::*;

#[test]
fn held_by_the_limit_of_its_account() {
    let parked = v1::Sequel {
        follows: "parked".to_owned(),
        class: "quota".to_owned(),
        ..v1::Sequel::default()
    };
    let tale = held("quota", NOW + 75 * MINUTE, 0)
        .task(|task| task.hold.as_mut().unwrap().account = "team-a".to_owned())
        .runs(1)
        .event(
            "limited",
            "usage_limit: 5-hour limit reached",
            1,
            State::Running,
        )
        .sequel("usage_limit", parked)
        .event(
            "retry",
            "usage_limit: 5-hour limit reached; exit code 1",
            1,
            State::Queued,
        );
    insta::assert_snapshot!(tale.text());
}

fn five_dollars(told: &mut v1::ExplainResponse) {
    let limits = told.limits.as_mut().unwrap();
    limits.max_cost = Some(5_000_000);
    limits.max_lineage_attempts = Some(25);
}

#[test]
fn stopped_by_a_budget() {
    let why = "its lineage has used up max_cost_usd: $5.20 of $5.00";
    let tale = Tale::new(State::Failed)
        .told(five_dollars)
        .runs(1)
        .event("stop_requested", why, 1, State::Stopping)
        .sequel(
            "budget_exceeded",
            refused("limit", "a limit was reached", 1),
        )
        .finished(
            "budget_exceeded",
            "stopped, for a budget of its lineage is used up; signal 15",
            State::Failed,
        );
    insta::assert_snapshot!(tale.text());
}

#[test]
fn a_budget_that_was_overridden() {
    let spent = v1::Spend {
        cost: 200_000,
        tokens: 1_200,
        wall: 90_000,
        attempts: 1,
    };
    let tale = Tale::new(State::Running)
        .told(five_dollars)
        .task(|task| {
            task.rerun_of = 40;
            task.trigger = v1::Trigger::Rerun.into();
        })
        .told(|told| {
            told.ancestors = vec![relative(40, State::Failed, "budget_exceeded")];
            told.events[0].why =
                "rerun of task 40; budget overridden by ann: $5.20 were spent".to_owned();
        })
        .runs(1)
        .told(|told| {
            told.attempts[0].spent_before = Some(spent);
            told.waits = vec![v1::Wait {
                kind: "budget".to_owned(),
                at: NOW + 5 * MINUTE,
            }];
        });
    insta::assert_snapshot!(tale.text());
}

#[test]
fn retried_or_not_as_the_policy_says() {
    let reasons = |word: &str| {
        Some(v1::Reasons {
            reasons: vec![word.to_owned()],
        })
    };
    let why = "it is among the reasons that are not to be retried";
    let tale = Tale::new(State::Failed)
        .task(|task| {
            task.retry = Some(v1::RetryPolicy {
                initial_interval: Some(10_000),
                backoff_coefficient: Some(1_500),
                maximum_interval: None,
                retry_on: reasons("agent_error"),
                non_retryable: reasons("timeout"),
            });
        })
        .runs(1)
        .sequel("agent_error", retry("agent", 1, 0))
        .event("retry", "agent_error: exit code 3", 1, State::Queued)
        .runs(2)
        .sequel("timeout", refused("infrastructure", why, 2))
        .finished("timeout", "stopped after 3600000 ms", State::Failed);
    insta::assert_snapshot!(tale.text());
}
