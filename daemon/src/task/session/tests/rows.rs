//! What becomes of a session while attempts work in it.

use super::*;

#[test]
fn a_chosen_session_is_looked_for() {
    let mut world = World::default();
    let mut first = task(1);
    world.ran(&mut first, "s", Some(FailureReason::RunnerLost));
    let row = world.row("s").unwrap().clone();
    assert_eq!(row.place, Some(HERE));
    let chosen = || world.choose(&first, first.attempt.as_ref());
    let verified = |row: &Session, path: &str, place, probe| {
        let given = chosen();
        assert_eq!(given.way, Way::Chosen);
        let here = (Path::new(path), place);
        verify(given, Some(row), AgentType::Command, here, || probe)
    };
    for (path, place, probe, way) in [
        ("/w", Some(HERE), Probe::Present, Way::Seen),
        ("/w", Some(HERE), Probe::Unknown, Way::Unseen),
        ("/w", Some(HERE), Probe::Absent, Way::Gone),
        ("/w", Some(THERE), Probe::Present, Way::Fresh),
        ("/elsewhere", Some(HERE), Probe::Present, Way::Seen),
        ("/w", None, Probe::Present, Way::Seen),
        ("/elsewhere", None, Probe::Present, Way::Fresh),
    ] {
        let given = verified(&row, path, place, probe);
        assert_eq!(given.way, way, "{path} {place:?} {probe:?}");
        assert_eq!(given.place, place);
    }
    let forgotten = (Path::new("/w"), Some(HERE));
    let given = verify(chosen(), None, AgentType::Command, forgotten, || {
        Probe::Present
    });
    assert_eq!(given.way, Way::Fresh);
}

#[test]
fn only_a_session_that_was_seen_is_good_again_before_its_end() {
    for (probe, while_it_runs) in [
        (Probe::Present, Standing::Good),
        (Probe::Unknown, Standing::Unverified),
        (Probe::Absent, Standing::Retired),
    ] {
        let mut world = World::default();
        let mut first = task(1);
        world.ran(&mut first, "s", Some(FailureReason::HostRebooted));
        world.claim(&mut first, None);
        assert_eq!(world.standing("s"), Some(Standing::Unverified));
        let given = world.prepare(&mut first, probe);
        world.start(&mut first);
        assert_eq!(world.standing("s"), Some(while_it_runs), "{probe:?}");
        let used = world.row("s").unwrap().user.is_some();
        assert_eq!(used, given.resumes().is_some());
    }
}

#[test]
fn one_that_the_agent_did_not_know_is_retired_and_another_takes_its_place() {
    let mut world = World::default();
    let mut first = task(1);
    world.ran(&mut first, "s", Some(FailureReason::RunnerLost));
    world.claim(&mut first, None);
    world.prepare(&mut first, Probe::Unknown);
    world.start(&mut first);
    let fell_back = Observed {
        session_gone: Some("s".to_owned()),
        ..named("t")
    };
    world.say(&mut first, fell_back);
    assert_eq!(world.standing("s"), Some(Standing::Retired));
    assert_eq!(world.row("s").unwrap().user, None);
    world.end(&mut first, Some(FailureReason::RunnerLost));
    let retry = world.choose(&first, first.attempt.as_ref());
    assert_eq!(retry.resumes(), Some("t"));
}

#[test]
fn an_end_fills_an_empty_pin() {
    let mut world = World::default();
    let mut first = task(1);
    world.claim(&mut first, None);
    world.start(&mut first);
    let attempt = reference(first.attempt.as_ref().unwrap());
    world.happen(&mut first, &exited(attempt, None, named("s")));
    assert_eq!(world.standing("s"), Some(Standing::Good));
    assert_eq!(world.row("s").unwrap().user, None);
}

#[test]
fn an_attempt_adds_one_session_at_the_most() {
    let mut world = World::default();
    let mut first = task(1);
    world.claim(&mut first, None);
    world.start(&mut first);
    for number in 0..5 {
        world.say(&mut first, named(&format!("s{number}")));
    }
    let ids: Vec<&String> = world.rows.keys().collect();
    assert_eq!(ids, ["s4"]);
}

#[test]
fn a_made_id_is_pinned_before_the_start_and_goes_if_nothing_began() {
    let minted = |world: &mut World, task: &mut Task| {
        world.claim(task, None);
        let given = task.attempt.as_ref().unwrap().given.clone();
        let event = Event::Prepared {
            attempt: reference(task.attempt.as_ref().unwrap()),
            workspace: testing::workspace(),
            given: given.minted(|| "m".to_owned()),
        };
        world.happen(task, &event);
        let row = world.row("m").unwrap();
        assert_eq!(
            (row.standing, row.user.is_some()),
            (Standing::Unverified, true)
        );
    };
    let mut world = World::default();
    let mut first = task(1);
    minted(&mut world, &mut first);
    world.start(&mut first);
    world.end(&mut first, Some(FailureReason::RunnerLost));
    let retry = world.choose(&first, first.attempt.as_ref());
    assert_eq!(retry.resumes(), Some("m"));

    let mut world = World::default();
    let mut second = task(2);
    minted(&mut world, &mut second);
    let attempt = reference(second.attempt.as_ref().unwrap());
    world.happen(&mut second, &Event::NeverStarted { attempt });
    assert_eq!(world.row("m"), None);

    let mut world = World::default();
    let mut third = task(3);
    minted(&mut world, &mut third);
    world.start(&mut third);
    world.say(&mut third, named("own"));
    assert_eq!(world.row("m"), None);
}
