//! What the canned daemon says of everything but tasks: the same at all times.

use agentd_proto::v1::{self, usage_request::By};

/// 2026-03-01 12:00:00 UTC.
pub(crate) const NOW: i64 = 1_772_366_400_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

pub(super) fn explained(got: v1::GetResponse) -> v1::ExplainResponse {
    let task = got.task.unwrap_or_default();
    let event = |revision, attempt, at, what: &str, why: &str, state: v1::State| v1::Event {
        revision,
        task: task.id,
        attempt,
        at,
        what: what.to_owned(),
        why: why.to_owned(),
        state: state.into(),
    };
    let created = task.created_at;
    v1::ExplainResponse {
        events: vec![
            event(1, 0, created, "submitted", "", v1::State::Queued),
            event(2, 1, created + MINUTE, "claimed", "", v1::State::Starting),
            event(
                3,
                1,
                created + 2 * MINUTE,
                "started",
                "",
                v1::State::Running,
            ),
            event(
                4,
                1,
                created + 5 * MINUTE,
                "failed",
                "agent_error: exit code 3",
                v1::State::Failed,
            ),
        ],
        sequels: vec![v1::Sequel {
            attempt: 1,
            follows: "refused".to_owned(),
            why: "not_retryable".to_owned(),
            reason: "agent_error".to_owned(),
            class: "agent".to_owned(),
            spent: 1,
            max_attempts: 3,
            max_lost_streak: 3,
            longest_backoff: 1_000,
            ..v1::Sequel::default()
        }],
        ancestors: vec![v1::Relative {
            task: 38,
            state: v1::State::Interrupted.into(),
            failure_reason: "runner_lost".to_owned(),
            message: String::new(),
        }],
        attempts: got.attempts,
        phase: "ready".to_owned(),
        task: Some(task),
        ..v1::ExplainResponse::default()
    }
}

pub(super) fn workspaces() -> Vec<v1::WorkspaceInfo> {
    let busy = v1::WorkspaceInfo {
        path: "/home/ann/.local/state/agentd/worktrees/frontend-1/claude-17".to_owned(),
        branch: "agent/claude-17".to_owned(),
        task: 42,
        attempt: 2,
        repo: "/home/ann/src/frontend".to_owned(),
        agent: "claude".to_owned(),
        issue: "17".to_owned(),
        uncommitted: 2,
        snapshots: vec!["refs/agentd/42/1".to_owned(), "refs/agentd/42/2".to_owned()],
        stays_for: vec![
            "2 files are not committed".to_owned(),
            "1 commit is not pushed".to_owned(),
        ],
        ..v1::WorkspaceInfo::default()
    };
    let free = v1::WorkspaceInfo {
        path: "/home/ann/.local/state/agentd/worktrees/frontend-1/task-1".to_owned(),
        ..v1::WorkspaceInfo::default()
    };
    vec![busy, free]
}

pub(super) fn schedules() -> Vec<v1::Schedule> {
    let nightly = v1::Schedule {
        name: "nightly".to_owned(),
        cron: "0 3 * * *".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        agent: "claude".to_owned(),
        next_at: NOW + 14 * HOUR,
        last_at: NOW - 10 * HOUR,
        last_task: 42,
    };
    let new = v1::Schedule {
        name: "tidy-up-the-branches".to_owned(),
        last_at: 0,
        last_task: 0,
        ..nightly.clone()
    };
    vec![nightly, new]
}

pub(super) fn accounts() -> Vec<v1::Account> {
    let open = v1::Account {
        name: "shell".to_owned(),
        running: 1,
        ..v1::Account::default()
    };
    let parked = v1::Account {
        name: "team-a".to_owned(),
        agents: vec!["claude".to_owned(), "reviewer".to_owned()],
        until: NOW + 5 * MINUTE,
        reason: "usage_limit".to_owned(),
        message: "5-hour limit reached\n".to_owned(),
        task: 42,
        attempt: 1,
        strikes: 2,
        queued: 3,
        running: 0,
    };
    vec![open, parked]
}

pub(super) fn usage(by: By) -> v1::UsageResponse {
    let row = |name: &str, cost| v1::UsageRow {
        name: name.to_owned(),
        day: NOW - 12 * HOUR,
        lineage: if by == By::Lineage { 38 } else { 0 },
        attempts: 3,
        tasks: 2,
        wall: 125_000,
        usage: Some(v1::Usage {
            input: 1_200,
            output: 300,
            cached: 9_000,
            cost,
            turns: 7,
        }),
    };
    let rows = match by {
        By::Unspecified | By::Day | By::Lineage => vec![row("", Some(5_200_000))],
        By::Agent | By::Repo => vec![row("claude", Some(5_200_000)), row("tests", None)],
    };
    v1::UsageResponse {
        rows,
        total: Some(v1::UsageRow {
            lineage: 0,
            ..row("", Some(5_200_000))
        }),
        ..v1::UsageResponse::default()
    }
}

pub(super) fn sessions() -> Vec<v1::Session> {
    let good = v1::Session {
        id: "0199ab34-7c1e-7d30-9a5e-3f1a6e0c2b11".to_owned(),
        agent: "claude".to_owned(),
        agent_type: "claude".to_owned(),
        model: "opus".to_owned(),
        key: "claude:/home/ann/src/frontend:17".to_owned(),
        workspace: "/home/ann/.local/state/agentd/work/42".to_owned(),
        standing: "good".to_owned(),
        task: 42,
        attempt: 2,
        user_task: 45,
        user_attempt: 1,
        first_task: 38,
        first_attempt: 1,
        made_at: NOW - 3 * HOUR,
        changed_at: NOW - 36 * MINUTE,
        ..v1::Session::default()
    };
    let bad = v1::Session {
        id: "0199ab34-0000-7d30-9a5e-3f1a6e0c2b12".to_owned(),
        standing: "quarantined".to_owned(),
        why: "context_overflow".to_owned(),
        user_task: 0,
        user_attempt: 0,
        ..good.clone()
    };
    vec![good, bad]
}

pub(super) fn held(task: Option<v1::Task>) -> v1::HoldResponse {
    v1::HoldResponse {
        task,
        changed: true,
    }
}

pub(super) fn pruned() -> Vec<v1::PruneResponse> {
    use v1::prune_response::Kind;
    let thing = |kind: Kind, task| v1::PruneResponse {
        kind: kind.into(),
        task,
        ..v1::PruneResponse::default()
    };
    vec![
        thing(Kind::Task, 7),
        v1::PruneResponse {
            attempt: 2,
            bytes: 5 << 20,
            ..thing(Kind::Transcript, 8)
        },
        v1::PruneResponse {
            path: "/state/worktrees/app-1/claude-7".to_owned(),
            branch: "agent/claude-7".to_owned(),
            ..thing(Kind::Worktree, 7)
        },
        v1::PruneResponse {
            path: "/state/worktrees/app-1/claude-9".to_owned(),
            stays_for: vec!["1 file is not committed".to_owned()],
            ..thing(Kind::Worktree, 9)
        },
    ]
}

/// One of each kind.
pub(crate) fn findings() -> Vec<v1::Finding> {
    let of = |area: &str, severity: v1::Severity, what: &str| v1::Finding {
        area: area.to_owned(),
        severity: severity.into(),
        what: what.to_owned(),
        ..v1::Finding::default()
    };
    vec![
        of("config", v1::Severity::Good, "/etc/agentd/config.toml"),
        v1::Finding {
            why: "agentd may make none in its own".to_owned(),
            fix: "run agentd as a systemd unit with Delegate=yes".to_owned(),
            ..of(
                "cgroups",
                v1::Severity::Note,
                "attempts have no control groups",
            )
        },
        v1::Finding {
            why: "the store was put back\u{1b}[2J to an older copy".to_owned(),
            fix: "mkdir -p /state/leftovers && mv /state/attempts/9.1 /state/leftovers/9.1"
                .to_owned(),
            aside: Some(v1::finding::Aside {
                from: "/state/attempts/9.1".to_owned(),
                to: "/state/leftovers/9.1".to_owned(),
            }),
            ..of(
                "leftovers",
                v1::Severity::Warning,
                "/state/attempts/9.1 is of an attempt that the store does not know",
            )
        },
        v1::Finding {
            fix: "apt-get install git".to_owned(),
            ..of("system", v1::Severity::Error, "git cannot be run")
        },
    ]
}
