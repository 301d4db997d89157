//! Snapshots of what people and scripts see.

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
};

use agentd_proto::v1::{self, State};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    Output,
    list::{Format, ListArgs},
    page::Page,
    tasks::{TaskList, result_line},
};
use crate::view::TaskDetail;

/// 2026-03-01 12:00:00 UTC.
const NOW: i64 = 1_772_366_400_000;
const MINUTE: i64 = 60_000;

/// What was written.
#[derive(Clone, Default)]
pub(crate) struct Memory(Rc<RefCell<Vec<u8>>>);

impl Memory {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millisecond(NOW).unwrap()
}

fn printed(width: Option<usize>, color: bool, list: TaskList, args: ListArgs<v1::Task>) -> String {
    let memory = Memory::default();
    let mut out = Output::into(Box::new(memory.clone()), Box::new(io::sink()), now());
    out.width = width;
    out.color = color;
    out.tasks(list, &args).unwrap();
    memory.text()
}

fn task(id: u64, state: State, title: &str) -> v1::Task {
    v1::Task {
        id,
        revision: 100 + id,
        trigger: v1::Trigger::Manual.into(),
        lineage: id,
        agent: "claude".to_owned(),
        agent_type: "claude".to_owned(),
        title: title.to_owned(),
        repo: "/home/ann/src/frontend".to_owned(),
        user: "ann".to_owned(),
        created_at: NOW - i64::try_from(50 - id).unwrap() * 7 * MINUTE,
        state: state.into(),
        ..v1::Task::default()
    }
}

fn attempt(task: u64, number: u32, code: Option<i32>, signal: Option<i32>) -> v1::Attempt {
    let started_at = NOW - 40 * MINUTE;
    let ended = code.is_some() || signal.is_some();
    v1::Attempt {
        task,
        number,
        epoch: 3,
        phase: if ended { "ended" } else { "running" }.to_owned(),
        workspace: format!("/home/ann/.local/state/agentd/work/{task}"),
        branch: format!("agentd/{task}"),
        runner_pid: 4000,
        agent_pid: 4001,
        claimed_at: started_at - 500,
        started_at,
        ended_at: if ended { started_at + 192_400 } else { 0 },
        exit: ended.then_some(v1::Exit {
            code,
            signal,
            core_dumped: false,
            user_cpu: 65_000,
            system_cpu: 2_300,
            peak_memory: 300 << 20,
            oom_killed: false,
        }),
        session: "0199-ab".to_owned(),
        model: "large".to_owned(),
        progress: "runs the tests".to_owned(),
        claim: code.map(|_| v1::Claim {
            done: false,
            message: "Two tests fail.".to_owned(),
        }),
        usage: Some(v1::Usage {
            input: 12_000,
            output: 800,
            cached: 90_000,
            cost: Some(12_500),
            turns: 3,
        }),
        ..v1::Attempt::default()
    }
}

fn queued(id: u64, kind: &str, until: i64, behind: u64) -> v1::Task {
    v1::Task {
        hold: Some(v1::Hold {
            kind: kind.to_owned(),
            until,
            task: behind,
            ..v1::Hold::default()
        }),
        ..task(id, State::Queued, "write the release notes")
    }
}

fn failed() -> v1::Task {
    v1::Task {
        failure_reason: "agent_error".to_owned(),
        message: "exit code 3".to_owned(),
        issue: "17".to_owned(),
        key: "claude:/home/ann/src/frontend:17".to_owned(),
        model: "opus".to_owned(),
        finished_at: NOW - 36 * MINUTE,
        attempts: 2,
        rerun_of: 40,
        lineage: 38,
        priority: 5,
        trigger: v1::Trigger::Rerun.into(),
        workspace_mode: v1::WorkspaceMode::Worktree.into(),
        labels: [("team", "web"), ("area", "ui")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        limits: Some(v1::Limits {
            timeout: Some(5_400_000),
            max_attempts: Some(3),
            memory: Some(8 << 30),
            pids: Some(512),
            cpu: Some(1500),
            ..v1::Limits::default()
        }),
        attempt: Some(attempt(42, 2, Some(3), None)),
        ..task(
            42,
            State::Failed,
            "make the button on the settings page blue",
        )
    }
}

/// One task of every kind.
pub(crate) fn list() -> TaskList {
    let running = v1::Task {
        attempt: Some(attempt(45, 1, None, None)),
        ..task(
            45,
            State::Running,
            "find the memory leak in the cache\nand mend it",
        )
    };
    let succeeded = v1::Task {
        attempt: Some(attempt(41, 1, Some(0), None)),
        finished_at: NOW - 36 * MINUTE,
        ..task(41, State::Succeeded, "überarbeite die Übersetzung 日本語")
    };
    let stopping = v1::Task {
        stop_reason: "timeout".to_owned(),
        ..task(44, State::Stopping, "tidy up")
    };
    let bare = v1::Task {
        repo: String::new(),
        title: String::new(),
        ..task(40, State::Cancelled, "")
    };
    TaskList {
        tasks: vec![
            queued(49, "none", 0, 0),
            queued(48, "backoff", NOW + 95_000, 0),
            queued(47, "key_busy", 0, 45),
            queued(46, "agent_paused", 0, 0),
            running,
            stopping,
            failed(),
            succeeded,
            bare,
        ],
        more: 12,
        more_is_bound: false,
    }
}

#[test]
fn the_table_in_a_pipe_and_on_terminals() {
    let table = |width| printed(width, false, list(), ListArgs::of(Format::Table));
    let shown = [None, Some(100), Some(80), Some(60)]
        .map(|width| format!("{width:?}\n{}", table(width)))
        .join("\n");
    insta::assert_snapshot!(shown);
}

#[test]
fn the_wide_table() {
    insta::assert_snapshot!(printed(Some(80), false, list(), ListArgs::of(Format::Wide)));
}

#[test]
fn colours_follow_the_state() {
    let shown = printed(Some(60), true, list(), ListArgs::of(Format::Table));
    let ids: Vec<&str> = shown
        .lines()
        .map(|line| &line[..line.len().min(24)])
        .collect();
    insta::assert_debug_snapshot!(ids);
}

#[test]
fn lists_for_scripts() {
    let few = || TaskList {
        tasks: vec![failed(), queued(47, "key_busy", 0, 45)],
        ..list()
    };
    let json = printed(None, false, few(), ListArgs::of(Format::Json));
    assert_eq!(json.lines().count(), 1);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());

    let lines = printed(None, false, few(), ListArgs::of(Format::Jsonl));
    assert_eq!(lines.lines().count(), 2);
    for line in lines.lines() {
        let task: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(task["schema"], "agentctl.task/v1");
    }
    assert_eq!(
        printed(None, false, few(), ListArgs::of(Format::Name)),
        "42\n47\n"
    );
}

/// A task that failed, with its attempts.
pub(crate) fn detail() -> v1::GetResponse {
    let first = v1::Attempt {
        outcome: "interrupted".to_owned(),
        failure_reason: "runner_lost".to_owned(),
        message: "the runner was killed".to_owned(),
        ..attempt(42, 1, None, Some(9))
    };
    let second = v1::Attempt {
        outcome: "failed".to_owned(),
        failure_reason: "agent_error".to_owned(),
        message: "exit code 3".to_owned(),
        ..attempt(42, 2, Some(3), None)
    };
    let lines: Vec<String> = (1..=14).map(|n| format!("line {n}\u{1b}[2J")).collect();
    let task = v1::Task {
        prompt: lines.join("\n"),
        command: vec!["sh".to_owned(), "-c".to_owned(), "make test".to_owned()],
        ..failed()
    };
    v1::GetResponse {
        task: Some(task),
        attempts: vec![first, second],
        reruns: vec![v1::Relative {
            task: 49,
            state: State::Running.into(),
            ..v1::Relative::default()
        }],
    }
}

#[test]
fn the_page_of_a_task() {
    let got = detail();
    let mut page = Page::new(false, now(), TimeZone::UTC);
    let task = got.task.unwrap();
    page.task(&task, &got.reruns);
    page.work(&task);
    got.attempts
        .iter()
        .for_each(|attempt| page.attempt(attempt));
    insta::assert_snapshot!(page.into_text());
}

#[test]
fn the_page_of_a_task_that_waits() {
    let mut page = Page::new(false, now(), TimeZone::UTC);
    page.task(&queued(48, "backoff", NOW + 95_000, 0), &[]);
    insta::assert_snapshot!(page.into_text());
}

#[test]
fn a_task_for_scripts() {
    let view = serde_json::to_value(TaskDetail::from(detail())).unwrap();
    assert_eq!(view["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(view["attempts"][0]["exit"]["signal"], 9);
    assert_eq!(view["command"][2], "make test");
    assert_eq!(view["attempt_count"], 2);
    insta::assert_snapshot!(serde_json::to_string_pretty(&view["attempts"][1]).unwrap());
}

#[test]
fn how_a_task_ended() {
    let ended = |state: State, reason: &str, message: &str| v1::Task {
        finished_at: NOW,
        failure_reason: reason.to_owned(),
        message: message.to_owned(),
        attempt: Some(attempt(42, 1, Some(0), None)),
        ..task(42, state, "")
    };
    let lines = [
        ended(State::Succeeded, "", ""),
        ended(State::Failed, "agent_error", "exit code 3"),
        ended(State::Cancelled, "cancelled", ""),
        ended(State::Interrupted, "runner_lost", ""),
        v1::Task {
            attempt: None,
            ..ended(State::Cancelled, "cancelled", "cancelled by ann")
        },
    ]
    .map(|task| result_line(&task))
    .join("\n");
    insta::assert_snapshot!(lines, @r"
    task 42 succeeded in 3m12s
    task 42 failed: agent_error: exit code 3
    task 42 cancelled
    task 42 interrupted: runner_lost
    task 42 cancelled: cancelled by ann
    ");
}
