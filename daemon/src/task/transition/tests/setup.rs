//! The time between Go and the agent, while a repository is set up.

use super::*;
use crate::task::deadline;

fn sets_up() -> Event {
    let (attempt, command) = (named(1, 1, NONCE), "npm ci".to_owned());
    Event::SettingUp { attempt, command }
}

fn registers_again() -> Event {
    let command = "npm ci".to_owned();
    registered(named(1, 1, NONCE), Stage::SettingUp { command })
}

fn progress(task: &Task) -> Option<&str> {
    let attempt = task.attempt.as_ref().unwrap();
    attempt.observed.progress.as_deref()
}

#[test]
fn a_repository_that_is_set_up_is_neither_starting_nor_the_agents_time() {
    let me = named(1, 1, NONCE);
    let mut limited = task(1);
    limited.spec.limits.timeout = Some(1);
    limited.spec.limits.max_wall = Some(1);
    let (starting, _) = after(limited, &to_running()[..2]);
    for event in [sets_up(), registers_again()] {
        let (task, effects) = after(starting.clone(), std::slice::from_ref(&event));
        let told = effects.is_empty() || effects == [Effect::CarryOn(me)];
        assert!(told, "{effects:?}");
        let attempt = task.attempt.as_ref().unwrap();
        assert_eq!((attempt.agent.as_ref(), attempt.started_at), (None, None));
        assert_eq!(attempt.phase, Phase::Registered);
        assert_eq!((&task.state, task.started), (&State::Running, true));
        assert_eq!(deadline::waits(&task, NOW), [None, None]);
        assert_eq!(progress(&task), Some("setup: npm ci"));
        // Told again, by whomever, nothing is new.
        let again = decide(&task, &sets_up(), CONTEXT);
        assert_eq!(again, Decision::Ignore(Ignored::NotNow));
        for late in [registers_again(), registered(me, Stage::Waiting)] {
            let again = decide(&task, &late, CONTEXT);
            assert_eq!(again, Decision::Repeat(Effect::CarryOn(me)));
        }
        for agent in [started(me), registered(me, running())] {
            let (task, _) = after(task.clone(), &[agent]);
            let attempt = task.attempt.as_ref().unwrap();
            assert!(attempt.agent.is_some() && attempt.started_at.is_some());
            assert_eq!(progress(&task), None, "that was of what came before");
            let late = decide(&task, &sets_up(), CONTEXT);
            assert_eq!(late, Decision::Ignore(Ignored::NotNow));
            let late = decide(&task, &registers_again(), CONTEXT);
            assert_eq!(late, Decision::Repeat(Effect::CarryOn(me)));
        }
        // A cancel reaches it, and what is told late changes nothing.
        let (stopping, _) = after(task, &[cancel(false)]);
        let stop = decide(&stopping, &registers_again(), CONTEXT);
        assert!(matches!(stop, Decision::Repeat(Effect::Stop { .. })));
        let late = decide(&stopping, &sets_up(), CONTEXT);
        assert_eq!(late, Decision::Ignore(Ignored::NotNow));
    }
}
