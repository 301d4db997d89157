//! What is typed.

use std::{io, thread};

use crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    event::{Event, Key},
    feed::Sender,
};

/// Tells what is typed, from a thread of its own that ends with the program:
/// on a terminal that has gone, reading never comes back.
///
/// # Errors
/// There can be no further thread.
pub(super) fn start(sender: Sender) -> io::Result<()> {
    let reading = move || {
        while let Ok(read) = event::read() {
            let gone = told(read).is_some_and(|event| sender.blocking_send(event).is_err());
            if gone {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("keys".to_owned())
        .spawn(reading)?;
    Ok(())
}

/// What of it means anything.
fn told(read: event::Event) -> Option<Event> {
    if let event::Event::Resize(width, height) = read {
        return Some(Event::Resize(width, height));
    }
    if let event::Event::Paste(text) = read {
        return Some(Event::Paste(text));
    }
    if let event::Event::Key(typed) = read {
        return key(typed).map(Event::Key);
    }
    None
}

/// Keys that have a name.
const NAMED: [(KeyCode, Key); 13] = [
    (KeyCode::Up, Key::Up),
    (KeyCode::Down, Key::Down),
    (KeyCode::Left, Key::Left),
    (KeyCode::Right, Key::Right),
    (KeyCode::PageUp, Key::PageUp),
    (KeyCode::PageDown, Key::PageDown),
    (KeyCode::Home, Key::Home),
    (KeyCode::End, Key::End),
    (KeyCode::Enter, Key::Enter),
    (KeyCode::Esc, Key::Esc),
    (KeyCode::Tab, Key::Tab),
    (KeyCode::Backspace, Key::Backspace),
    (KeyCode::Char('\t'), Key::Tab),
];

fn key(typed: KeyEvent) -> Option<Key> {
    if typed.kind == KeyEventKind::Release || typed.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    let named = NAMED.iter().find(|(code, _)| *code == typed.code);
    if let Some((_, key)) = named {
        return Some(*key);
    }
    if let KeyCode::Char(c) = typed.code {
        let control = typed.modifiers.contains(KeyModifiers::CONTROL);
        return Some(if control {
            Key::Ctrl(c.to_ascii_lowercase())
        } else {
            Key::Char(c)
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_they_are() {
        let typed = |code, modifiers| key(KeyEvent::new(code, modifiers));
        for (code, modifiers, expected) in [
            (
                KeyCode::Char('K'),
                KeyModifiers::SHIFT,
                Some(Key::Char('K')),
            ),
            (
                KeyCode::Char('c'),
                KeyModifiers::CONTROL,
                Some(Key::Ctrl('c')),
            ),
            (
                KeyCode::Char('C'),
                KeyModifiers::CONTROL,
                Some(Key::Ctrl('c')),
            ),
            // Something else than c alone.
            (KeyCode::Char('c'), KeyModifiers::ALT, None),
            (KeyCode::Enter, KeyModifiers::NONE, Some(Key::Enter)),
            (KeyCode::F(1), KeyModifiers::NONE, None),
        ] {
            assert_eq!(typed(code, modifiers), expected, "{code:?}");
        }
        let mut release = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::NONE);
        release.kind = KeyEventKind::Release;
        assert_eq!(key(release), None);
    }
}
