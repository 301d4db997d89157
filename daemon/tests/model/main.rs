//! A model checker over the project's own decisions: `decide`, `judge`,
//! `Schedule` and the runner's machine, surrounded by a small model of what
//! they stand in: a store that keeps what was committed, processes, locks and
//! files, and connections that break. Every order of events is tried, with
//! crashes of the daemon, of runners and of the machine between any two of
//! them, and between each commit and what follows it.
//!
//! What is left out, and why nothing is lost by it:
//!
//! - A turn takes one event. The dispatcher takes many into one commit when it
//!   is busy, and then there are fewer moments at which it can die.
//! - The messages of one connection keep their order; those of an old one may
//!   come late, between those of the next, or never. What was on its way to a
//!   daemon that died is lost; what it had sent may still arrive.
//! - There is no time: a limit may pass, a start may fail, and a guard may look
//!   at its lock at any moment, or after everything else; the first two as
//!   often as the budget allows.
//! - A kill of the whole tree succeeds. A tree whose runner died lives until it
//!   is swept, and for ever if it is not.
//! - Workspaces, transcripts, the contents of requests, and the question to a
//!   person when most attempts look dead at once (there are too few of them).
//!
//! The default run is small. `AGENTD_MODEL_FULL=1` adds the whole space of
//! two tasks, two attempts and two crashes; see `CONTRIBUTING.md`.

#![expect(clippy::print_stdout, reason = "the number of states is worth knowing")]

mod consequences;
mod dispatcher;
mod fault;
mod guard;
mod rules;
mod runner;
mod setup;
mod steps;
mod world;

use std::{
    collections::{BTreeSet, HashMap},
    thread::available_parallelism,
    time::Instant,
};

use fault::Fault;
use rules::Reached;
use setup::Setup;
use stateright::{Checker, HasDiscoveries, Model as _, Path};
use steps::Step;
use world::{Budget, World};

/// Set to anything, this environment variable asks for the whole space.
const FULL: &str = "AGENTD_MODEL_FULL";

const NOTHING: Budget = Budget {
    crashes: 0,
    cuts: 0,
    cancels: 0,
    evictions: 0,
    failures: 0,
};

fn setup(tasks: usize, budget: Budget) -> Setup {
    Setup {
        budget,
        ..Setup::new(tasks)
    }
}

/// Goes through every state; panics with the shortest steps to a bad one.
fn check(name: &str, setup: Setup) {
    let start = Instant::now();
    report(name, setup.checker().threads(threads()).spawn_bfs(), start);
}

/// As [`check`], for more states than there is room for: it remembers only
/// that it has seen them. The steps to a bad one are not the shortest.
fn check_many(name: &str, setup: Setup) {
    let start = Instant::now();
    report(name, setup.checker().threads(threads()).spawn_dfs(), start);
}

fn threads() -> usize {
    available_parallelism().map_or(1, usize::from)
}

fn report(name: &str, checker: impl Checker<Setup>, start: Instant) {
    let checker = checker.join();
    println!(
        "{name}: {} states, {} transitions, {} steps deep, {:.1?}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        start.elapsed()
    );
    for property in checker.model().properties() {
        let found = checker.discovery(property.name);
        if property.expectation.discovery_is_failure() {
            if let Some(path) = found {
                panic!("{name}: not true that {}: {}", property.name, told(path));
            }
        } else {
            assert!(found.is_some(), "{name}: never seen: {}", property.name);
        }
    }
}

fn told(path: Path<World, Step>) -> String {
    let steps = path.into_actions().into_iter();
    steps.map(|step| format!("\n  {step:?}")).collect()
}

#[test]
fn one_task_and_everything_that_can_go_wrong() {
    for (name, budget) in [
        ("no faults", NOTHING),
        (
            "crash, cut, cancel",
            Budget {
                crashes: 1,
                cuts: 1,
                cancels: 1,
                ..NOTHING
            },
        ),
        (
            "crash, failure",
            Budget {
                crashes: 1,
                failures: 1,
                ..NOTHING
            },
        ),
        (
            "cut, cancel, failure",
            Budget {
                cuts: 1,
                cancels: 1,
                failures: 1,
                ..NOTHING
            },
        ),
    ] {
        check(name, setup(1, budget));
    }
}

#[test]
fn one_task_and_two_crashes() {
    let budget = Budget {
        crashes: 2,
        cancels: 1,
        ..NOTHING
    };
    let setup = Setup {
        children: true,
        codes: &[0, 1],
        reaches: &[
            Reached::Succeeded,
            Reached::SucceededAgain,
            Reached::Failed,
            Reached::Cancelled,
            Reached::Interrupted,
            Reached::Rebooted,
        ],
        ..setup(1, budget)
    };
    check("two crashes, cancel", setup);
}

/// The second agent of an attempt is found by no rule to be one too many.
#[test]
fn one_task_whose_session_is_not_known() {
    let budgets = [
        Budget {
            crashes: 2,
            ..NOTHING
        },
        Budget {
            crashes: 1,
            cuts: 1,
            cancels: 1,
            ..NOTHING
        },
    ];
    for budget in budgets {
        let setup = Setup {
            stale: true,
            children: budget.cuts == 0,
            codes: &[0, 1],
            reaches: &[Reached::Afresh, Reached::Failed],
            ..setup(1, budget)
        };
        check("session not known", setup);
    }
}

/// What sets the repository up may end in any way, and what it leaves behind is
/// ended before the agent begins.
#[test]
fn one_task_whose_repository_is_set_up() {
    let budgets = [
        Budget {
            crashes: 2,
            ..NOTHING
        },
        Budget {
            crashes: 1,
            cuts: 1,
            cancels: 1,
            ..NOTHING
        },
        Budget {
            crashes: 1,
            failures: 1,
            ..NOTHING
        },
    ];
    for budget in budgets {
        let setup = Setup {
            sets_up: true,
            children: budget.cuts == 0,
            codes: &[0, 1],
            reaches: &[Reached::SetUp, Reached::SetupFailed, Reached::Failed],
            ..setup(1, budget)
        };
        check("repository set up", setup);
    }
    let setup = Setup {
        sets_up: true,
        stale: true,
        codes: &[0, 1],
        reaches: &[Reached::Afresh, Reached::SetupFailed],
        ..setup(1, budgets[0])
    };
    check("repository set up, session not known", setup);
}

/// Agents that never end by themselves have succeeded nevertheless, if they were
/// ended after their last word.
#[test]
fn a_last_word_counts_whatever_becomes_of_the_process() {
    let budget = Budget {
        crashes: 1,
        cancels: 1,
        failures: 1,
        ..NOTHING
    };
    let setup = Setup {
        endless: true,
        last_word: true,
        reaches: &[
            Reached::Succeeded,
            Reached::SucceededAgain,
            Reached::Cancelled,
        ],
        ..setup(1, budget)
    };
    check("last word, crash, cancel, failure", setup);
}

/// Whoever is ended from outside has not succeeded and not failed, unless it had
/// come to an end before.
#[test]
fn one_task_that_the_service_manager_ends() {
    let budget = Budget {
        crashes: 1,
        cuts: 1,
        cancels: 1,
        evictions: 1,
        ..NOTHING
    };
    let setup = Setup {
        children: true,
        codes: &[0, 1],
        last_word: true,
        reaches: &[Reached::SucceededAgain, Reached::Failed, Reached::Cancelled],
        ..setup(1, budget)
    };
    check("eviction, crash, cut, cancel", setup);
    let setup = Setup {
        budget: Budget {
            evictions: 2,
            ..NOTHING
        },
        sets_up: true,
        endless: true,
        codes: &[0],
        reaches: &[Reached::ScopeStopped],
        ..Setup::new(1)
    };
    check("repository set up, evictions", setup);
}

#[test]
fn two_tasks_side_by_side() {
    let budget = Budget {
        crashes: 1,
        ..NOTHING
    };
    let setup = Setup {
        reaches: &[Reached::BothAtOnce],
        ..setup(2, budget)
    };
    check("two tasks, crash", setup);
}

#[test]
fn two_tasks_of_one_key() {
    let budget = Budget {
        crashes: 1,
        cancels: 1,
        ..NOTHING
    };
    for replace in [false, true] {
        let setup = Setup {
            one_key: true,
            replace,
            ..setup(2, budget)
        };
        check("one key, crash, cancel", setup);
    }
}

/// Two tasks, two attempts, two crashes, cancels: every state that can be
/// reached. Takes minutes, and too long without `--release`.
#[test]
fn the_whole_space() {
    if std::env::var_os(FULL).is_none() {
        println!("set {FULL} to go through the whole space");
        return;
    }
    let crashes = Budget {
        crashes: 2,
        cancels: 1,
        ..NOTHING
    };
    let cuts = Budget {
        crashes: 2,
        cuts: 1,
        cancels: 1,
        ..NOTHING
    };
    let failures = Budget {
        failures: 1,
        ..cuts
    };
    check_many("one task, everything", setup(1, failures));
    for replace in [false, true] {
        let setup = Setup {
            one_key: true,
            replace,
            ..setup(2, cuts)
        };
        let name = if replace { "one replaces" } else { "one waits" };
        check_many(&format!("two tasks of one key, {name}"), setup);
    }
    check_many("two tasks side by side", setup(2, crashes));
}

/// What is claimed of the model: no run of steps is endless, so whoever is not
/// stuck comes to an end.
#[test]
fn no_run_of_steps_comes_back_to_where_it_was() {
    fn visit(setup: &Setup, world: World, seen: &mut HashMap<World, bool>) {
        match seen.get(&world) {
            Some(true) => panic!("steps lead back to {world:#?}"),
            Some(false) => return,
            None => {}
        }
        seen.insert(world.clone(), true);
        for step in world.steps(setup) {
            if let Some(next) = world.after(setup, step) {
                visit(setup, next, seen);
            }
        }
        seen.insert(world, false);
    }
    let everything = Budget {
        crashes: 1,
        cuts: 1,
        cancels: 1,
        ..NOTHING
    };
    let failing = Budget {
        crashes: 1,
        failures: 1,
        ..NOTHING
    };
    let evicted = Budget {
        crashes: 1,
        cancels: 1,
        evictions: 1,
        ..NOTHING
    };
    for budget in [everything, failing, evicted] {
        let setup = setup(1, budget);
        let mut seen = HashMap::new();
        for world in setup.init_states() {
            visit(&setup, world, &mut seen);
        }
        assert!(seen.len() > 1_000);
    }
}

/// The rules can be broken: each mistake leads to a state that one of them
/// forbids.
#[test]
fn mistakes_are_found() {
    let crashes = |crashes| Budget { crashes, ..NOTHING };
    let cancel = Budget {
        crashes: 1,
        cuts: 1,
        cancels: 1,
        ..NOTHING
    };
    let cancelled = Budget {
        crashes: 2,
        cancels: 1,
        ..NOTHING
    };
    for (fault, budget, rule) in [
        (Fault::ActsBeforeCommit, crashes(1), rules::ACKNOWLEDGED),
        (Fault::ActsBeforeCommit, crashes(1), rules::IDENTITY),
        (Fault::StartsWithoutGo, crashes(0), rules::IDENTITY),
        (Fault::StartsWithoutGo, crashes(2), rules::NO_ORPHAN),
        (Fault::MissesTheLock, crashes(1), rules::ONE_AGENT),
        (Fault::MissesTheResult, crashes(2), rules::RESULT),
        (Fault::BelievesAnOldLook, crashes(2), rules::ONE_AGENT),
        (Fault::ForgetsTheStart, cancelled, rules::NO_ORPHAN),
        (Fault::AdoptsUnwatched, crashes(2), rules::OWNER),
        (Fault::AdoptsUnwatched, crashes(2), rules::ENDS),
        (Fault::ReapsWithoutSweep, crashes(1), rules::NO_ORPHAN),
        (Fault::SpeaksToOldConnections, cancel, rules::ENDS),
        (Fault::NeverComesBack, cancel, rules::ENDS),
    ] {
        let setup = Setup {
            fault: Some(fault),
            // Whoever is not told to end does not.
            endless: rule == rules::ENDS && budget.cancels > 0,
            ..setup(1, budget)
        };
        let found = HasDiscoveries::AllOf(BTreeSet::from([rule]));
        let checker = setup.checker().finish_when(found).spawn_bfs().join();
        let path = checker.discovery(rule);
        let path = path.unwrap_or_else(|| panic!("{fault:?} does not break: {rule}"));
        println!("{fault:?} breaks: {rule}{}", told(path));
    }
}
