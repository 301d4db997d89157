//! Frames, as they are seen.

use agentd_proto::v1::log_line::Stream;
use insta::assert_snapshot;
use jiff::ToSpan as _;
use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::*;
use crate::top::{
    event::{Event, Key},
    testing::{blank, full, line, tell, type_keys},
};

const PLAIN: Theme = Theme { color: false };

/// The frame's cells.
pub(in crate::top) fn drawn(model: &Model) -> Buffer {
    with(model, PLAIN)
}

fn with(model: &Model, theme: Theme) -> Buffer {
    let (width, height) = model.size;
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model, theme)).unwrap();
    terminal.backend().buffer().clone()
}

/// The frame as text.
fn seen(model: &Model) -> String {
    let buffer = drawn(model);
    let row = |area: Rect| {
        let mut text = String::new();
        let mut x = area.x;
        while x < area.right() {
            let symbol = buffer[(x, area.y)].symbol();
            text.push_str(symbol);
            x += u16::try_from(symbol.width().max(1)).unwrap();
        }
        text.trim_end().to_owned()
    };
    let rows: Vec<String> = buffer.area.rows().map(row).collect();
    rows.join("\n")
}

#[test]
fn the_smallest_terminal() {
    assert_snapshot!(seen(&full((60, 15))));
}

#[test]
fn a_usual_terminal() {
    assert_snapshot!(seen(&full((100, 30))));
}

#[test]
fn a_wide_terminal() {
    let mut model = full((200, 24));
    type_keys(&mut model, &[Key::Char('a')]);
    assert_snapshot!(seen(&model));
}

#[test]
fn a_terminal_that_is_too_small() {
    assert_snapshot!(seen(&full((30, 6))));
}

#[test]
fn nothing_is_there_yet() {
    assert_snapshot!("connecting", seen(&blank((60, 15))));
    let mut model = full((80, 15));
    tell(
        &mut model,
        Event::Connected(Box::new(crate::top::event::Snapshot {
            rows: Vec::new(),
            ..crate::top::testing::snapshot()
        })),
    );
    assert_snapshot!("empty", seen(&model));
}

#[test]
fn the_help() {
    let mut model = full((100, 30));
    type_keys(&mut model, &[Key::Char('?')]);
    assert_snapshot!("help", seen(&model));
    let mut low = full((60, 15));
    type_keys(&mut low, &[Key::Char('?')]);
    assert_snapshot!("help_low", seen(&low));
}

#[test]
fn a_question() {
    let mut model = full((80, 24));
    type_keys(&mut model, &[Key::Down, Key::Char('c')]);
    assert_snapshot!(seen(&model));
}

#[test]
fn a_filter_is_typed() {
    let mut model = full((60, 15));
    for c in "/parser".chars() {
        type_keys(&mut model, &[Key::Char(c)]);
    }
    assert_snapshot!(seen(&model));
}

#[test]
fn an_answer_with_a_hint() {
    let mut model = full((60, 15));
    let text = "task 45 is still running\nhint: agentctl cancel 45, or agentctl rerun 45 --replace";
    tell(&mut model, Event::Answered(Err(text.to_owned())));
    assert_snapshot!(seen(&model));
}

fn reading(size: (u16, u16)) -> Model {
    let mut model = full(size);
    type_keys(&mut model, &[Key::Down, Key::Enter]);
    let lines = vec![
        line(Stream::Note, "attempt 45.1"),
        line(
            Stream::Stdout,
            "I will look at the parser of dates first, then at what calls it, and run the tests.",
        ),
        line(Stream::Stdout, "\u{1b}[32m● Bash\u{1b}[0m(cargo test)"),
        line(
            Stream::Stdout,
            "    test dates ... \u{1b}[31mFAILED\u{1b}[0m",
        ),
        line(Stream::Stderr, "warning: 時刻の解析 is slow\u{7}"),
    ];
    tell(&mut model, Event::Lines(1, lines));
    model
}

#[test]
fn a_transcript() {
    assert_snapshot!("transcript", seen(&reading((60, 15))));
    assert_snapshot!("transcript_wide", seen(&reading((200, 15))));
    let mut up = reading((60, 15));
    let many = (0..50).map(|n| line(Stream::Stdout, &format!("line {n}")));
    tell(&mut up, Event::Lines(1, many.collect()));
    type_keys(&mut up, &[Key::PageUp, Key::Up]);
    assert_snapshot!("transcript_up", seen(&up));
}

#[test]
fn the_details() {
    let mut model = full((60, 20));
    type_keys(&mut model, &[Key::Char('d')]);
    assert_snapshot!(seen(&model));
}

#[test]
fn the_daemon_is_away() {
    let mut model = full((80, 15));
    tell(&mut model, Event::Away("connection refused".to_owned()));
    let now = model.now.checked_add(75.seconds()).unwrap();
    tell(&mut model, Event::Tick(now));
    assert_snapshot!(seen(&model));
}

#[test]
fn colours_are_there_if_they_are_wanted() {
    let mut model = reading((100, 30));
    let colors = |buffer: &Buffer| {
        let cells = buffer.content().iter();
        cells
            .filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
            .count()
    };
    assert_eq!(colors(&with(&model, PLAIN)), 0);
    assert!(colors(&with(&model, Theme { color: true })) > 0);
    type_keys(&mut model, &[Key::Esc, Key::Char('a')]);
    assert_eq!(colors(&with(&model, PLAIN)), 0);
    assert!(colors(&with(&model, Theme { color: true })) > 0);
}

#[test]
fn no_cell_steers_the_terminal() {
    for model in [full((100, 30)), reading((60, 15))] {
        for cell in drawn(&model).content() {
            assert!(!cell.symbol().contains(char::is_control), "{cell:?}");
        }
    }
}
