//! The state of the screen. Events in, effects out: it asks nobody, draws
//! nothing and knows no clock.

pub(super) mod keys;
#[cfg(test)]
mod tests;

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

use super::{
    detail::Detail,
    event::{Action, Effect, Event, Snapshot},
    health::Health,
    layout::{self, Areas},
    row::Row,
    tasks::{Sort, Tasks, Which},
    text,
    transcript::{Line, Transcript},
};

/// How long a message is shown, seconds.
const MESSAGE: i64 = 15;
/// Characters of a filter.
const FILTER: usize = 100;

/// Whether the daemon is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// It has not answered yet.
    Connecting,
    /// What is shown is so.
    Live,
    /// It went away then: what is shown was so.
    Away { since: Timestamp, why: String },
}

/// What is opened beside or instead of the table.
#[derive(Debug, Clone)]
pub(super) enum Pane {
    Transcript(Transcript),
    /// Everything about the chosen task, from this row on.
    Details(usize),
}

/// What keys mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Browse,
    /// A filter is typed; the one before it comes back on Esc.
    Filter {
        before: String,
    },
    /// A question that y or n answers.
    Confirm(Action),
    Help,
}

/// What became of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) is_error: bool,
    at: Timestamp,
    /// It says that this task is being stopped: not true any more once it has ended.
    stops: Option<u64>,
}

/// Everything that is shown.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) size: (u16, u16),
    pub(super) now: Timestamp,
    pub(super) zone: TimeZone,
    pub(super) link: Link,
    pub(super) health: Health,
    pub(super) today: Option<u64>,
    pub(super) tasks: Tasks,
    pub(super) which: Which,
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// The ids of the tasks in the table.
    pub(super) shown: Vec<u64>,
    /// The chosen place in it; of no meaning if it is empty.
    pub(super) chosen: usize,
    /// The place of the table's first row.
    pub(super) first: usize,
    pub(super) detail: Option<Detail>,
    pub(super) pane: Option<Pane>,
    pub(super) mode: Mode,
    pub(super) message: Option<Message>,
    /// The daemon was asked for it and has not answered.
    pub(super) pending: Option<Action>,
    openings: u64,
    /// The story that was asked for and has not come; whether it has grown
    /// since.
    asked: Option<(u64, bool)>,
}

impl Model {
    /// Nothing is known yet.
    pub(super) fn new(size: (u16, u16), now: Timestamp, zone: TimeZone) -> Self {
        Self {
            size,
            now,
            zone,
            link: Link::Connecting,
            health: Health::default(),
            today: None,
            tasks: Tasks::default(),
            which: Which::default(),
            sort: Sort::default(),
            filter: String::new(),
            shown: Vec::new(),
            chosen: 0,
            first: 0,
            detail: None,
            pane: None,
            mode: Mode::Browse,
            message: None,
            pending: None,
            openings: 0,
            asked: None,
        }
    }

    /// Takes an event; what is to be done.
    #[must_use]
    pub(super) fn update(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        let before = self.target();
        // Whether what the details tell may be old.
        let mut grown = false;
        match event {
            Event::Key(key) => effects = self.key(key),
            Event::Paste(text) => self.paste(&text),
            Event::Resize(width, height) => self.size = (width, height),
            Event::Tick(now) => self.tick(now),
            Event::Connected(snapshot) => {
                self.connected(*snapshot);
                grown = true;
            }
            Event::Away(why) => self.away(&why),
            Event::Changed(rows, gone) => {
                let changed = |id: &u64| rows.iter().any(|row| row.id == *id);
                let ended = |id: u64| rows.iter().any(|row| row.id == id && !row.is_active());
                self.message.take_if(|said| said.stops.is_some_and(ended));
                grown = before.as_ref().is_some_and(changed);
                self.tasks.merge(rows);
                gone.into_iter().for_each(|id| self.tasks.remove(id));
                self.arrange();
            }
            Event::Health(health) => self.health = *health,
            Event::Today(cost) => self.today = cost,
            Event::Explained(task, told) => {
                grown = self.asked == Some((task, true));
                // That of a task that was chosen before is not waited for.
                self.asked = self.asked.filter(|(asked, _)| *asked != task);
                if before == Some(task) {
                    self.detail = Some(Detail::new(told));
                }
            }
            Event::Lines(opening, lines) => self.lines(opening, lines),
            Event::NoMore(opening, why) => self.no_more(opening, &why),
            Event::Answered(said) => {
                let asked = self.pending.take();
                match said {
                    Ok(said) => {
                        self.say(&said);
                        if let (Some(said), Some(Action::Cancel(id) | Action::Kill(id))) =
                            (&mut self.message, asked)
                        {
                            said.stops = Some(id);
                        }
                    }
                    Err(why) => self.complain(&why),
                }
            }
            Event::Ended(code) => effects.push(Effect::Quit(code)),
            Event::Continued => effects.push(Effect::Repaint),
        }
        self.keep_in_sight();
        effects.extend(self.ask(before, grown));
        effects
    }

    /// Asks for the story of the chosen task, if another one was chosen or it
    /// has grown.
    fn ask(&mut self, before: Option<u64>, grown: bool) -> Option<Effect> {
        let task = self.target();
        let Some(task) = task else {
            self.detail = None;
            return None;
        };
        match &mut self.asked {
            // One question at a time: its answer leads to the next one.
            Some((asked, again)) if *asked == task => {
                *again |= grown;
                return None;
            }
            Some(_) | None => {}
        }
        if before == Some(task) && !grown {
            return None;
        }
        if before != Some(task) {
            self.detail = None;
            if let Some(Pane::Details(first)) = &mut self.pane {
                *first = 0;
            }
        }
        self.asked = Some((task, false));
        Some(Effect::Explain(task))
    }

    fn tick(&mut self, now: Timestamp) {
        self.now = now;
        let old = now.saturating_sub(MESSAGE.seconds()).unwrap_or(now);
        if self.message.as_ref().is_some_and(|said| said.at < old) {
            self.message = None;
        }
        if self.sort == Sort::Time {
            self.arrange();
        }
    }

    fn connected(&mut self, snapshot: Snapshot) {
        self.link = Link::Live;
        self.health = snapshot.health;
        self.tasks.replace(snapshot.rows, snapshot.left_out);
        // Whatever was asked of a daemon that went away is asked anew.
        self.asked = None;
        self.arrange();
    }

    fn away(&mut self, why: &str) {
        let since = match self.link {
            Link::Away { since, .. } => since,
            Link::Connecting | Link::Live => self.now,
        };
        let why = text::short(why);
        self.link = Link::Away { since, why };
    }

    /// Sorts the table anew; the chosen task stays chosen if it is there.
    fn arrange(&mut self) {
        let chosen = self.shown.get(self.chosen).copied();
        self.shown = self
            .tasks
            .shown(self.which, &self.filter, self.sort, self.now);
        let place = chosen.and_then(|id| self.shown.iter().position(|shown| *shown == id));
        self.chosen = place.unwrap_or(self.chosen);
    }

    /// The chosen place is one that there is, and is on the screen.
    fn keep_in_sight(&mut self) {
        let last = self.shown.len().saturating_sub(1);
        self.chosen = self.chosen.min(last);
        let height = self.table_rows();
        let lowest = self.chosen.saturating_sub(height.saturating_sub(1));
        self.first = self.first.clamp(lowest, self.chosen);
        // No empty rows below while some are hidden above.
        self.first = self.first.min(self.shown.len().saturating_sub(height));
    }

    /// The task that keys act on.
    pub(super) fn target(&self) -> Option<u64> {
        match &self.pane {
            Some(Pane::Transcript(transcript)) => Some(transcript.task),
            Some(Pane::Details(_)) | None => self.shown.get(self.chosen).copied(),
        }
    }

    /// What is known of it.
    pub(super) fn target_row(&self) -> Option<&Row> {
        self.target().and_then(|id| self.tasks.get(id))
    }

    /// Where everything is; nothing if the terminal is too small.
    pub(super) fn areas(&self) -> Option<Areas> {
        layout::areas(self)
    }

    /// Rows of tasks that fit.
    fn table_rows(&self) -> usize {
        let table = self.areas().and_then(|areas| areas.table);
        table.map_or(1, |table| layout::table_rows(table).max(1))
    }

    /// Columns and rows of what is in the pane.
    fn pane_size(&self) -> (usize, usize) {
        let side = self.areas().and_then(|areas| areas.side);
        side.map_or((1, 1), layout::pane_size)
    }

    fn lines(&mut self, opening: u64, lines: Vec<Line>) {
        if let Some(Pane::Transcript(open)) = &mut self.pane
            && open.opening == opening
        {
            open.extend(lines);
        }
    }

    fn no_more(&mut self, opening: u64, why: &str) {
        if let Some(Pane::Transcript(open)) = &mut self.pane
            && open.opening == opening
        {
            open.ended = true;
            open.extend(vec![Line::note(why)]);
        }
    }

    fn open_transcript(&mut self) -> Option<Effect> {
        if matches!(self.pane, Some(Pane::Transcript(_))) {
            return None;
        }
        let Some(task) = self.target() else {
            self.say("there is no task to be opened");
            return None;
        };
        self.openings += 1;
        let opening = self.openings;
        self.pane = Some(Pane::Transcript(Transcript::new(task, opening)));
        Some(Effect::Follow { task, opening })
    }

    fn close_pane(&mut self) -> Option<Effect> {
        match self.pane.take() {
            Some(Pane::Transcript(_)) => Some(Effect::Unfollow),
            Some(Pane::Details(_)) | None => None,
        }
    }

    fn act(&mut self, action: Action) -> Vec<Effect> {
        if let Some(pending) = self.pending {
            self.complain(&format!("first: {}", pending.under_way()));
            return Vec::new();
        }
        self.message = None;
        self.pending = Some(action);
        vec![Effect::Act(action)]
    }

    fn say(&mut self, text: &str) {
        self.message = Some(Message {
            text: text.to_owned(),
            is_error: false,
            at: self.now,
            stops: None,
        });
    }

    fn complain(&mut self, text: &str) {
        self.message = Some(Message {
            text: text.to_owned(),
            is_error: true,
            at: self.now,
            stops: None,
        });
    }

    fn paste(&mut self, text: &str) {
        if matches!(self.mode, Mode::Filter { .. }) {
            let text = crate::output::table::one_line(text);
            text.chars().for_each(|c| self.type_filter(c));
            self.arrange();
        }
    }

    fn type_filter(&mut self, c: char) {
        if self.filter.chars().count() < FILTER {
            self.filter.push(c);
        }
    }
}
