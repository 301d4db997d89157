use proptest::prelude::*;

use super::*;
use crate::task::{
    event::{Event, Stage, Teller},
    id::{Nonce, Timestamp},
    limits::Limits,
    moment::Moment,
    observed::Observed,
    reason::{FailureReason, Outcome},
    state::{State, StopReason, Task},
    testing::{self, cancel, claim_after, exited, named, registered, started},
    transition::{Context, Decision, decide},
    usage::Usage,
};

const CONTEXT: Context = Context {
    now: Moment {
        wall: Timestamp(10_000),
        steady: None,
    },
    random: 0,
};

#[test]
fn money_is_told_with_the_decimals_that_it_has() {
    for (millionths, text) in [
        (0, "$0.00"),
        (5_200_000, "$5.20"),
        (1, "$0.000001"),
        (12_345_600, "$12.3456"),
    ] {
        assert_eq!(Dollars(millionths).to_string(), text);
    }
}

#[test]
fn a_budget_is_used_up_when_nothing_is_left_of_it() {
    let limits = Limits {
        max_cost: Some(5_000_000),
        max_tokens: Some(100),
        max_wall: Some(60_000),
        max_lineage_attempts: Some(3),
        ..Limits::default()
    };
    let used_up = |spend: Spend| spend.used_up(limits.budgets()).map(|used| used.to_string());
    let most = Spend {
        cost: 4_999_999,
        tokens: 99,
        wall: 59_999,
        attempts: 2,
    };
    assert_eq!(used_up(most), None);
    for (spend, words) in [
        (
            Spend {
                cost: 5_200_000,
                ..most
            },
            "max_cost_usd: $5.20 of $5.00",
        ),
        (
            Spend {
                tokens: 100,
                ..most
            },
            "max_tokens: 100 of 100",
        ),
        (
            Spend {
                wall: 61_000,
                ..most
            },
            "max_wall_time: 61 s of 60 s",
        ),
        (
            Spend {
                attempts: 3,
                ..most
            },
            "max_lineage_attempts: 3 of 3",
        ),
    ] {
        assert_eq!(used_up(spend).as_deref(), Some(words));
        assert_eq!(used_up(spend.minus(spend)), None);
    }
    // Without a word only attempts have a limit.
    let plenty = Spend {
        attempts: 24,
        ..Spend::default().plus(most)
    };
    assert_eq!(plenty.used_up(Limits::default().budgets()), None);
}

fn used(cost: u64) -> Observed {
    Observed {
        usage: Some(Usage {
            cost: Some(cost),
            ..Usage::default()
        }),
        ..Observed::default()
    }
}

/// A lineage: its newest task, and what the store knows of it.
struct Lineage {
    task: Task,
    spent: Spend,
    attempts: u32,
}

impl Lineage {
    /// Lets an event happen, and books an attempt that ends by it.
    fn happen(&mut self, event: &Event) {
        if let Decision::Apply(change) = decide(&self.task, event, CONTEXT) {
            let ended = self.task.live_attempt().is_some() && change.next.live_attempt().is_none();
            self.task = change.next;
            if let Some(attempt) = self.task.attempt.as_ref().filter(|_| ended) {
                self.spent = self.spent.plus(attempt.spend());
            }
        }
    }

    /// One attempt, which says what it has used and then ends in some way.
    fn attempt(&mut self, way: u8, cost: u64) {
        let nonce = Nonce([way; 16]);
        self.happen(&claim_after(nonce, self.spent));
        if self.task.live_attempt().is_none() {
            return;
        }
        let me = named(self.task.id.get(), self.task.attempts, nonce);
        if way.is_multiple_of(7) {
            self.happen(&Event::NeverStarted { attempt: me });
            return;
        }
        self.happen(&registered(me, Stage::Waiting));
        self.happen(&started(me));
        self.happen(&Event::Observed {
            attempt: me,
            observed: Box::new(used(cost)),
            by: Teller::Runner,
        });
        let mut end = exited(me, i32::from(way % 2));
        match way % 7 {
            1 => self.happen(&cancel(false)),
            2 => end = because(end, FailureReason::UsageLimit),
            3 => end = because(end, FailureReason::ProviderUnreachable),
            4 => {
                end = Event::Lost {
                    attempt: me,
                    reason: FailureReason::RunnerLost,
                };
            }
            _ => {}
        }
        self.happen(&end);
        // One that a budget has stopped counts, whatever it says of its end.
        let ending = self.task.attempt.as_ref().and_then(|a| a.ending.as_ref());
        let reason = ending.and_then(|ending| ending.reason);
        self.attempts += u32::from(reason != Some(FailureReason::UsageLimit));
    }

    /// A person runs it again; refused if nothing is left.
    fn rerun(&mut self) {
        let budgets = self.task.spec.limits.budgets();
        if self.spent.used_up(budgets).is_none() {
            let number = self.task.id.get() + 1;
            let mut spec = self.task.spec.clone();
            spec.lineage = Some(self.task.lineage());
            spec.rerun_of = Some(self.task.id);
            self.task = Task::submitted(testing::id(number), spec);
        }
    }
}

fn because(mut event: Event, reason: FailureReason) -> Event {
    if let Event::Exited {
        verdict: Some(verdict),
        ..
    } = &mut event
    {
        verdict.outcome = Outcome::Failed;
        verdict.reason = Some(reason);
    }
    event
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_lineage_keeps_its_budgets(
        ways in prop::collection::vec((any::<u8>(), 0_u64..40), 1..60),
        max_lineage_attempts in 1_u32..8,
        max_cost in 1_u64..100,
        max_attempts in 1_u32..5,
    ) {
        let mut first = testing::task(1);
        first.spec.limits = Limits {
            max_attempts: Some(max_attempts),
            max_cost: Some(max_cost),
            max_lineage_attempts: Some(max_lineage_attempts),
            ..Limits::default()
        };
        let mut lineage = Lineage { task: first, spent: Spend::default(), attempts: 0 };
        let mut dearest = 0;
        for (way, cost) in ways {
            lineage.attempt(way, cost);
            dearest = dearest.max(cost);
            if !lineage.task.state.is_active() {
                lineage.rerun();
            }
            prop_assert!(lineage.attempts <= max_lineage_attempts);
            prop_assert_eq!(lineage.spent.attempts, lineage.attempts);
            prop_assert!(lineage.spent.cost < max_cost + dearest.max(1));
        }
    }
}

#[test]
fn an_attempt_is_stopped_when_it_has_used_up_what_is_left() {
    let mut task = testing::task(1);
    task.spec.limits.max_cost = Some(100);
    task.spec.forgiven.cost = 50;
    let spent = Spend {
        cost: 90,
        ..Spend::default()
    };
    let me = named(1, 1, testing::NONCE);
    let observed = |cost| Event::Observed {
        attempt: me,
        observed: Box::new(used(cost)),
        by: Teller::Agent,
    };
    let mut lineage = Lineage {
        task,
        spent,
        attempts: 0,
    };
    for event in [
        claim_after(testing::NONCE, spent),
        registered(me, Stage::Waiting),
        started(me),
        observed(59),
    ] {
        lineage.happen(&event);
    }
    assert_eq!(lineage.task.state, State::Running);
    lineage.happen(&observed(60));
    let stopping = State::Stopping {
        reason: StopReason::Budget,
        forced: false,
    };
    assert_eq!(lineage.task.state, stopping);
    lineage.happen(&exited(me, 1));
    let State::Finished(ending) = &lineage.task.state else {
        panic!("{:?}", lineage.task.state);
    };
    assert_eq!(ending.reason, Some(FailureReason::BudgetExceeded));
    assert_eq!(lineage.spent.cost, 150);
}

#[test]
fn what_has_nothing_left_ends_without_an_attempt() {
    let mut task = testing::task(1);
    task.spec.limits.max_tokens = Some(100);
    let spent = Spend {
        tokens: 100,
        ..Spend::default()
    };
    let mut lineage = Lineage {
        task,
        spent,
        attempts: 0,
    };
    lineage.happen(&claim_after(testing::NONCE, spent));
    assert!(matches!(&lineage.task.state, State::Finished(ending)
        if ending.reason == Some(FailureReason::BudgetExceeded)
            && ending.message == "nothing is left of max_tokens: 100 of 100"));
    assert_eq!(lineage.task.attempts, 0);
}
