//! What the model is told, and what it wants done.

use agentd_proto::v1;
use jiff::Timestamp;

use super::{health::Health, row::Row, transcript::Line};

/// A key, as far as keys have a meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Ctrl(char),
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Esc,
    Tab,
    Backspace,
}

/// Something happened.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Key(Key),
    /// Text that was pasted: never keys.
    Paste(String),
    /// Columns and rows of the terminal.
    Resize(u16, u16),
    /// Time goes on.
    Tick(Timestamp),
    /// The daemon answers; what is so from now on.
    Connected(Box<Snapshot>),
    /// The daemon cannot be reached, and why.
    Away(String),
    /// Tasks that changed, and tasks that are not there any more.
    Changed(Vec<Row>, Vec<u64>),
    Health(Box<Health>),
    /// What attempts have cost today, millionths of a US dollar; nothing if no
    /// agent says.
    Today(Option<u64>),
    Explained(u64, Result<Box<v1::ExplainResponse>, String>),
    /// Of an opening of a transcript.
    Lines(u64, Vec<Line>),
    /// Nothing more comes, and why.
    NoMore(u64, String),
    /// What the daemon said to it.
    Answered(Result<String, String>),
    /// A signal that ends the program; its exit code.
    Ended(u8),
    /// The program goes on after it was suspended.
    Continued,
}

/// All there is at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub(super) health: Health,
    pub(super) rows: Vec<Row>,
    /// Active tasks that are not among them.
    pub(super) left_out: u64,
}

/// Something that the daemon is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Cancel(u64),
    Kill(u64),
    Rerun(u64),
    Hold(u64),
    Release(u64),
    Pause,
    Resume,
}

impl Action {
    /// What a person is asked before it is done.
    pub(super) fn question(self) -> String {
        match self {
            Self::Cancel(id) => format!("cancel task {id}?"),
            Self::Kill(id) => format!("kill the agent of task {id} at once?"),
            Self::Rerun(id) => format!("run task {id} again?"),
            Self::Hold(id) => format!("hold task {id}?"),
            Self::Release(id) => format!("release task {id}?"),
            Self::Pause => "start no further tasks?".to_owned(),
            Self::Resume => "start tasks again?".to_owned(),
        }
    }

    /// What is said until the daemon has answered.
    pub(super) fn under_way(self) -> String {
        match self {
            Self::Cancel(id) => format!("cancelling task {id} …"),
            Self::Kill(id) => format!("killing the agent of task {id} …"),
            Self::Rerun(id) => format!("running task {id} again …"),
            Self::Hold(id) => format!("holding task {id} …"),
            Self::Release(id) => format!("releasing task {id} …"),
            Self::Pause => "pausing …".to_owned(),
            Self::Resume => "resuming …".to_owned(),
        }
    }
}

/// Something is to be done outside of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// End with this exit code.
    Quit(u8),
    /// Give the terminal back and stop until the shell lets the program go on.
    Suspend,
    /// Draw every cell anew.
    Repaint,
    /// Ask for the story of a task; an earlier question does not count any more.
    Explain(u64),
    /// Read a transcript along, and no other one any more.
    Follow {
        task: u64,
        opening: u64,
    },
    /// Read no transcript.
    Unfollow,
    Act(Action),
}
