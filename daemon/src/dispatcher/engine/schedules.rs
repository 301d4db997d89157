//! Tasks whose time has come.

use std::collections::BTreeMap;

use super::Engine;
use crate::{
    dispatcher::{
        handle::{Firing, OnBusy, Submitted},
        outcome::{FiringError, Unavailable},
        overview::Phase,
        turn::Turn,
    },
    store::StoreError,
    task::{
        dependency::{After, Condition},
        timetable::Fired,
    },
};

impl Engine {
    /// Forgets the schedules that are not among these, by name, and begins
    /// those anew whose times are others than before.
    pub(super) fn set_schedules(
        turn: &mut Turn,
        known: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Fired>, StoreError> {
        let mut rows = turn.batch.schedules()?;
        for name in rows.keys().filter(|name| !known.contains_key(*name)) {
            turn.batch.forget_schedule(name)?;
        }
        rows.retain(|name, _| known.contains_key(name));
        for (name, times) in known {
            if rows.get(&name).is_none_or(|row| row.times != times) {
                let row = Fired::new(times, turn.wall);
                turn.batch.set_schedule(&name, &row)?;
                rows.insert(name, row);
            }
        }
        Ok(rows)
    }

    /// A time of a schedule has come, or was missed. Task and mark are one
    /// commit: a crash makes neither two tasks of one time nor none.
    pub(super) fn fire(
        &mut self,
        turn: &mut Turn,
        firing: Firing,
    ) -> Result<Result<Option<Submitted>, FiringError>, StoreError> {
        if matches!(self.phase, Phase::Draining | Phase::Stopping) {
            // Its next start sees that the time was missed.
            return Ok(Err(FiringError::Unavailable(Unavailable::Stopping)));
        }
        let rows = turn.batch.schedules()?;
        let Some(mut row) = rows.get(&firing.name).cloned() else {
            return Ok(Ok(None));
        };
        if row.times != firing.times || !row.is_open(firing.at) {
            return Ok(Ok(None));
        }
        row.last = Some(firing.at);
        let answer = match firing.submission {
            None => Ok(None),
            Some(mut submission) => {
                let before = row.task.filter(|task| self.tasks.contains_key(task));
                match (before, submission.on_busy) {
                    (Some(task), OnBusy::Refuse) => Err(FiringError::Busy(task)),
                    (Some(task), on_busy) => {
                        let condition = Condition::End;
                        submission.spec.after = vec![After { task, condition }];
                        let by = submission.spec.user.clone();
                        let submitted = self.submit(turn, submission)?;
                        if let (Ok(new), OnBusy::Replace) = (&submitted, on_busy) {
                            self.supersede(turn, task, new.task.id, &by)?;
                        }
                        submitted.map(Some).map_err(FiringError::Refused)
                    }
                    (None, _) => {
                        let submitted = self.submit(turn, submission)?;
                        submitted.map(Some).map_err(FiringError::Refused)
                    }
                }
            }
        };
        if let Ok(Some(submitted)) = &answer {
            row.task = Some(submitted.task.id);
        }
        turn.batch.set_schedule(&firing.name, &row)?;
        Ok(answer)
    }
}
