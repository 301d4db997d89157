//! Worktrees of which nothing is lost, and why the others stay.

use std::{path::Path, time::Duration};

use super::{Item, Pass, PruneError, Thing};
use crate::{
    config::Config,
    store::{Reader, StoreError},
    task::{retention::Aged, state::Task},
    workspace::{self, Found, RemoveError, Teardown, Terms},
};

/// The active task whose worktree it is, also one that waits.
///
/// # Errors
/// If the store cannot be read.
pub fn user_of(
    reader: &Reader,
    state_dir: &Path,
    found: &Found,
) -> Result<Option<Task>, StoreError> {
    let end = |path: &Path| {
        let repo = path.parent().and_then(Path::file_name);
        Some((repo?.to_owned(), path.file_name()?.to_owned()))
    };
    let wanted = end(&found.path);
    let works_there = |task: &Task| {
        let spec = &task.spec;
        let first = task.lineage();
        let place = spec.repo.as_ref().map(|repo| {
            workspace::place_of(state_dir, repo, &spec.agent, spec.issue.as_deref(), first)
        });
        place.and_then(|place| end(&place)) == wanted
    };
    Ok(reader.active()?.into_iter().find(works_there))
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
        for path in workspace::worktrees(self.collector.state.path())? {
            let found = workspace::inspect(&path);
            let item = self.worktree(found)?;
            self.told(item)?;
        }
        Ok(())
    }

    fn worktree(&self, found: Found) -> Result<Item, PruneError> {
        let thing = |branch| Thing::Worktree {
            path: found.path.clone(),
            attempt: found.attempt,
            branch,
        };
        let terms = match self.terms(&found)? {
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
            match self.terms(now) {
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

    /// How much of a worktree may go, or why all of it stays.
    fn terms(&self, found: &Found) -> Result<Result<Terms, String>, PruneError> {
        let reader = self.collector.store.reader()?;
        if let Some(task) = user_of(&reader, self.collector.state.path(), found)? {
            let state = task.state.kind().as_str();
            return Ok(Err(format!("task {} is {state}", task.id)));
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
