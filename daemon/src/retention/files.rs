//! Transcripts, and what else tasks have left in the state directory.
//!
//! What is on disk decides what is looked at, so that whatever a crash has left
//! is found again. A file goes only if the store says so: the attempt's row has
//! it, or the task is forgotten, which only a number below the next one can be.
//! A task may also be unknown because an older copy of the store was put back: its
//! files go no sooner than they would have gone with it.

use std::{fs, io};

use super::{Item, Pass, PruneError, Thing};
use crate::{
    dispatcher::Pruning,
    store::{Reader, StoreError},
    task::{
        id::{AttemptId, TaskId},
        retention::Aged,
    },
};

/// Transcripts that one snapshot, and one transaction, is used for.
const BATCH: usize = 100;

/// What becomes of a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    /// It is old enough: first its row has to say that it is gone.
    Due,
    /// The store says already that it is gone.
    Left,
}

impl Pass<'_> {
    /// Removes transcripts that are old enough, or belong to nobody.
    pub(super) fn files(&mut self) -> Result<(), PruneError> {
        for ids in self.collector.state.kept()?.chunks(BATCH) {
            self.goes_on()?;
            let (mut due, mut gone) = (Vec::new(), Vec::new());
            let reader = self.collector.store.reader()?;
            for id in ids.iter().copied() {
                match self.fate(&reader, id)? {
                    Fate::Stays => {}
                    Fate::Due => due.push(id),
                    Fate::Left => gone.push(id),
                }
            }
            drop(reader);
            if self.wish.dry_run {
                gone.append(&mut due);
            } else if !due.is_empty() {
                let pruned = self.ask(Pruning {
                    lineages: Vec::new(),
                    seen: TaskId::FIRST,
                    transcripts: due,
                    at: self.now,
                })?;
                gone.extend(pruned.transcripts);
            }
            for id in gone {
                self.discard(id)?;
            }
        }
        self.private_directories()
    }

    fn fate(&self, reader: &Reader, id: AttemptId) -> Result<Fate, StoreError> {
        let Some(task) = reader.task(id.task)? else {
            let forgotten = id.task < reader.next_task()? && self.is_long_untouched(id);
            return Ok(if forgotten { Fate::Left } else { Fate::Stays });
        };
        let Some(attempt) = reader.attempt(id)? else {
            return Ok(Fate::Stays);
        };
        if attempt.pruned_at.is_some() {
            return Ok(Fate::Left);
        }
        let age = self.wish.transcripts.filter(|_| !self.is_newest(id.task));
        let is_old = age.is_some_and(|age| Aged::of(&task).is_older(age, self.now));
        Ok(if is_old { Fate::Due } else { Fate::Stays })
    }

    /// Nothing was written for as long as tasks and transcripts are kept.
    fn is_long_untouched(&self, id: AttemptId) -> bool {
        let age = self.wish.tasks.max(self.wish.transcripts);
        let written = self.collector.state.kept_since(id).ok();
        age.zip(written).is_some_and(|(age, written)| {
            written <= self.now && self.now.millis_since(written) >= age
        })
    }

    fn discard(&mut self, id: AttemptId) -> Result<(), PruneError> {
        let state = &self.collector.state;
        let bytes = state.kept_size(id).unwrap_or(0);
        let done = match self.wish.dry_run {
            true => Ok(()),
            false => state.discard(id),
        };
        let thing = Thing::Transcript(id);
        self.told(match done {
            Ok(()) => Item::goes(thing, bytes),
            // The next pass finds it again.
            Err(error) => Item::stays(thing, format!("it cannot be removed: {error}")),
        })
    }

    /// Removes private directories of forgotten tasks, if nothing is in them.
    fn private_directories(&mut self) -> Result<(), PruneError> {
        let dir = self.collector.state.path().join("workspaces");
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            let Some(task) = number.and_then(TaskId::new) else {
                continue;
            };
            let reader = self.collector.store.reader()?;
            if task >= reader.next_task()? || reader.task(task)?.is_some() {
                continue;
            }
            let path = dir.join(&name);
            let is_empty = fs::read_dir(&path)?.next().is_none();
            let thing = Thing::Directory(path.clone());
            let done = match is_empty && !self.wish.dry_run {
                true => fs::remove_dir(&path),
                false => Ok(()),
            };
            self.told(match done {
                Ok(()) if is_empty => Item::goes(thing, 0),
                Ok(()) => Item::stays(thing, "files are in it, and nothing else holds them"),
                Err(error) => Item::stays(thing, error.to_string()),
            })?;
        }
        Ok(())
    }
}
