//! A task whose story is put together piece by piece.

use agentd_proto::v1::{self, State};
use jiff::tz::TimeZone;

use super::{MINUTE, NOW, now, page};

/// A story in the making; each event is a minute after the one before it.
pub(super) struct Tale {
    pub(super) told: v1::ExplainResponse,
    at: i64,
}

impl Tale {
    pub(super) fn new(state: State) -> Self {
        let told = v1::ExplainResponse {
            task: Some(v1::Task {
                id: 42,
                lineage: 42,
                trigger: v1::Trigger::Manual.into(),
                agent: "claude".to_owned(),
                agent_type: "command".to_owned(),
                title: "mend the flaky test".to_owned(),
                user: "ann".to_owned(),
                key: "claude:/src/app:12".to_owned(),
                workspace_mode: v1::WorkspaceMode::Worktree.into(),
                state: state.into(),
                ..v1::Task::default()
            }),
            limits: Some(v1::Limits {
                start_timeout: Some(60_000),
                timeout: Some(3_600_000),
                kill_grace: Some(10_000),
                max_attempts: Some(3),
                idle_timeout: Some(1_800_000),
                ..v1::Limits::default()
            }),
            phase: "ready".to_owned(),
            ..v1::ExplainResponse::default()
        };
        let tale = Self {
            told,
            at: NOW - 30 * MINUTE,
        };
        tale.event("submitted", "", 0, State::Queued)
    }

    pub(super) fn task(mut self, change: impl FnOnce(&mut v1::Task)) -> Self {
        change(self.told.task.get_or_insert_default());
        self
    }

    pub(super) fn told(mut self, change: impl FnOnce(&mut v1::ExplainResponse)) -> Self {
        change(&mut self.told);
        self
    }

    pub(super) fn event(mut self, what: &str, why: &str, attempt: u32, state: State) -> Self {
        self.told.events.push(v1::Event {
            revision: 100 + u64::try_from(self.told.events.len()).unwrap(),
            task: 42,
            attempt,
            at: self.at,
            what: what.to_owned(),
            why: why.to_owned(),
            state: state.into(),
        });
        self.at += MINUTE;
        self
    }

    /// A claim, and the attempt.
    pub(super) fn claimed(mut self, number: u32) -> Self {
        self.told.attempts.push(v1::Attempt {
            task: 42,
            number,
            workspace: "/w/12".to_owned(),
            branch: "agent/claude-12".to_owned(),
            claimed_at: self.at,
            ..v1::Attempt::default()
        });
        self.event("claimed", "", number, State::Starting)
    }

    /// A claim, and all that comes before the agent's work.
    pub(super) fn runs(self, number: u32) -> Self {
        let tale = self.claimed(number);
        let tale = match number {
            1 => tale.event(
                "workspace_ready",
                "/w/12 on branch agent/claude-12",
                1,
                State::Starting,
            ),
            _ => tale,
        };
        tale.event("registered", "runner pid 700", number, State::Starting)
            .event("started", "agent pid 701", number, State::Running)
    }

    /// How the newest attempt ended, and what followed.
    pub(super) fn sequel(mut self, reason: &str, sequel: v1::Sequel) -> Self {
        let attempt = self.told.attempts.last_mut().unwrap();
        attempt.failure_reason = reason.to_owned();
        self.told.sequels.push(v1::Sequel {
            attempt: attempt.number,
            reason: reason.to_owned(),
            max_attempts: 3,
            max_lost_streak: 3,
            ..sequel
        });
        self
    }

    pub(super) fn finished(self, reason: &str, why: &str, state: State) -> Self {
        let attempt = self.told.attempts.last().map_or(0, |a| a.number);
        self.task(|task| task.failure_reason = reason.to_owned())
            .event("finished", why, attempt, state)
    }

    pub(super) fn text(&self) -> String {
        page(&self.told, now(), &TimeZone::UTC, false)
    }
}
