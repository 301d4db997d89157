//! Whatever happens, in whatever order.

use agentd_proto::v1::{State, log_line::Stream};
use jiff::Timestamp;
use proptest::prelude::*;

use super::{super::*, check};
use crate::top::{
    draw::tests::drawn,
    event::Key,
    testing::{blank, health, line, noon, story, task},
};

fn any_key() -> impl Strategy<Value = Key> {
    let chars = prop::sample::select("jkgGqdlfashpcKryn?/ xü漢".chars().collect::<Vec<_>>());
    let named = [
        Key::Up,
        Key::Down,
        Key::Left,
        Key::Right,
        Key::PageUp,
        Key::PageDown,
        Key::Home,
        Key::End,
        Key::Enter,
        Key::Esc,
        Key::Tab,
        Key::Backspace,
        Key::Ctrl('u'),
        Key::Ctrl('w'),
        Key::Ctrl('l'),
    ];
    prop_oneof![
        3 => chars.prop_map(Key::Char),
        2 => prop::sample::select(named.to_vec()),
    ]
}

fn any_row() -> impl Strategy<Value = Row> {
    let states = [
        State::Queued,
        State::Running,
        State::Stopping,
        State::Succeeded,
        State::Failed,
        State::Unspecified,
    ];
    (
        1..40_u64,
        prop::sample::select(states.to_vec()),
        0..99_u64,
        ".{0,80}",
    )
        .prop_map(|(id, state, revision, title)| {
            Row::from(agentd_proto::v1::Task {
                revision,
                ..task(id, state, &title)
            })
        })
}

fn any_event() -> impl Strategy<Value = Event> {
    let rows = || prop::collection::vec(any_row(), 0..12);
    prop_oneof![
        12 => any_key().prop_map(Event::Key),
        1 => ".{0,20}".prop_map(Event::Paste),
        2 => (0..180_u16, 0..50_u16).prop_map(|(w, h)| Event::Resize(w, h)),
        1 => (0..100_000_i64).prop_map(|s| {
            Event::Tick(Timestamp::from_millisecond(noon().as_millisecond() + s * 1_000).unwrap())
        }),
        2 => (rows(), 0..3_u64).prop_map(|(rows, left_out)| {
            Event::Connected(Box::new(Snapshot { health: health(), rows, left_out }))
        }),
        1 => ".{0,80}".prop_map(Event::Away),
        4 => (rows(), prop::collection::vec(1..40_u64, 0..6))
            .prop_map(|(rows, gone)| Event::Changed(rows, gone)),
        3 => (1..40_u64).prop_map(|id| Event::Explained(id, Ok(Box::new(story(id))))),
        1 => (1..40_u64).prop_map(|id| Event::Explained(id, Err("why\nhint: what".to_owned()))),
        3 => (0..4_u64, prop::collection::vec(".{0,200}", 0..30)).prop_map(|(opening, texts)| {
            let lines = texts.iter().map(|text| line(Stream::Stderr, text));
            Event::Lines(opening, lines.collect())
        }),
        1 => (0..4_u64).prop_map(|opening| Event::NoMore(opening, "ended".to_owned())),
        1 => ".{0,200}".prop_map(|text| Event::Answered(Err(text))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_that_happens_breaks_it(events in prop::collection::vec(any_event(), 0..40)) {
        let mut model = blank((80, 24));
        for event in events {
            let acts_on = model.mode.clone();
            let typed = matches!(event, Event::Key(Key::Char('y')));
            for effect in model.update(event) {
                // What harms was asked for and confirmed.
                if let Effect::Act(action @ (Action::Cancel(_) | Action::Kill(_) | Action::Rerun(_))) = effect {
                    prop_assert!(typed);
                    prop_assert_eq!(&acts_on, &Mode::Confirm(action));
                }
            }
            check(&model);
            drawn(&model);
        }
    }
}
