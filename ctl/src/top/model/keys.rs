//! What keys do.

use super::{Mode, Model, Pane};
use crate::{
    error::{EXIT_INTERRUPTED, EXIT_OK},
    top::event::{Action, Effect, Key},
    view::state_word,
};

/// What a key does while nothing is asked or typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Do {
    Move(Step),
    Open,
    Details,
    Back,
    Quit,
    Follow,
    Filter,
    Which,
    Sort,
    Cancel,
    Kill,
    Rerun,
    Hold,
    Pause,
    Help,
}

/// How far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Rows(isize),
    Pages(isize),
    HalfPages(isize),
    First,
    Last,
}

/// Every key that does something; all others do nothing.
const KEYS: [(Key, Do); 36] = [
    (Key::Up, Do::Move(Step::Rows(-1))),
    (Key::Char('k'), Do::Move(Step::Rows(-1))),
    (Key::Down, Do::Move(Step::Rows(1))),
    (Key::Char('j'), Do::Move(Step::Rows(1))),
    (Key::PageUp, Do::Move(Step::Pages(-1))),
    (Key::Ctrl('b'), Do::Move(Step::Pages(-1))),
    (Key::PageDown, Do::Move(Step::Pages(1))),
    (Key::Ctrl('f'), Do::Move(Step::Pages(1))),
    (Key::Char(' '), Do::Move(Step::Pages(1))),
    (Key::Ctrl('u'), Do::Move(Step::HalfPages(-1))),
    (Key::Ctrl('d'), Do::Move(Step::HalfPages(1))),
    (Key::Home, Do::Move(Step::First)),
    (Key::Char('g'), Do::Move(Step::First)),
    (Key::End, Do::Move(Step::Last)),
    (Key::Char('G'), Do::Move(Step::Last)),
    (Key::Enter, Do::Open),
    (Key::Right, Do::Open),
    (Key::Char('l'), Do::Open),
    (Key::Char('d'), Do::Details),
    (Key::Tab, Do::Details),
    (Key::Esc, Do::Back),
    (Key::Left, Do::Back),
    (Key::Backspace, Do::Back),
    (Key::Char('q'), Do::Quit),
    (Key::Char('f'), Do::Follow),
    (Key::Char('/'), Do::Filter),
    (Key::Char('a'), Do::Which),
    (Key::Char('s'), Do::Sort),
    (Key::Char('c'), Do::Cancel),
    (Key::Char('K'), Do::Kill),
    (Key::Char('r'), Do::Rerun),
    (Key::Char('h'), Do::Hold),
    (Key::Char('p'), Do::Pause),
    (Key::Char('?'), Do::Help),
    (Key::Ctrl('g'), Do::Back),
    (Key::Ctrl('h'), Do::Back),
];

/// What keys are for, as the help tells it: it fits into the smallest terminal.
pub(in crate::top) const HELP: [(&str, &str); 15] = [
    ("↑ ↓ j k g G", "move; PgUp PgDn: by a page"),
    ("Enter l", "open the transcript"),
    ("d Tab", "open the details: attempts, the story"),
    ("Esc ←", "back"),
    ("f", "transcript: follow what comes, or stay"),
    ("", ""),
    ("c", "cancel: ask the agent to stop"),
    ("K", "kill the agent at once"),
    ("r", "run it again, as a new task"),
    ("h", "hold a queued task, or release it"),
    ("p", "start no further tasks, or again"),
    ("", ""),
    ("/", "filter by id, state, agent, title, …"),
    ("a s", "active, all, failed; another order"),
    ("q Ctrl-C Ctrl-Z", "back or quit; quit; suspend"),
];

/// What a key does to the filter that is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Accept,
    Undo,
    Delete,
    DeleteWord,
    Clear,
    Move(isize),
}

const EDITS: [(Key, Edit); 9] = [
    (Key::Enter, Edit::Accept),
    (Key::Esc, Edit::Undo),
    (Key::Backspace, Edit::Delete),
    (Key::Ctrl('h'), Edit::Delete),
    (Key::Ctrl('w'), Edit::DeleteWord),
    (Key::Ctrl('u'), Edit::Clear),
    (Key::Up, Edit::Move(-1)),
    (Key::Down, Edit::Move(1)),
    (Key::Tab, Edit::Accept),
];

const YES: [Key; 2] = [Key::Char('y'), Key::Char('Y')];
const NO: [Key; 4] = [Key::Char('n'), Key::Char('N'), Key::Char('q'), Key::Esc];

/// What the table says of the key.
fn meaning<T: Copy>(table: &[(Key, T)], key: Key) -> Option<T> {
    let entry = table.iter().find(|(known, _)| *known == key);
    entry.map(|(_, meaning)| *meaning)
}

impl Model {
    /// Does what a key means.
    pub(super) fn key(&mut self, key: Key) -> Vec<Effect> {
        // Whatever else is going on.
        let always = [
            (Key::Ctrl('c'), Effect::Quit(EXIT_INTERRUPTED)),
            (Key::Ctrl('z'), Effect::Suspend),
            (Key::Ctrl('l'), Effect::Repaint),
        ];
        if let Some(effect) = meaning(&always, key) {
            return vec![effect];
        }
        // What cannot be seen is not answered by chance.
        if self.areas().is_none() {
            let quits = key == Key::Char('q');
            return quits.then_some(Effect::Quit(EXIT_OK)).into_iter().collect();
        }
        match self.mode.clone() {
            Mode::Browse => meaning(&KEYS, key).map_or_else(Vec::new, |what| self.browse(what)),
            Mode::Filter { before } => {
                self.edit_filter(key, before);
                Vec::new()
            }
            Mode::Confirm(action) => self.confirm(key, action),
            Mode::Help => {
                self.mode = Mode::Browse;
                Vec::new()
            }
        }
    }

    fn browse(&mut self, what: Do) -> Vec<Effect> {
        let mut effect = None;
        match what {
            Do::Move(step) => self.step(step),
            Do::Open => effect = self.open_transcript(),
            Do::Details => effect = self.toggle_details(),
            Do::Back => effect = self.back(),
            Do::Quit if self.pane.is_some() => effect = self.close_pane(),
            Do::Quit => effect = Some(Effect::Quit(EXIT_OK)),
            Do::Follow => self.toggle_follow(),
            Do::Filter => {
                // The filter is the table's.
                effect = self.close_pane();
                let before = self.filter.clone();
                self.mode = Mode::Filter { before };
            }
            Do::Which => {
                effect = self.close_pane();
                self.which = self.which.next();
                self.shown.clear();
                self.chosen = 0;
                self.arrange();
            }
            Do::Sort => {
                effect = self.close_pane();
                self.sort = self.sort.next();
                self.arrange();
            }
            Do::Cancel => self.ask_to_stop(Action::Cancel),
            Do::Kill => self.ask_to_stop(Action::Kill),
            Do::Rerun => match self.target() {
                Some(id) => self.mode = Mode::Confirm(Action::Rerun(id)),
                None => self.say("there is no task to be run again"),
            },
            Do::Hold => return self.hold(),
            Do::Pause if self.health.paused => return self.act(Action::Resume),
            // It is about everything, and its key is hit easily.
            Do::Pause => self.mode = Mode::Confirm(Action::Pause),
            Do::Help => self.mode = Mode::Help,
        }
        effect.into_iter().collect()
    }

    /// Moves the chosen row, or what is in the pane.
    fn step(&mut self, step: Step) {
        let (width, height) = self.pane_size();
        let page = match self.pane {
            Some(_) => height,
            None => self.table_rows(),
        };
        let page = isize::try_from(page).unwrap_or(isize::MAX);
        let by = match step {
            Step::Rows(rows) => rows,
            Step::Pages(pages) => pages.saturating_mul(page),
            Step::HalfPages(halves) => halves.saturating_mul((page / 2).max(1)),
            Step::First => isize::MIN,
            Step::Last => isize::MAX,
        };
        match &mut self.pane {
            None => self.chosen = self.chosen.saturating_add_signed(by),
            Some(Pane::Transcript(open)) => match step {
                Step::First => open.go_to_start(width, height),
                Step::Last => open.follow(),
                Step::Rows(_) | Step::Pages(_) | Step::HalfPages(_) => {
                    open.scroll(by, width, height);
                }
            },
            Some(Pane::Details(first)) => {
                let rows = self
                    .detail
                    .as_ref()
                    .map_or(0, |detail| detail.rows(width, self.now, &self.zone).len());
                let last = rows.saturating_sub(height);
                *first = first.saturating_add_signed(by).min(last);
            }
        }
    }

    /// One step out of where one is.
    fn back(&mut self) -> Option<Effect> {
        if self.pane.is_some() {
            return self.close_pane();
        }
        if self.message.take().is_some() {
            return None;
        }
        if self.filter.is_empty() {
            self.say("q quits");
        } else {
            self.filter.clear();
            self.arrange();
        }
        None
    }

    fn toggle_details(&mut self) -> Option<Effect> {
        let was_open = matches!(self.pane, Some(Pane::Details(_)));
        let effect = self.close_pane();
        if !was_open {
            self.pane = Some(Pane::Details(0));
        }
        effect
    }

    fn toggle_follow(&mut self) {
        let (width, height) = self.pane_size();
        if let Some(Pane::Transcript(open)) = &mut self.pane {
            open.toggle(width, height);
        }
    }

    fn edit_filter(&mut self, key: Key, before: String) {
        if let Key::Char(c) = key {
            self.type_filter(c);
        }
        match meaning(&EDITS, key) {
            Some(Edit::Accept) => self.mode = Mode::Browse,
            Some(Edit::Undo) => {
                self.filter = before;
                self.mode = Mode::Browse;
            }
            Some(Edit::Delete) => drop(self.filter.pop()),
            Some(Edit::DeleteWord) => {
                let kept = self.filter.trim_end();
                let kept = kept.rfind(' ').map_or(0, |space| space + 1);
                self.filter.truncate(kept);
            }
            Some(Edit::Clear) => self.filter.clear(),
            Some(Edit::Move(by)) => self.chosen = self.chosen.saturating_add_signed(by),
            None => {}
        }
        self.keep_in_sight();
        self.arrange();
    }

    fn confirm(&mut self, key: Key, action: Action) -> Vec<Effect> {
        if YES.contains(&key) {
            self.mode = Mode::Browse;
            return self.act(action);
        }
        // A key that hit the question by chance is no answer.
        if NO.contains(&key) {
            self.mode = Mode::Browse;
            self.say("nothing was done");
        }
        Vec::new()
    }

    /// Asks first, unless there is nothing to be stopped.
    fn ask_to_stop(&mut self, action: fn(u64) -> Action) {
        let Some(id) = self.target() else {
            self.say("there is no task to be stopped");
            return;
        };
        match self.target_row() {
            Some(row) if !row.is_active() => {
                let word = state_word(row.state);
                self.say(&format!("task {id} is {word} already: r runs it again"));
            }
            Some(_) | None => self.mode = Mode::Confirm(action(id)),
        }
    }

    fn hold(&mut self) -> Vec<Effect> {
        let Some(row) = self.target_row() else {
            self.say("there is no task to be held");
            return Vec::new();
        };
        let id = row.id;
        if row.can_be_released() {
            self.act(Action::Release(id))
        } else if row.waits() {
            self.act(Action::Hold(id))
        } else {
            let word = state_word(row.state);
            self.say(&format!(
                "task {id} is {word}: only queued tasks can be held"
            ));
            Vec::new()
        }
    }
}
