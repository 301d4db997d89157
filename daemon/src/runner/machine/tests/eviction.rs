//! The service manager ends what is here.

use super::*;

pub(super) fn evicted(seconds: u64) -> Event {
    Event::Evicted {
        grace: Duration::from_secs(seconds),
    }
}

fn said() -> Action {
    note("stopped by the service manager")
}

const LEFT: Action = Action::Leave(Leave::Evicted);

#[test]
fn what_it_ends_has_no_result_however_it_ends() {
    for status in [Status::Code(0), Status::Code(1), KILLED] {
        let now = Instant::now();
        let mut machine = running(now);
        assert_eq!(
            machine.handle(evicted(3), now),
            [said(), Action::AskPolitely]
        );
        assert_eq!(machine.deadline(), Some(now + Duration::from_secs(3)));
        assert_eq!(machine.handle(evicted(9), now), [], "once more");
        let with_children = machine.handle(reaped(Some(status), false), now);
        assert_eq!(with_children, [Action::Terminate]);
        assert_eq!(machine.handle(reaped(None, true), now), [LEFT]);
        assert!(!machine.ended_by_itself());
    }
}

#[test]
fn its_grace_comes_to_an_end() {
    let now = Instant::now();
    let mut machine = running(now);
    let _asked = machine.handle(evicted(3), now);
    let late = now + Duration::from_secs(3);
    assert_eq!(machine.handle(Event::Deadline, late), [Action::Sweep]);
    assert_eq!(machine.handle(reaped(Some(KILLED), true), late), [LEFT]);
}

#[test]
fn an_agent_that_was_to_be_started_is_not() {
    let now = Instant::now();
    let mut machine = waiting(now);
    assert_eq!(machine.handle(evicted(3), now), [LEFT]);
    assert_eq!(machine.handle(go(), now), []);
}

#[test]
fn an_end_that_came_before_counts_and_is_not_waited_for() {
    let now = Instant::now();
    let end = |code| Action::Conclude(End::Exited(Status::Code(code)));
    // It had ended, and its children have not.
    let mut machine = running(now);
    let _ended = machine.handle(reaped(Some(Status::Code(3)), false), now);
    assert_eq!(machine.handle(evicted(1), now), [said()]);
    assert_eq!(machine.deadline(), Some(now + Duration::from_secs(1)));
    assert!(!machine.may_leave());
    assert_eq!(machine.handle(reaped(None, true), now), [end(3)]);
    assert!(machine.may_leave() && machine.ended_by_itself());
    // It was asked to end by somebody who will want to know.
    let mut machine = running(now);
    let _asked = machine.handle(stop(30), now);
    assert_eq!(machine.handle(evicted(1), now), [said()]);
    assert_eq!(
        machine.handle(reaped(Some(Status::Code(4)), true), now),
        [end(4)]
    );
    assert!(machine.may_leave());
    // Its result is in place, and was not acknowledged.
    let mut machine = running(now);
    assert_eq!(
        machine.handle(reaped(Some(Status::Code(5)), true), now),
        [end(5)]
    );
    assert!(!machine.may_leave());
    assert_eq!(machine.handle(evicted(1), now), []);
    assert!(machine.may_leave());
}

#[test]
fn after_the_last_word_there_is_nothing_to_lose() {
    let now = Instant::now();
    let mut machine = running(now);
    assert_eq!(machine.handle(Event::LastWord(true), now), []);
    let asked = [said(), Action::AskPolitely];
    assert_eq!(machine.handle(evicted(3), now), asked);
    let end = Action::Conclude(End::Exited(KILLED));
    assert_eq!(machine.handle(reaped(Some(KILLED), true), now), [end]);
    assert!(machine.lingered() && machine.ended_by_itself());
    assert!(machine.may_leave());
}

#[test]
fn a_setup_is_not_followed_by_the_agent() {
    let now = Instant::now();
    let mut machine = waiting(now).setting_up(Duration::from_secs(60));
    assert_eq!(machine.handle(go(), now), [Action::Spawn(Stage::Setup)]);
    assert_eq!(machine.handle(Event::Started, now), []);
    let asked = [said(), Action::AskPolitely];
    assert_eq!(machine.handle(evicted(3), now), asked);
    let done = Some(Status::Code(0));
    assert_eq!(machine.handle(reaped(done, true), now), [LEFT]);
    // Nor if it had ended, and what it had left behind had not.
    let mut machine = waiting(now).setting_up(Duration::from_secs(60));
    let _started = machine.handle(go(), now);
    let _started = machine.handle(Event::Started, now);
    let _ended = machine.handle(reaped(done, false), now);
    assert_eq!(machine.handle(evicted(3), now), [said()]);
    assert_eq!(machine.handle(reaped(None, true), now), [LEFT]);
}
