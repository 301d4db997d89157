//! Word to a person that a task has ended: by a program that is run, and by a
//! server that is sent it.
//!
//! ```text
//! journal of the store ─► first end above the mark ─► sent ─► mark moved, in a commit
//! ```
//!
//! There is no outbox: the journal is one. Each [`Way`] follows it by itself, from
//! a mark of its own in the store, in order and one at a time. The mark moves when
//! a notice was taken or is given up; so a crash in between sends one notice once
//! more, and none is lost. Each names its event, by which a receiver knows one that
//! it has had.
//!
//! What is told is committed by then. Nobody waits for this room: neither the loop
//! nor a task. When nothing ends, nothing here wakes up.
//!
//! Not here: what follows from a notice that is not taken ([`crate::task::notice`]).

mod command;
mod document;
mod follow;
mod health;
mod webhook;

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::timeout;

pub use self::{
    command::missing,
    document::{Notice, SCHEMA},
    health::{Standing, Trouble},
};
use self::{follow::Follower, health::Board};
use crate::{config::Notify, dispatcher::Handle, store::Store, task::notice::Way};

/// Who sends word of ends.
#[derive(Debug)]
pub struct Notices {
    store: Arc<Store>,
    dispatcher: Handle,
    /// For commands that ask the daemon.
    socket: PathBuf,
    /// Which machine it is that tells.
    host: String,
    board: Board,
}

/// A notice that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Miss {
    /// It may be another time.
    #[error("{why}")]
    Failed {
        /// One line.
        why: String,
        /// What the server asks for, milliseconds.
        retry_after: Option<u64>,
    },
    /// It was understood, and is not wanted.
    #[error("{0}")]
    Refused(String),
}

impl Miss {
    fn failed(why: impl Into<String>) -> Self {
        Self::Failed {
            why: why.into(),
            retry_after: None,
        }
    }
}

impl Notices {
    /// Word of what `store` holds, by the daemon that listens at `socket`, of the
    /// machine called `host`.
    #[must_use]
    pub fn new(store: Arc<Store>, dispatcher: Handle, socket: PathBuf, host: String) -> Self {
        Self {
            store,
            dispatcher,
            socket,
            host,
            board: Board::default(),
        }
    }

    /// Sends word by one way until the dispatcher ends. What is dropped while it
    /// is sent is sent again by the next daemon.
    pub async fn run(self: Arc<Self>, way: Way) {
        Follower::new(self, way).follow().await;
    }

    /// How each way stands that is used.
    #[must_use]
    pub fn standing(&self) -> Vec<Standing> {
        let config = self.dispatcher.config();
        let used = Way::ALL.into_iter();
        let used = used.filter(|way| config.notify.goes_by(*way));
        used.map(|way| self.board.standing(way, &config.notify))
            .collect()
    }

    /// Sends a notice once.
    async fn send(&self, way: Way, notify: &Notify, notice: &Notice) -> Result<(), Miss> {
        let body = notice.to_json();
        let limit = Duration::from_millis(notify.timeout);
        match (way, &notify.webhook) {
            (Way::Command, _) => {
                let variables = [
                    ("AGENTD_TASK", OsString::from(notice.id.to_string())),
                    ("AGENTD_STATE", notice.state.into()),
                    ("AGENTD_EVENT", notice.event.to_string().into()),
                    ("AGENTD_SOCKET", self.socket.clone().into()),
                ];
                command::tell(&notify.command, variables, &body, limit).await
            }
            (Way::Webhook, Some(webhook)) => {
                let posted = timeout(limit, webhook::post(webhook, body)).await;
                let late = || format!("no answer within {:?}", limit);
                posted.unwrap_or_else(|_| Err(Miss::failed(late())))
            }
            (Way::Webhook, None) => Err(Miss::Refused("no address is named".to_owned())),
        }
    }
}
