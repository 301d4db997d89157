//! What keys and answers do.

mod any;

use agentd_proto::v1::{State, log_line::Stream};

use super::*;
use crate::top::{
    event::Key,
    testing::{blank, full, health, line, snapshot, story, task, tell, type_keys},
};

const SIZE: (u16, u16) = (100, 30);

fn press(model: &mut Model, key: Key) -> Vec<Effect> {
    model.update(Event::Key(key))
}

fn typed(model: &mut Model, text: &str) {
    for c in text.chars() {
        tell(model, Event::Key(Key::Char(c)));
    }
}

fn later(model: &mut Model, seconds: i64) {
    let now = model.now.checked_add(seconds.seconds()).unwrap();
    tell(model, Event::Tick(now));
}

fn said(model: &Model) -> &str {
    model.message.as_ref().map_or("", |said| &said.text)
}

/// The model with this task chosen.
fn at(id: u64) -> Model {
    let mut model = full(SIZE);
    type_keys(&mut model, &[Key::Char('a')]);
    while model.target() != Some(id) {
        let before = model.chosen;
        type_keys(&mut model, &[Key::Down]);
        assert_ne!(model.chosen, before, "there is no task {id}");
    }
    model
}

#[test]
fn the_first_answer_chooses_the_newest_and_asks_for_its_story() {
    let mut model = blank(SIZE);
    let effects = model.update(Event::Connected(Box::new(snapshot())));
    assert_eq!(model.shown, [46, 45, 44, 43]);
    assert_eq!(effects, [Effect::Explain(46)]);
    assert_eq!(model.link, Link::Live);
}

#[test]
fn who_scrolls_asks_for_each_story_once() {
    let mut model = full(SIZE);
    assert_eq!(
        press(&mut model, Key::Char('j')),
        [Effect::Explain(45)],
        "another one is chosen"
    );
    assert!(model.detail.is_none());
    // It changes while the daemon is asked: it is asked once more afterwards.
    let running = task(45, State::Running, "changed");
    let running = v1_newer(running);
    assert_eq!(
        model.update(Event::Changed(vec![running.clone()], vec![])),
        []
    );
    let told = Event::Explained(45, Ok(Box::new(story(45))));
    assert_eq!(model.update(told.clone()), [Effect::Explain(45)]);
    assert_eq!(model.update(told), []);
    assert!(model.detail.is_some());
    // Others change: nothing is asked.
    let other = v1_newer(task(44, State::Running, "other"));
    assert_eq!(model.update(Event::Changed(vec![other], vec![])), []);
    assert_eq!(
        model.update(Event::Changed(vec![running], vec![])),
        [Effect::Explain(45)]
    );
}

fn v1_newer(task: agentd_proto::v1::Task) -> Row {
    Row::from(agentd_proto::v1::Task {
        revision: 1_000,
        ..task
    })
}

#[test]
fn the_chosen_task_stays_chosen_while_others_come_and_go() {
    let mut model = full(SIZE);
    type_keys(&mut model, &[Key::Down]);
    assert_eq!(model.target(), Some(45));
    let new = Row::from(task(50, State::Queued, "new"));
    tell(&mut model, Event::Changed(vec![new], vec![46]));
    assert_eq!(model.shown, [50, 45, 44, 43]);
    assert_eq!(model.target(), Some(45));
    // It ends, and with it its row: the next one takes its place.
    let ended = v1_newer(task(45, State::Succeeded, "done"));
    tell(&mut model, Event::Changed(vec![ended], vec![]));
    assert_eq!(model.target(), Some(44));
}

#[test]
fn what_harms_asks_first() {
    for (key, action) in [
        (Key::Char('c'), Action::Cancel(45)),
        (Key::Char('K'), Action::Kill(45)),
        (Key::Char('r'), Action::Rerun(45)),
    ] {
        let mut model = at(45);
        assert_eq!(press(&mut model, key), []);
        assert_eq!(model.mode, Mode::Confirm(action));
        // By chance.
        assert_eq!(press(&mut model, Key::Enter), []);
        assert_eq!(press(&mut model, key), []);
        assert_eq!(model.mode, Mode::Confirm(action));
        assert_eq!(press(&mut model, Key::Char('n')), []);
        assert_eq!(said(&model), "nothing was done");
        press(&mut model, key);
        assert_eq!(press(&mut model, Key::Char('y')), [Effect::Act(action)]);
        assert_eq!(model.pending, Some(action));
        tell(&mut model, Event::Answered(Ok("it was done".to_owned())));
        assert_eq!((said(&model), model.pending), ("it was done", None));
    }
}

#[test]
fn the_question_is_about_the_task_that_was_chosen() {
    let mut model = at(45);
    press(&mut model, Key::Char('c'));
    tell(&mut model, Event::Changed(vec![], vec![45]));
    assert_ne!(model.target(), Some(45));
    assert_eq!(
        press(&mut model, Key::Char('y')),
        [Effect::Act(Action::Cancel(45))]
    );
}

#[test]
fn what_was_pasted_is_not_obeyed() {
    let mut model = at(45);
    assert_eq!(model.update(Event::Paste("cyKyry".to_owned())), []);
    assert_eq!((&model.mode, model.pending), (&Mode::Browse, None));
    type_keys(&mut model, &[Key::Char('/')]);
    assert_eq!(model.update(Event::Paste("par\nser\u{1b}".to_owned())), []);
    assert_eq!(model.filter, "par ser ");
}

#[test]
fn one_thing_is_done_at_a_time() {
    let mut model = at(45);
    type_keys(&mut model, &[Key::Char('c'), Key::Char('y')]);
    // It is about everything: asked first.
    assert_eq!(press(&mut model, Key::Char('p')), []);
    assert_eq!(model.mode, Mode::Confirm(Action::Pause));
    assert_eq!(press(&mut model, Key::Char('y')), []);
    assert_eq!(said(&model), "first: cancelling task 45 …");
    let why = "no such task\nhint: agentctl ls";
    tell(&mut model, Event::Answered(Err(why.to_owned())));
    assert!(model.message.as_ref().unwrap().is_error);
    type_keys(&mut model, &[Key::Char('p')]);
    assert_eq!(
        press(&mut model, Key::Char('y')),
        [Effect::Act(Action::Pause)]
    );
    tell(&mut model, Event::Answered(Ok(String::new())));
    let mut paused = health();
    paused.paused = true;
    tell(&mut model, Event::Health(Box::new(paused)));
    assert_eq!(
        press(&mut model, Key::Char('p')),
        [Effect::Act(Action::Resume)]
    );
}

#[test]
fn that_a_task_is_being_stopped_is_said_until_it_has_ended() {
    let mut model = at(45);
    type_keys(&mut model, &[Key::Char('c'), Key::Char('y')]);
    let stopped = "task 45 is being stopped";
    tell(&mut model, Event::Answered(Ok(stopped.to_owned())));
    let other = v1_newer(task(44, State::Cancelled, "other"));
    tell(&mut model, Event::Changed(vec![other], vec![]));
    let stopping = v1_newer(task(45, State::Stopping, "it"));
    tell(&mut model, Event::Changed(vec![stopping], vec![]));
    assert_eq!(said(&model), stopped);
    let ended = v1_newer(task(45, State::Cancelled, "it"));
    tell(&mut model, Event::Changed(vec![ended], vec![]));
    assert_eq!(said(&model), "");
}

#[test]
fn what_cannot_be_done_is_said_without_asking() {
    let mut model = at(40);
    for key in ['c', 'K'] {
        assert_eq!(press(&mut model, Key::Char(key)), []);
        assert_eq!(model.mode, Mode::Browse);
        assert_eq!(said(&model), "task 40 is failed already: r runs it again");
    }
    for (id, effects, says) in [
        (43, vec![Effect::Act(Action::Release(43))], ""),
        (46, vec![Effect::Act(Action::Hold(46))], ""),
        (
            45,
            vec![],
            "task 45 is running: only queued tasks can be held",
        ),
    ] {
        let mut model = at(id);
        assert_eq!(press(&mut model, Key::Char('h')), effects);
        assert_eq!(said(&model), says);
    }
    let mut empty = blank(SIZE);
    for key in ['c', 'K', 'r', 'h', 'l'] {
        assert_eq!(press(&mut empty, Key::Char(key)), []);
        assert!(said(&empty).starts_with("there is no task"), "{key}");
    }
}

#[test]
fn a_message_goes_by_itself() {
    let mut model = full(SIZE);
    press(&mut model, Key::Esc);
    assert_eq!(said(&model), "q quits");
    later(&mut model, 10);
    assert_eq!(said(&model), "q quits");
    later(&mut model, 10);
    assert_eq!(said(&model), "");
}

#[test]
fn a_filter_is_typed_kept_and_dropped() {
    let mut model = full(SIZE);
    typed(&mut model, "/parser");
    assert_eq!(model.shown, [45]);
    type_keys(&mut model, &[Key::Enter]);
    assert_eq!(
        (model.filter.as_str(), &model.mode),
        ("parser", &Mode::Browse)
    );
    // Another one is begun and dropped: the one before comes back.
    typed(&mut model, "/x");
    assert!(model.shown.is_empty());
    type_keys(&mut model, &[Key::Esc]);
    assert_eq!(model.shown, [45]);
    type_keys(&mut model, &[Key::Esc]);
    assert_eq!(model.shown, [46, 45, 44, 43]);
    typed(&mut model, "/two words");
    type_keys(&mut model, &[Key::Ctrl('w'), Key::Backspace]);
    assert_eq!(model.filter, "two");
    type_keys(&mut model, &[Key::Ctrl('u')]);
    assert_eq!(model.filter, "");
    typed(&mut model, &"x".repeat(1_000));
    assert_eq!(model.filter.len(), FILTER);
}

#[test]
fn views_and_orders_go_round() {
    let mut model = full(SIZE);
    for shown in [&[46, 45, 44, 43, 42, 41, 40][..], &[40], &[46, 45, 44, 43]] {
        type_keys(&mut model, &[Key::Char('a')]);
        assert_eq!(model.shown, shown);
    }
    for shown in [
        [45, 46, 44, 43],
        [45, 46, 44, 43],
        [45, 46, 44, 43],
        [46, 45, 44, 43],
    ] {
        type_keys(&mut model, &[Key::Char('s')]);
        assert_eq!(model.shown, shown, "{:?}", model.sort);
    }
}

#[test]
fn a_transcript_hears_its_own_opening_only() {
    let mut model = at(45);
    let opened = press(&mut model, Key::Enter);
    assert_eq!(
        opened,
        [Effect::Follow {
            task: 45,
            opening: 1
        }]
    );
    assert_eq!(press(&mut model, Key::Enter), [], "it is open");
    tell(
        &mut model,
        Event::Lines(1, vec![line(Stream::Stdout, "one")]),
    );
    assert_eq!(press(&mut model, Key::Char('q')), [Effect::Unfollow]);
    let again = press(&mut model, Key::Char('l'));
    assert!(
        again.contains(&Effect::Follow {
            task: 45,
            opening: 2
        }),
        "{again:?}"
    );
    // What the first one was still to hear.
    tell(
        &mut model,
        Event::Lines(1, vec![line(Stream::Stdout, "two")]),
    );
    tell(&mut model, Event::NoMore(1, "ended".to_owned()));
    let Some(Pane::Transcript(open)) = &model.pane else {
        panic!("{:?}", model.pane);
    };
    assert!(open.is_empty() && !open.ended);
    tell(&mut model, Event::NoMore(2, "task 45 failed".to_owned()));
    let Some(Pane::Transcript(open)) = &model.pane else {
        panic!("{:?}", model.pane);
    };
    assert!(open.ended && !open.is_empty());
}

#[test]
fn keys_act_on_the_task_whose_transcript_is_open() {
    let mut model = at(45);
    type_keys(&mut model, &[Key::Enter]);
    // Its row goes, and another one takes the place.
    tell(&mut model, Event::Changed(vec![], vec![45]));
    assert_eq!(model.target(), Some(45));
    type_keys(&mut model, &[Key::Char('r')]);
    assert_eq!(model.mode, Mode::Confirm(Action::Rerun(45)));
}

#[test]
fn a_daemon_that_comes_back_is_asked_anew() {
    let mut model = full(SIZE);
    let left = model.now;
    tell(&mut model, Event::Away("connection refused".to_owned()));
    later(&mut model, 30);
    tell(&mut model, Event::Away("no such file".to_owned()));
    let away = Link::Away {
        since: left,
        why: "no such file".to_owned(),
    };
    assert_eq!(model.link, away);
    let mut other = snapshot();
    other.rows.retain(|row| row.id <= 45);
    let effects = model.update(Event::Connected(Box::new(other)));
    assert_eq!(model.link, Link::Live);
    assert_eq!(model.shown, [45, 44, 43]);
    assert_eq!(effects, [Effect::Explain(45)]);
}

#[test]
fn leaving_is_always_possible() {
    for keys in [
        &[][..],
        &[Key::Char('/')],
        &[Key::Char('r')],
        &[Key::Char('?')],
        &[Key::Enter],
    ] {
        let mut model = full(SIZE);
        type_keys(&mut model, keys);
        assert_eq!(press(&mut model, Key::Ctrl('c')), [Effect::Quit(130)]);
        assert_eq!(press(&mut model, Key::Ctrl('z')), [Effect::Suspend]);
    }
    let mut model = full(SIZE);
    assert_eq!(press(&mut model, Key::Char('q')), [Effect::Quit(0)]);
    assert_eq!(model.update(Event::Ended(143)), [Effect::Quit(143)]);
    // On a screen that shows nothing, no other key does anything.
    let mut small = full((20, 5));
    assert_eq!(press(&mut small, Key::Char('p')), []);
    assert_eq!(press(&mut small, Key::Char('q')), [Effect::Quit(0)]);
}

#[test]
fn the_chosen_row_is_in_sight_whatever_the_size() {
    let mut model = blank((80, 24));
    let rows = (1..=200).map(|id| {
        Row::from(agentd_proto::v1::Task {
            id,
            ..task(1, State::Queued, "many")
        })
    });
    let many = Snapshot {
        rows: rows.collect(),
        ..snapshot()
    };
    tell(&mut model, Event::Connected(Box::new(many)));
    type_keys(&mut model, &[Key::End]);
    assert_eq!((model.target(), model.chosen), (Some(1), 199));
    tell(&mut model, Event::Resize(60, 15));
    check(&model);
    type_keys(&mut model, &[Key::PageUp, Key::PageUp]);
    check(&model);
    tell(&mut model, Event::Resize(200, 80));
    check(&model);
    type_keys(&mut model, &[Key::Char('g')]);
    assert_eq!((model.target(), model.first), (Some(200), 0));
}

/// What holds whatever has happened.
fn check(model: &Model) {
    assert!(model.chosen < model.shown.len().max(1));
    assert!(model.first <= model.chosen);
    assert!(model.chosen < model.first + model.table_rows());
    for id in &model.shown {
        assert!(model.tasks.get(*id).is_some(), "task {id} is shown");
    }
    assert!(model.tasks.len() <= 5_000);
    if let Some(areas) = model.areas() {
        let parts = [areas.head, areas.message, areas.keys];
        let body = areas.table.map_or(0, |table| table.height);
        let used: u16 = parts.iter().map(|part| part.height).sum();
        assert!(used + body <= model.size.1, "{areas:?}");
    }
}
