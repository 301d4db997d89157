//! Crash torture, a bounded piece of it; the long runs are a command of their
//! own (see `CONTRIBUTING.md`). A failure prints the seed and keeps the
//! directory.

#![expect(clippy::unwrap_used, reason = "tests")]

#[cfg(feature = "failpoints")]
mod ending;
#[cfg(feature = "failpoints")]
mod hanging;
#[cfg(feature = "failpoints")]
mod notices;
#[cfg(feature = "failpoints")]
mod pruning;

use std::time::{SystemTime, UNIX_EPOCH};

use agentd_tests::torture::{self, Options, Outcome, Target};

#[expect(
    clippy::disallowed_methods,
    reason = "another number each time, and it is printed"
)]
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

#[expect(clippy::print_stdout, reason = "figures and seed of the run")]
#[track_caller]
fn clean(outcome: &Outcome) {
    println!("{outcome}");
    assert!(outcome.violations.is_empty(), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_the_daemon_is_killed() {
    let options = Options {
        seed: seed(),
        target: Target::Daemon,
        kills: 25,
        tasks: 50,
        ..Options::default()
    };
    let outcome = torture::random(&options).await.unwrap();
    assert_eq!(outcome.daemons, 25);
    clean(&outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_runners_are_killed() {
    let options = Options {
        seed: seed(),
        target: Target::Runner,
        kills: 10,
        ..Options::default()
    };
    let outcome = torture::random(&options).await.unwrap();
    assert_eq!(outcome.runners, 10);
    clean(&outcome);
}

/// Needs `agentd-failpoints`: see `.ci/run`.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_at_any_failpoint() {
    let options = Options {
        seed: seed(),
        ..Options::default()
    };
    let outcome = torture::failpoints(&options).await.unwrap();
    assert!(outcome.drafts > 0, "{outcome}");
    clean(&outcome);
}
