//! The stage before the agent.

use super::*;

const LIMIT: Duration = Duration::from_secs(600);
const DONE: Option<Status> = Some(Status::Code(0));

fn setting_up(now: Instant) -> Machine {
    let mut machine = waiting(now).setting_up(LIMIT);
    assert_eq!(machine.handle(go(), now), [Action::Spawn(Stage::Setup)]);
    assert_eq!(machine.handle(Event::Started, now), []);
    assert!(machine.sets_up() && machine.has_tree());
    machine
}

fn failed(failure: SetupFailure) -> Action {
    Action::Conclude(End::SetupFailed(failure))
}

fn left_running() -> Action {
    note("setup has ended and left processes running: they are ended")
}

#[test]
fn the_agent_follows_what_has_ended_well_and_left_nothing() {
    let now = Instant::now();
    let agent = [Action::Spawn(Stage::Agent)];
    let mut machine = setting_up(now);
    // It is no agent: neither its words nor its session mean anything.
    assert_eq!(machine.handle(Event::LastWord(true), now), []);
    assert_eq!(machine.deadline(), Some(now + LIMIT));
    assert_eq!(machine.handle(stale(DONE), now), agent);
    assert!(!machine.sets_up() && !machine.ended_by_itself());
    assert_eq!(machine.handle(Event::Started, now), []);
    assert_eq!(machine.deadline(), None, "it has no such limit");
    let end = Action::Conclude(End::Exited(Status::Code(3)));
    let ended = reaped(Some(Status::Code(3)), true);
    assert_eq!(machine.handle(ended, now), [end]);

    // What is left of it has its time to end, and is killed.
    let mut machine = setting_up(now);
    let ends = [left_running(), Action::Terminate];
    assert_eq!(machine.handle(reaped(DONE, false), now), ends);
    assert_eq!(machine.deadline(), Some(now + GRACE));
    let kill = machine.handle(Event::Deadline, now + GRACE);
    assert_eq!(kill, [Action::Sweep]);
    assert_eq!(machine.handle(reaped(None, true), now + GRACE), agent);
    // An agent that does not know its session is followed as ever.
    assert_eq!(machine.handle(Event::Started, now), []);
    assert_eq!(machine.handle(stale(Some(Status::Code(1))), now), afresh());
}

#[test]
fn no_agent_follows_one_that_failed() {
    let now = Instant::now();
    for status in [Status::Code(1), Status::Code(79), KILLED] {
        let mut machine = setting_up(now);
        let end = [failed(SetupFailure::Ended(status))];
        assert_eq!(machine.handle(stale(Some(status)), now), end);
        assert!(machine.ended_by_itself(), "a limit does not replace it");
        assert_eq!(machine.handle(go(), now), []);
    }
    let mut machine = waiting(now).setting_up(LIMIT);
    assert_eq!(machine.handle(go(), now), [Action::Spawn(Stage::Setup)]);
    let message = "cannot run npm: no".to_owned();
    let missing = true;
    let event = Event::NotStarted {
        message: message.clone(),
        missing,
    };
    let end = failed(SetupFailure::NotStarted { message });
    assert_eq!(machine.handle(event, now), [end]);
    // What the system was short of is no failure of the setup.
    let mut machine = waiting(now).setting_up(LIMIT);
    assert_eq!(machine.handle(go(), now), [Action::Spawn(Stage::Setup)]);
    let message = "cannot run npm: too many open files".to_owned();
    let short = Event::NotStarted {
        message: message.clone(),
        missing: false,
    };
    let end = Action::Conclude(End::SpawnFailed {
        message,
        missing: false,
    });
    assert_eq!(machine.handle(short, now), [end]);
    // Nor one of which something hangs in the kernel.
    let mut machine = setting_up(now);
    assert_eq!(machine.handle(reaped(DONE, false), now).len(), 2);
    assert_eq!(
        machine.handle(Event::Deadline, now + GRACE),
        [Action::Sweep]
    );
    let end = machine.handle(Event::Deadline, now + GRACE + KILL_LIMIT);
    assert_eq!(end, [failed(SetupFailure::LeftOver)]);
}

#[test]
fn its_limit_ends_it() {
    let now = Instant::now();
    let mut machine = setting_up(now);
    let due = now + LIMIT;
    let note = note("setup is ended: it has taken as long as it may");
    let asked = machine.handle(Event::Deadline, due);
    assert_eq!(asked, [note, Action::AskPolitely]);
    assert_eq!(machine.deadline(), Some(due + GRACE));
    assert!(machine.ended_by_itself() && !machine.lingered());
    // However it ends now, and whoever else wants it to.
    assert_eq!(machine.handle(stop(60), due), []);
    let end = [failed(SetupFailure::Overdue)];
    assert_eq!(machine.handle(reaped(DONE, true), due), end);
}

#[test]
fn a_stop_ends_it_and_no_agent_follows() {
    let now = Instant::now();
    let stopped = [Action::Conclude(End::NotStarted)];
    for (grace, last) in [(5, DONE), (5, Some(KILLED)), (0, Some(KILLED)), (0, None)] {
        let mut machine = setting_up(now);
        assert_eq!(machine.handle(stop(grace), now).len(), 2);
        assert_eq!(machine.handle(reaped(last, true), now), stopped);
        assert!(!machine.ended_by_itself());
    }
    // It had ended well, and what it had left was being ended.
    let mut machine = setting_up(now);
    assert_eq!(machine.handle(reaped(DONE, false), now).len(), 2);
    assert_eq!(machine.handle(stop(5), now), []);
    assert_eq!(machine.handle(reaped(None, true), now), stopped);
    assert!(!machine.ended_by_itself());
    // It had failed by then.
    let mut machine = setting_up(now);
    let code = Status::Code(2);
    assert_eq!(machine.handle(reaped(Some(code), false), now).len(), 1);
    assert_eq!(machine.handle(stop(5), now), []);
    let end = [failed(SetupFailure::Ended(code))];
    assert_eq!(machine.handle(reaped(None, true), now), end);

    let mut machine = setting_up(now);
    assert_eq!(machine.handle(fenced(), now).len(), 2);
    let left = [Action::Leave(Leave::Fenced)];
    assert_eq!(machine.handle(reaped(DONE, true), now), left);
}

proptest! {
    /// Whatever comes in whatever order: the stages follow each other, each once,
    /// and none starts while something runs.
    #[test]
    fn the_stages_follow_each_other(
        events in proptest::collection::vec((events(), any::<bool>()), 0..40)
    ) {
        let mut now = Instant::now();
        let mut machine = waiting(now).setting_up(LIMIT);
        let (mut all, mut stages) = (Vec::new(), Vec::new());
        let end = (reaped(DONE, true), true);
        let rest = [(stop(0), true), end.clone(), end, (fenced(), true)];
        for (event, starts) in events.into_iter().chain(rest) {
            now += Duration::from_millis(700);
            let had_tree = machine.has_tree();
            let empty = matches!(event, Event::Reaped { empty: true, .. });
            let mut actions = machine.handle(event, now);
            let started = |action: &Action| match action {
                Action::Spawn(stage) => Some(*stage),
                Action::Note(_) | Action::AskPolitely | Action::Terminate | Action::Sweep
                    | Action::Conclude(_) | Action::Leave(_) => None,
            };
            if let Some(stage) = actions.iter().find_map(started) {
                prop_assert!(!had_tree || empty);
                stages.push(stage);
                let message = String::new();
                actions.extend(machine.handle(match starts {
                    true => Event::Started,
                    false => Event::NotStarted { message, missing: true },
                }, now));
            }
            all.extend(actions);
        }
        let order = [Stage::Setup, Stage::Agent, Stage::Afresh];
        prop_assert_eq!(&stages[..], &order[..stages.len()]);
        let count = |want: fn(&Action) -> bool| all.iter().filter(|a| want(a)).count();
        prop_assert!(count(|a| matches!(a, Action::Conclude(_))) <= 1);
        prop_assert_eq!(count(|a| matches!(a, Action::Leave(_))), 1);
    }
}
