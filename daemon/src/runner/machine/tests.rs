mod eviction;
mod setup;

use proptest::prelude::*;

use super::*;

const GRACE: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_secs(3);
const KILLED: Status = Status::Signal {
    number: 9,
    core: false,
};

fn waiting(now: Instant) -> Machine {
    Machine::new(now + Duration::from_secs(60), GRACE, LINGER)
}

fn running(now: Instant) -> Machine {
    let mut machine = waiting(now);
    assert_eq!(machine.handle(go(), now), [Action::Spawn(Stage::Agent)]);
    assert_eq!(machine.handle(Event::Started, now), []);
    machine
}

fn go() -> Event {
    Event::Order(Order::Go)
}

fn stop(grace: u64) -> Event {
    Event::Order(Order::Stop {
        reason: "cancelled".into(),
        grace: Duration::from_secs(grace),
    })
}

fn fenced() -> Event {
    Event::Order(Order::Fenced { why: "old".into() })
}

fn reaped(main: Option<Status>, empty: bool) -> Event {
    Event::Reaped {
        main,
        empty,
        stale: false,
    }
}

/// It did not know its session.
fn stale(main: Option<Status>) -> Event {
    Event::Reaped {
        main,
        empty: true,
        stale: true,
    }
}

fn note(text: &str) -> Action {
    Action::Note(text.into())
}

#[test]
fn a_run_goes_from_go_to_ack() {
    let now = Instant::now();
    let mut machine = running(now);
    assert_eq!(machine.handle(go(), now), [], "a second Go");
    assert_eq!(machine.handle(reaped(None, false), now), [], "an orphan");
    let end = Action::Conclude(End::Exited(Status::Code(3)));
    assert_eq!(
        machine.handle(reaped(Some(Status::Code(3)), true), now),
        [end]
    );
    assert_eq!(machine.handle(stop(0), now), []);
    assert!(machine.ended_by_itself());
    let left = Action::Leave(Leave::Acknowledged);
    assert_eq!(machine.handle(Event::Order(Order::Ack), now), [left]);
}

#[test]
fn without_go_nothing_is_started() {
    let now = Instant::now();
    for (event, leave) in [(Event::Deadline, Leave::NoGo), (fenced(), Leave::Fenced)] {
        let mut machine = waiting(now);
        assert_eq!(machine.handle(Event::Order(Order::CarryOn), now), []);
        assert_eq!(machine.handle(event, now), [Action::Leave(leave)]);
        assert_eq!(machine.handle(go(), now), []);
    }
    let mut machine = waiting(now);
    let end = [
        note("stopped before the start: cancelled"),
        Action::Conclude(End::NotStarted),
    ];
    assert_eq!(machine.handle(stop(5), now), end);
    assert_eq!(machine.handle(go(), now), []);
}

#[test]
fn what_cannot_be_started_is_reported() {
    let now = Instant::now();
    let mut machine = waiting(now);
    assert_eq!(machine.handle(go(), now), [Action::Spawn(Stage::Agent)]);
    let message = "cannot run x: no".to_owned();
    let missing = true;
    let failed = Event::NotStarted {
        message: message.clone(),
        missing,
    };
    let end = End::SpawnFailed { message, missing };
    assert_eq!(machine.handle(failed, now), [Action::Conclude(end)]);
}

#[test]
fn children_that_outlive_the_agent_have_the_grace_to_end() {
    let now = Instant::now();
    let mut machine = running(now);
    let success = Status::Code(0);
    assert_eq!(
        machine.handle(reaped(Some(success), false), now),
        [Action::Terminate]
    );
    // A stop that comes now has nothing to do with how it ended.
    assert_eq!(machine.handle(stop(3600), now), []);
    assert!(machine.ended_by_itself());
    assert_eq!(machine.deadline(), Some(now + GRACE));
    let later = now + GRACE;
    assert_eq!(machine.handle(Event::Deadline, later), [Action::Sweep]);
    assert_eq!(machine.handle(Event::Deadline, later), [Action::Sweep]);
    let end = Action::Conclude(End::Exited(success));
    assert_eq!(machine.handle(reaped(None, true), later), [end]);
}

#[test]
fn a_stop_is_polite_and_then_kills() {
    let now = Instant::now();
    let mut machine = running(now);
    let polite = [note("stopped: cancelled"), Action::AskPolitely];
    assert_eq!(machine.handle(stop(7), now), polite);
    assert_eq!(machine.handle(stop(100), now), [], "no more time");
    assert_eq!(machine.deadline(), Some(now + Duration::from_secs(7)));
    assert_eq!(machine.handle(stop(6), now), []);
    assert_eq!(machine.deadline(), Some(now + Duration::from_secs(6)));
    assert_eq!(machine.handle(Event::Deadline, now), [Action::Sweep]);
    let end = Action::Conclude(End::Exited(KILLED));
    assert_eq!(machine.handle(reaped(Some(KILLED), true), now), [end]);
    assert!(!machine.ended_by_itself());
}

#[test]
fn what_the_agent_leaves_behind_after_a_stop_has_only_the_rest_of_the_time() {
    let now = Instant::now();
    let mut machine = running(now);
    assert_eq!(machine.handle(stop(2), now).len(), 2);
    let end = Status::Code(130);
    assert_eq!(
        machine.handle(reaped(Some(end), false), now),
        [Action::Terminate]
    );
    assert_eq!(machine.deadline(), Some(now + Duration::from_secs(2)));
    let mut other = running(now);
    assert_eq!(other.handle(stop(100), now).len(), 2);
    assert_eq!(other.handle(reaped(Some(end), false), now).len(), 1);
    assert_eq!(other.deadline(), Some(now + GRACE));
}

#[test]
fn a_stop_without_grace_kills_at_once_also_as_the_second() {
    let now = Instant::now();
    let kill = [note("killed: cancelled"), Action::Sweep];
    let mut machine = running(now);
    assert_eq!(machine.handle(stop(0), now), kill);
    let mut machine = running(now);
    assert_eq!(machine.handle(stop(9), now).len(), 2);
    assert_eq!(machine.handle(stop(0), now), kill);
    assert_eq!(machine.handle(stop(0), now), []);
}

#[test]
fn a_tree_that_will_not_die_is_reported_all_the_same() {
    let now = Instant::now();
    let mut machine = running(now);
    assert_eq!(machine.handle(stop(0), now).len(), 2);
    let end = Action::Conclude(End::Exited(KILLED));
    assert_eq!(machine.handle(Event::Deadline, now + KILL_LIMIT), [end]);
}

#[test]
fn a_fenced_runner_kills_and_leaves_no_result() {
    let now = Instant::now();
    for before in [vec![], vec![stop(5)], vec![stop(0)]] {
        let mut machine = running(now);
        for event in before {
            assert!(!machine.handle(event, now).is_empty());
        }
        let actions = machine.handle(fenced(), now);
        assert_eq!(actions[0], note("fenced off: old"));
        let left = Action::Leave(Leave::Fenced);
        assert_eq!(machine.handle(reaped(Some(KILLED), true), now), [left]);
    }
    let mut machine = running(now);
    let done = machine.handle(reaped(Some(Status::Code(0)), true), now);
    assert_eq!(done.len(), 1);
    assert_eq!(
        machine.handle(fenced(), now),
        [Action::Leave(Leave::Fenced)]
    );
}

fn afresh() -> [Action; 2] {
    let words = "the agent does not know its session: it is started anew without it";
    [note(words), Action::Spawn(Stage::Afresh)]
}

#[test]
fn an_agent_that_does_not_know_its_session_is_followed_by_one_without_it_once() {
    let now = Instant::now();
    let failed = Some(Status::Code(1));
    // At once, and once its children are gone, whether asked or killed.
    let grace = Event::Deadline;
    for before in [
        vec![],
        vec![reaped(failed, false)],
        vec![reaped(failed, false), grace],
    ] {
        let mut machine = running(now);
        let main = if before.is_empty() { failed } else { None };
        for event in before {
            assert_eq!(machine.handle(event, now).len(), 1);
        }
        assert_eq!(machine.handle(stale(main), now), afresh());
        assert!(machine.has_tree() && !machine.ended_by_itself());
        assert_eq!(machine.handle(Event::Started, now), []);
        let end = Action::Conclude(End::Exited(Status::Code(1)));
        assert_eq!(machine.handle(stale(failed), now), [end], "only once");
        assert!(machine.ended_by_itself());
    }
}

#[test]
fn a_stop_reaches_the_agent_that_follows() {
    let now = Instant::now();
    let mut machine = running(now);
    assert_eq!(machine.handle(stale(Some(Status::Code(1))), now), afresh());
    assert_eq!(machine.handle(Event::Started, now), []);
    assert_eq!(machine.handle(stop(7), now).len(), 2);
    let end = Action::Conclude(End::Exited(KILLED));
    assert_eq!(machine.handle(stale(Some(KILLED)), now), [end]);
    assert!(!machine.ended_by_itself());
}

#[test]
fn no_agent_follows_one_that_was_stopped_or_did_well_or_was_killed() {
    let now = Instant::now();
    let code = |code| Some(Status::Code(code));
    let concluded = |status| vec![Action::Conclude(End::Exited(status))];
    for status in [Status::Code(0), KILLED] {
        let mut machine = running(now);
        let actions = machine.handle(stale(Some(status)), now);
        assert_eq!(actions, concluded(status));
    }
    // Before the end, and after it.
    for (before, last) in [
        (vec![stop(5)], code(1)),
        (vec![stop(0)], code(1)),
        (vec![reaped(code(1), false), stop(5)], None),
        (vec![reaped(code(1), false), stop(0)], None),
    ] {
        let mut machine = running(now);
        for event in before {
            machine.handle(event, now).clear();
        }
        let actions = machine.handle(stale(last), now);
        assert_eq!(actions, concluded(Status::Code(1)));
    }
    let mut machine = running(now);
    assert_eq!(machine.handle(fenced(), now).len(), 2);
    let left = vec![Action::Leave(Leave::Fenced)];
    assert_eq!(machine.handle(stale(code(1)), now), left);
}

#[test]
fn if_no_agent_can_follow_the_first_ones_end_counts() {
    let now = Instant::now();
    let mut machine = running(now);
    assert_eq!(machine.handle(stale(Some(Status::Code(4))), now), afresh());
    let failed = Event::NotStarted {
        message: "no".to_owned(),
        missing: true,
    };
    let end = Action::Conclude(End::Exited(Status::Code(4)));
    assert_eq!(
        machine.handle(failed, now),
        [note("not started anew: no"), end]
    );
    assert!(machine.ended_by_itself());
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(go()),
        Just(Event::Order(Order::CarryOn)),
        Just(Event::Order(Order::Ack)),
        Just(fenced()),
        (0..3_u64).prop_map(stop),
        (0..3_u64).prop_map(eviction::evicted),
        Just(Event::Deadline),
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(main, empty, stale)| {
            let main = main.then_some(Status::Code(1));
            Event::Reaped { main, empty, stale }
        }),
    ]
}

proptest! {
    /// Whatever comes in whatever order: at most one start, only after Go, and one
    /// anew; one conclusion; and in the end the runner is gone.
    #[test]
    fn it_starts_once_concludes_once_and_leaves(events in proptest::collection::vec(events(), 0..40)) {
        let mut now = Instant::now();
        let mut machine = waiting(now);
        let mut all = Vec::new();
        let rest = [Event::Deadline, stop(0), reaped(Some(Status::Code(1)), true), Event::Order(Order::Ack), fenced()];
        for event in events.into_iter().chain(rest) {
            now += Duration::from_millis(700);
            let started = event == go() && matches!(machine.state, State::Waiting { .. });
            let mut actions = machine.handle(event, now);
            prop_assert_eq!(actions.contains(&Action::Spawn(Stage::Agent)), started);
            let afresh = actions.contains(&Action::Spawn(Stage::Afresh));
            prop_assert!(!(started && afresh));
            if started || afresh {
                actions.extend(machine.handle(Event::Started, now));
            }
            all.extend(actions);
        }
        let count = |want: fn(&Action) -> bool| all.iter().filter(|a| want(a)).count();
        prop_assert!(count(|a| matches!(a, Action::Conclude(_))) <= 1);
        prop_assert!(count(|a| *a == Action::Spawn(Stage::Afresh)) <= 1);
        prop_assert_eq!(count(|a| matches!(a, Action::Leave(_))), 1);
        prop_assert!(matches!(all.last(), Some(Action::Leave(_))));
    }
}

#[test]
fn an_agent_that_lingers_after_its_last_word_is_ended() {
    let start = Instant::now();
    let mut machine = running(start);
    assert_eq!(machine.deadline(), None);
    assert_eq!(machine.handle(Event::LastWord(true), start), []);
    let due = start + LINGER;
    // Said again, it has no more time for that.
    let later = start + Duration::from_secs(1);
    assert_eq!(machine.handle(Event::LastWord(true), later), []);
    assert_eq!(machine.deadline(), Some(due));
    // It has gone on after all.
    assert_eq!(machine.handle(Event::LastWord(false), later), []);
    assert_eq!(machine.deadline(), None);
    assert_eq!(machine.handle(Event::Deadline, later), []);
    assert_eq!(machine.handle(Event::LastWord(true), later), []);
    let due = later + LINGER;
    let asked = machine.handle(Event::Deadline, due);
    assert_eq!(asked.last(), Some(&Action::AskPolitely));
    assert!(machine.lingered() && machine.ended_by_itself());
    // A stop that comes now finds it asked already.
    assert_eq!(machine.handle(stop(60), due), []);
    assert_eq!(machine.deadline(), Some(due + GRACE));
    assert_eq!(
        machine.handle(Event::Deadline, due + GRACE),
        [Action::Sweep]
    );
    let end = Action::Conclude(End::Exited(KILLED));
    assert_eq!(
        machine.handle(reaped(Some(KILLED), true), due + GRACE),
        [end]
    );
}

#[test]
fn an_agent_that_ends_after_its_last_word_did_not_linger() {
    let now = Instant::now();
    let mut machine = running(now);
    assert_eq!(machine.handle(Event::LastWord(true), now), []);
    let end = Action::Conclude(End::Exited(Status::Code(0)));
    let ended = reaped(Some(Status::Code(0)), true);
    assert_eq!(machine.handle(ended, now), [end]);
    assert!(machine.ended_by_itself() && !machine.lingered());
    // Nor did one that was stopped before its time was over.
    let mut machine = running(now);
    assert_eq!(machine.handle(Event::LastWord(true), now), []);
    let _stopped = machine.handle(stop(5), now);
    assert_eq!(machine.handle(Event::LastWord(true), now), []);
    assert!(!machine.lingered() && !machine.ended_by_itself());
}
