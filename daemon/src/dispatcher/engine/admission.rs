//! What people ask for: new tasks, and the end of others.

use super::Engine;
use crate::{
    dispatcher::{
        handle::{CancelOrder, OnBusy, RerunOrder, Submission, Submitted},
        outcome::{Cancelled, SubmitError, Unavailable},
        overview::Phase,
        turn::Turn,
    },
    metrics::Step,
    store::{Entry, StoreError},
    task::{
        dependency::{After, Condition},
        event::{Event, What},
        id::TaskId,
        limits::{MAX_MESSAGE, clip},
        state::{State, StateKind, StopReason, Task},
    },
};

impl Engine {
    /// Stores a task that runs a finished one again, if its lineage may spend
    /// anything more.
    pub(super) fn rerun(
        &mut self,
        turn: &mut Turn,
        order: RerunOrder,
    ) -> Result<Result<Submitted, SubmitError>, StoreError> {
        let RerunOrder {
            of,
            mut submission,
            force,
            override_budget,
            note,
        } = order;
        let spec = &mut submission.spec;
        let lineage = spec.lineage.unwrap_or(of);
        let spent = turn.batch.spent(lineage)?;
        if override_budget {
            spec.forgiven = spent;
        }
        let left = spent.minus(spec.forgiven);
        let refusal = left.used_up(spec.limits.budgets());
        let mut refusal = refusal.map(|used_up| SubmitError::NothingLeft { lineage, used_up });
        // While it was active, nobody had to say that a success does not matter.
        if !force && !self.tasks.contains_key(&of) {
            let ended = turn.batch.task(of)?.map(|task| task.state.kind());
            let succeeded = ended == Some(StateKind::Succeeded);
            refusal = succeeded.then_some(SubmitError::Succeeded(of)).or(refusal);
        }
        let mut why = format!("rerun of task {of}");
        if let Some(note) = note {
            why = format!("{why}; {note}");
        }
        if override_budget {
            let user = &submission.spec.user;
            why = format!("{why}; budget overridden by {user}: {spent} were spent");
        }
        self.admit(turn, submission, Some(of), refusal, why)
    }

    pub(super) fn submit(
        &mut self,
        turn: &mut Turn,
        submission: Submission,
    ) -> Result<Result<Submitted, SubmitError>, StoreError> {
        self.admit(turn, submission, None, None, String::new())
    }

    /// Stores a task. `refusal` is why a new one is not taken; one that is in
    /// the store already is found all the same.
    fn admit(
        &mut self,
        turn: &mut Turn,
        submission: Submission,
        rerun_of: Option<TaskId>,
        refusal: Option<SubmitError>,
        why: String,
    ) -> Result<Result<Submitted, SubmitError>, StoreError> {
        if let Some(request_id) = &submission.spec.request_id
            && let Some((id, digest)) = turn.batch.request(request_id)?
        {
            let known = if digest == submission.digest {
                turn.batch.task(id)?
            } else {
                None
            };
            return Ok(known.map_or(Err(SubmitError::RequestIdReused(id)), |task| {
                Ok(Submitted {
                    task,
                    existing: true,
                    replaced: Vec::new(),
                })
            }));
        }
        if matches!(self.phase, Phase::Draining | Phase::Stopping) {
            return Ok(Err(Unavailable::Stopping.into()));
        }
        let replace = submission.on_busy == OnBusy::Replace;
        if let Some(of) = rerun_of.filter(|of| !replace && self.tasks.contains_key(of)) {
            return Ok(Err(SubmitError::Active(of)));
        }
        if let Some(refusal) = refusal {
            return Ok(Err(refusal));
        }
        if self.tasks.len() >= self.parts.config.max_queued {
            return Ok(Err(SubmitError::QueueFull(self.tasks.len())));
        }
        if let Err(refused) = self.may_still_come(turn, &submission.spec)? {
            return Ok(Err(refused));
        }
        let replaced = match self.make_way(turn, &submission, rerun_of)? {
            Ok(replaced) => replaced,
            Err(refused) => return Ok(Err(refused)),
        };
        let also = (!replaced.is_empty()).then(|| replaces(&replaced));
        let whys = [Some(why).filter(|why| !why.is_empty()), also];
        let whys: Vec<_> = whys.into_iter().flatten().collect();
        let entry = Entry {
            at: turn.wall,
            what: What::Submitted,
            why: &clip(&whys.join("; "), MAX_MESSAGE),
        };
        let mut spec = submission.spec;
        if let Some(of) = rerun_of.filter(|of| self.tasks.contains_key(of)) {
            // The first of a lineage may have no key to wait for, but both have
            // one workspace.
            spec.after = vec![After {
                task: of,
                condition: Condition::End,
            }];
        }
        spec.created_steady = turn.moment.steady;
        if let Some(delay) = submission.delay {
            spec.not_before = Some(turn.moment.plus_millis(delay));
        }
        let task = turn
            .batch
            .insert(spec, &submission.payload, submission.digest, &entry)?;
        tracing::info!(task = %task.id, agent = task.spec.agent, "submitted");
        turn.steps.push(Step::of(None, &task, turn.moment));
        self.schedule.update(&task, turn.moment);
        let waits = super::waits(&task, turn.now, turn.moment);
        self.timers.set(task.id, waits);
        self.await_ends(turn, &task)?;
        self.tasks.insert(task.id, task.clone());
        Ok(Ok(Submitted {
            task,
            existing: false,
            replaced,
        }))
    }

    /// Deals with the active tasks of a new task's key; those that it replaces.
    /// A rerun takes the place of queued ones, unless they are reruns of the
    /// same task: then somebody asked twice.
    fn make_way(
        &mut self,
        turn: &mut Turn,
        submission: &Submission,
        rerun_of: Option<TaskId>,
    ) -> Result<Result<Vec<TaskId>, SubmitError>, StoreError> {
        let key = submission.spec.key();
        let of_key = key.iter().flat_map(|key| self.schedule.of_key(key));
        let mut of_key: Vec<_> = of_key.collect();
        // Whoever comes here with it active wants it replaced.
        let active = rerun_of.filter(|of| self.tasks.contains_key(of));
        if let Some(of) = active.filter(|of| !of_key.contains(of)) {
            of_key.push(of);
        }
        let may_supersede = |task: &Task| {
            rerun_of.is_some()
                && matches!(task.state, State::Queued(_))
                && task.spec.rerun_of != rerun_of
        };
        let mut in_the_way = of_key.iter().filter_map(|id| self.tasks.get(id));
        let in_the_way = in_the_way.find(|task| !may_supersede(task));
        if let (OnBusy::Refuse, Some(task)) = (submission.on_busy, in_the_way) {
            let has_issue = submission.spec.issue.is_some();
            let again = task.spec.rerun_of.filter(|_| !has_issue);
            let task = task.id;
            return Ok(Err(SubmitError::KeyBusy { task, again }));
        }
        let goes = |id: &TaskId| {
            submission.on_busy == OnBusy::Replace || self.tasks.get(id).is_some_and(may_supersede)
        };
        of_key.retain(goes);
        let newer = turn.batch.next_task();
        let mut replaced = Vec::new();
        for id in of_key {
            if self.supersede(turn, id, newer, &submission.spec.user)? {
                replaced.push(id);
            }
        }
        Ok(Ok(replaced))
    }

    /// Has a task make way for a newer one. One that is being cancelled does so
    /// already, and keeps its grace; returns whether this one was not.
    pub(super) fn supersede(
        &mut self,
        turn: &mut Turn,
        id: TaskId,
        newer: TaskId,
        by: &str,
    ) -> Result<bool, StoreError> {
        let is_ending = self.tasks.get(&id).is_none_or(|task| match task.state {
            State::Stopping { reason, .. } => reason == StopReason::Cancel,
            State::Queued(_) | State::Starting | State::Running | State::Finished(_) => false,
        });
        if is_ending {
            return Ok(false);
        }
        let event = Event::Cancel {
            by: by.to_owned(),
            forced: false,
            superseded_by: Some(newer),
        };
        self.apply(turn, id, &event)
    }

    pub(super) fn cancel(
        &mut self,
        turn: &mut Turn,
        id: TaskId,
        by: String,
        order: CancelOrder,
    ) -> Result<Cancelled, StoreError> {
        let Some(task) = self.tasks.get(&id) else {
            let known = turn.batch.task(id)?.is_some();
            return Ok(if known {
                Cancelled::AlreadyFinal
            } else {
                Cancelled::Unknown
            });
        };
        if let State::Stopping { reason, forced } = task.state
            && order.repeated
            && reason == StopReason::Cancel
            && forced >= order.forced
        {
            return Ok(Cancelled::Done);
        }
        let event = Event::Cancel {
            by,
            forced: order.forced,
            superseded_by: None,
        };
        self.apply(turn, id, &event)?;
        Ok(Cancelled::Done)
    }
}

/// Tasks that are named in one sentence.
const NAMED: usize = 10;

/// `replaces task 48, task 49 and 3 more`.
fn replaces(replaced: &[TaskId]) -> String {
    let named = replaced.iter().take(NAMED).map(|id| format!("task {id}"));
    let named: Vec<_> = named.collect();
    let more = replaced.len() - named.len();
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("replaces {}{more}", named.join(", "))
}
