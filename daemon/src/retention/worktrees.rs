//! Worktrees of which nothing is lost, and why the others stay.

use std::{collections::HashMap, ffi::OsString, fmt, path::Path, time::Duration};

use super::{Item, Pass, PruneError, Thing};
use crate::{
    config::Config,
    store::{Reader, StoreError},
    task::{
        id::{Revision, TaskId},
        retention::Aged,
        state::StateKind,
    },
    workspace::{self, Found, RemoveError, Teardown, Terms},
};

/// An active task that has a worktree, also one that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Which.
    pub task: TaskId,
    /// How far it is.
    pub state: StateKind,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} is {}", self.task, self.state.as_str())
    }
}

/// The last two parts of a worktree's path: however its directory is called
/// otherwise, they name it.
type Place = (OsString, OsString);

fn place(path: &Path) -> Option<Place> {
    let repo = path.parent().and_then(Path::file_name);
    Some((repo?.to_owned(), path.file_name()?.to_owned()))
}

/// Whose worktrees are in use, at one moment.
#[derive(Debug)]
pub struct Users {
    revision: Revision,
    of: HashMap<Place, User>,
}

impl Users {
    /// All of them. Reads all active tasks.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read(reader: &Reader, state_dir: &Path) -> Result<Self, StoreError> {
        let mut of = HashMap::new();
        for task in reader.active()? {
            let (spec, first) = (&task.spec, task.lineage());
            let path = spec.repo.as_ref().map(|repo| {
                workspace::place_of(state_dir, repo, &spec.agent, spec.issue.as_deref(), first)
            });
            if let Some(place) = path.as_deref().and_then(place) {
                // Of several, the oldest: the others wait for it.
                of.entry(place).or_insert(User {
                    task: task.id,
                    state: task.state.kind(),
                });
            }
        }
        let revision = reader.revision()?;
        Ok(Self { revision, of })
    }

    /// Them as they are now, if any task has changed since.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn renewed(&self, reader: &Reader, state_dir: &Path) -> Result<Option<Self>, StoreError> {
        if reader.revision()? == self.revision {
            return Ok(None);
        }
        Self::read(reader, state_dir).map(Some)
    }

    /// Whose worktree it is.
    #[must_use]
    pub fn of(&self, worktree: &Path) -> Option<User> {
        self.of.get(&place(worktree)?).copied()
    }
}

/// What the operator has run before this worktree is removed.
#[must_use]
pub fn teardown_of(config: &Config, state_dir: &Path, found: &Found) -> Option<Teardown> {
    let mut repos = config.repos.values();
    let repo = repos.find(|repo| workspace::is_of(state_dir, &found.path, &repo.path))?;
    Some(Teardown {
        argv: repo.teardown.clone(),
        limit: Duration::from_millis(repo.setup_timeout),
        repo: repo.path.clone(),
    })
}

impl Pass<'_> {
    /// Removes the worktrees that nobody needs, one by one.
    pub(super) fn worktrees(&mut self) -> Result<(), PruneError> {
        if self.wish.worktrees.is_none() {
            return Ok(());
        }
        let state = self.collector.state.path();
        let users = Users::read(&self.collector.store.reader()?, state)?;
        for path in workspace::worktrees(state)? {
            let found = workspace::inspect(&path);
            let item = self.worktree(found, &users)?;
            self.told(item)?;
        }
        Ok(())
    }

    fn worktree(&self, found: Found, users: &Users) -> Result<Item, PruneError> {
        let thing = |branch| Thing::Worktree {
            path: found.path.clone(),
            attempt: found.attempt,
            branch,
        };
        let reader = self.collector.store.reader()?;
        let terms = match self.terms(&reader, users, &found)? {
            Ok(terms) => terms,
            Err(why) => return Ok(Item::stays(thing(None), why)),
        };
        let stays_for = terms.stays_for(&found);
        if self.wish.dry_run || !stays_for.is_empty() {
            return Ok(Item {
                thing: thing(None),
                bytes: 0,
                stays_for,
            });
        }
        let state = self.collector.state.path();
        let config = self.collector.dispatcher.config();
        let teardown = |found: &Found| teardown_of(&config, state, found);
        let in_use = |now: &Found| {
            if now.attempt != found.attempt {
                return Some("another attempt was given it meanwhile".to_owned());
            }
            // What is not known may be in use.
            match self.terms_now(users, now) {
                Ok(terms) => terms.err(),
                Err(error) => Some(error.to_string()),
            }
        };
        let removed = workspace::remove(state, &found.path, terms, in_use, teardown);
        Ok(match removed {
            Ok(removed) => {
                let branch = removed.found.branch.filter(|_| removed.branch_went);
                Item::goes(thing(branch), 0)
            }
            Err(RemoveError::Stays { reasons, .. }) => Item {
                thing: thing(None),
                bytes: 0,
                stays_for: reasons,
            },
            Err(RemoveError::Teardown { message }) => Item::stays(thing(None), message),
            Err(RemoveError::Failed(error)) => Item::stays(thing(None), error.message),
        })
    }

    /// As [`Pass::terms`], whoever has begun to use it since.
    fn terms_now(&self, users: &Users, found: &Found) -> Result<Result<Terms, String>, PruneError> {
        let reader = self.collector.store.reader()?;
        let renewed = users.renewed(&reader, self.collector.state.path())?;
        self.terms(&reader, renewed.as_ref().unwrap_or(users), found)
    }

    /// How much of a worktree may go, or why all of it stays.
    fn terms(
        &self,
        reader: &Reader,
        users: &Users,
        found: &Found,
    ) -> Result<Result<Terms, String>, PruneError> {
        if let Some(user) = users.of(&found.path) {
            return Ok(Err(user.to_string()));
        }
        let had_by = found.attempt.map(|attempt| attempt.task);
        if had_by.is_some_and(|task| self.is_under_way(task)) {
            return Ok(Err(
                "what its last attempt left is being recorded".to_owned()
            ));
        }
        if had_by.is_some_and(|task| self.is_newest(task)) {
            return Ok(Err("one of the newest tasks had it".to_owned()));
        }
        let task = had_by.map(|task| reader.task(task)).transpose()?.flatten();
        let ended_at = task.and_then(|task| Aged::of(&task).ended_at);
        // Of a task that is forgotten, when it was begun is all that is known.
        let Some(since) = ended_at.max(found.given_at) else {
            let why = "it is not known when it was worked in last";
            return Ok(Err(found.broken.clone().unwrap_or(why.to_owned())));
        };
        let idle = |age: u64| since <= self.now && self.now.millis_since(since) >= age;
        if !self.wish.worktrees.is_some_and(idle) {
            let mut reasons = found.stays_for();
            reasons.insert(0, "it was worked in not long enough ago".to_owned());
            return Ok(Err(reasons.join("; ")));
        }
        Ok(Ok(Terms {
            record: self.wish.recorded.is_some_and(idle),
            branch: true,
            forced: false,
        }))
    }
}
