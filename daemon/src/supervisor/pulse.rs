//! Signs of life: when each runner gave its last one, and what is done about
//! one that has given none for too long.
//!
//! ```text
//!            no sign for SUSPECT_AFTER          looked at again and again
//!   well ───────────────────────────► suspect ─────────────┐
//!    ▲                                  │ │ ▲──────────────┘ alive, unknown
//!    └────────── any sign ──────────────┘ └──► dead: as every death of a runner
//! ```
//!
//! Silence proves nothing: it only starts a look at the runner's lock and
//! process ([`life::judge`]). A living or unknown one is shown as suspect and
//! left alone. All of it is kept in memory: a heartbeat is no change of a task,
//! is not committed, and does not wake the dispatcher.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{Report, Supervisor};
use crate::{
    process,
    spool::LockState,
    task::{
        attempt::ProcessIdentity,
        event::{AttemptRef, Event},
        id::Timestamp,
        life::{self, Life},
        state::StopReason,
    },
};

/// Looks at suspect runners are taken together: none follows another sooner.
const TOGETHER: Duration = Duration::from_secs(1);

/// The figures of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beat {
    /// Bytes of transcript.
    pub output: u64,
    /// CPU time of the tree, milliseconds.
    pub cpu: u64,
    /// Resident memory of the tree, bytes.
    pub memory: u64,
    /// Living processes below the runner.
    pub processes: u32,
    /// Milliseconds since the agent last did anything.
    pub idle: u64,
    /// The agent waits for a tool.
    pub tool: bool,
}

/// What is known of a runner that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// Its last sign of life in this incarnation.
    pub heard_at: Option<Timestamp>,
    /// It has given none for longer than it should.
    pub suspect: bool,
    /// What the last look at it found, while it is suspect.
    pub probe: Option<Life>,
    /// Its last figures.
    pub beat: Option<Beat>,
}

/// A runner that signs of life are expected of.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its attempt.
    pub attempt: AttemptRef,
    /// Who it is, if it has registered.
    pub runner: Option<ProcessIdentity>,
    /// How long its agent may do nothing, milliseconds; `None`: no limit.
    pub idle_timeout: Option<u64>,
    /// The same while it waits for a tool.
    pub tool_idle_timeout: Option<u64>,
}

#[derive(Debug)]
struct Pulse {
    expected: Expected,
    vitals: Vitals,
    /// When it becomes suspect, or is looked at again.
    due: Instant,
}

/// Every runner that signs of life are expected of.
#[derive(Debug)]
pub(super) struct Pulses {
    of: Mutex<HashMap<AttemptRef, Pulse>>,
    /// Milliseconds; a runner that is waited for is judged by it from its next
    /// sign of life on.
    suspect_after: AtomicU64,
    /// There is a runner to watch where there was none.
    first: Notify,
}

impl Pulses {
    pub(super) fn new(suspect_after: Duration) -> Self {
        let pulses = Self {
            of: Mutex::default(),
            suspect_after: AtomicU64::default(),
            first: Notify::new(),
        };
        pulses.set_suspect_after(suspect_after);
        pulses
    }

    /// Without a sign of life for so long, a runner is looked at.
    pub(super) fn set_suspect_after(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.suspect_after.store(millis, Ordering::Relaxed);
    }

    fn suspect_after(&self) -> Duration {
        Duration::from_millis(self.suspect_after.load(Ordering::Relaxed))
    }

    /// Expects signs of life from now on.
    fn expect(&self, expected: Expected, now: Instant) {
        let mut pulses = self.lock();
        let first = pulses.is_empty();
        let due = now + self.suspect_after();
        pulses
            .entry(expected.attempt)
            .and_modify(|pulse| {
                pulse.due = due;
                pulse.expected = expected.clone();
            })
            .or_insert(Pulse {
                expected,
                vitals: Vitals::default(),
                due,
            });
        if first {
            self.first.notify_one();
        }
    }

    fn forget(&self, attempt: AttemptRef) {
        self.lock().remove(&attempt);
    }

    /// A sign of life. Returns whether the runner was suspect.
    fn heard(&self, attempt: AttemptRef, at: Timestamp, now: Instant) -> bool {
        let mut pulses = self.lock();
        let Some(pulse) = pulses.get_mut(&attempt) else {
            return false;
        };
        pulse.due = now + self.suspect_after();
        pulse.vitals.heard_at = Some(at);
        pulse.vitals.probe = None;
        std::mem::take(&mut pulse.vitals.suspect)
    }

    /// Figures. Returns whether the agent has been idle for as long as it may.
    fn beat(&self, attempt: AttemptRef, beat: Beat) -> bool {
        let mut pulses = self.lock();
        let Some(pulse) = pulses.get_mut(&attempt) else {
            return false;
        };
        pulse.vitals.beat = Some(beat);
        let limit = match beat.tool {
            true => pulse.expected.tool_idle_timeout,
            false => pulse.expected.idle_timeout,
        };
        limit.is_some_and(|limit| limit <= beat.idle)
    }

    fn vitals(&self, attempt: AttemptRef) -> Option<Vitals> {
        self.lock().get(&attempt).map(|pulse| pulse.vitals)
    }

    /// When the next runner is to be looked at, unless it is heard of.
    fn next(&self) -> Option<Instant> {
        self.lock().values().map(|pulse| pulse.due).min()
    }

    /// The runners that are to be looked at, and whether they were suspect
    /// before.
    fn due(&self, now: Instant) -> Vec<(Expected, bool)> {
        let mut pulses = self.lock();
        let due = pulses.values_mut().filter(|pulse| pulse.due <= now);
        due.map(|pulse| {
            pulse.due = now + self.suspect_after();
            let before = std::mem::replace(&mut pulse.vitals.suspect, true);
            (pulse.expected.clone(), before)
        })
        .collect()
    }

    /// What a look found. Nothing if the runner was heard of meanwhile.
    fn found(&self, attempt: AttemptRef, life: Life) {
        if let Some(pulse) = self.lock().get_mut(&attempt)
            && pulse.vitals.suspect
        {
            pulse.vitals.probe = Some(life);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptRef, Pulse>> {
        // No code panics while it holds the lock; the map is whole in any case.
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Supervisor {
    /// Has runners looked at after another time without a sign of life.
    pub fn set_suspect_after(&self, time: Duration) {
        self.shared.pulses.set_suspect_after(time);
    }

    /// Expects signs of life of a runner from now on, until
    /// [`Supervisor::expect_no_more`].
    pub fn expect(&self, expected: Expected) {
        self.shared.pulses.expect(expected, Instant::now());
    }

    /// The attempt has ended.
    pub fn expect_no_more(&self, attempt: AttemptRef) {
        self.shared.pulses.forget(attempt);
    }

    /// A runner has said something, at this time of the wall clock.
    pub fn heard(&self, attempt: AttemptRef, at: Timestamp) {
        if self.shared.pulses.heard(attempt, at, Instant::now()) {
            tracing::info!(task = %attempt.id.task, attempt = attempt.id.number, "the runner is heard of again");
        }
    }

    /// A runner has told its figures. What follows, if the agent has been idle
    /// for as long as it may, is to be reported.
    #[must_use]
    pub fn beat(&self, attempt: AttemptRef, beat: Beat) -> Option<Report> {
        self.shared.metrics.heartbeat();
        let idle = self.shared.pulses.beat(attempt, beat);
        idle.then_some(Report::Event(Event::Deadline {
            attempt,
            limit: StopReason::Idle,
        }))
    }

    /// What is known of a runner that is under way.
    #[must_use]
    pub fn vitals(&self, attempt: AttemptRef) -> Option<Vitals> {
        self.shared.pulses.vitals(attempt)
    }

    /// Watches over the signs of life, for as long as the daemon runs. Sleeps
    /// while there is no runner.
    pub fn watch_pulses(&self) {
        let this = self.clone();
        self.track(async move {
            let pulses = &this.shared.pulses;
            loop {
                match pulses.next() {
                    None => pulses.first.notified().await,
                    Some(at) => {
                        let at = at.max(Instant::now() + TOGETHER);
                        tokio::time::sleep_until(at.into()).await;
                        for (expected, before) in pulses.due(Instant::now()) {
                            this.probe(expected, before).await;
                        }
                    }
                }
            }
        });
    }

    /// Looks at a runner that is suspect.
    async fn probe(&self, expected: Expected, before: bool) {
        let attempt = expected.attempt;
        if !before {
            self.shared.metrics.late();
        }
        let dir = self.shared.state.attempt(attempt.id);
        let runner = expected.runner.clone();
        let look = self.shared.tracker.spawn_blocking(move || {
            let locked = dir.probe_lock().map(|lock| lock == LockState::Held);
            let there = runner.map(|runner| process::is_alive(&runner));
            let there = there.and_then(Result::ok);
            life::judge(locked.ok(), there)
        });
        let life = look.await.unwrap_or(Life::Unknown);
        self.shared.pulses.found(attempt, life);
        if !before || life == Life::Dead {
            tracing::warn!(
                task = %attempt.id.task, attempt = attempt.id.number, found = life.as_str(),
                "no sign of life from the runner"
            );
        }
        if life == Life::Dead {
            // Its guard sees for itself. One that has none is held back until a
            // person has confirmed that so many are dead.
            if let Some(entry) = self.entries().get(&attempt) {
                entry.now.send_modify(|_| {});
            }
        }
    }
}

#[cfg(test)]
mod tests;
