//! What holds a task, what lifts that, and what comes next.

use std::time::Duration;

use agentd_proto::v1::{self, State};
use jiff::{Timestamp, tz::TimeZone};

use super::{decision, outcome};
use crate::{
    output::page::bytes,
    view::state_word,
    when::{between, human, local},
};

/// What is so now, and what will be: a few short lines.
pub(crate) fn next(told: &v1::ExplainResponse, now: Timestamp, zone: &TimeZone) -> Vec<String> {
    let task = told.task.clone().unwrap_or_default();
    let clock = Clock { now, zone };
    let mut lines = Vec::new();
    lines.extend(run_again(told));
    match task.state() {
        State::Queued => {
            lines.push(held(told, &task, clock));
            if let Some(at) = wait(told, "queue_ttl") {
                let at = clock.at(at);
                lines.push(format!(
                    "fails as queue_expired {at} unless it starts before"
                ));
            }
        }
        State::Starting => {
            lines.push("is being started".to_owned());
            if let Some(at) = wait(told, "workspace_timeout") {
                lines.push(format!(
                    "its workspace is made ready, which may take until {}",
                    clock.at(at)
                ));
            }
            if let Some(at) = wait(told, "start_timeout") {
                lines.push(format!(
                    "that may take until {} (start_timeout)",
                    clock.at(at)
                ));
            }
            lines.extend(if_lost(told));
        }
        State::Running => {
            lines.push("runs".to_owned());
            if let Some(at) = wait(told, "timeout") {
                lines.push(format!(
                    "is stopped {} if it has not ended (timeout)",
                    clock.at(at)
                ));
            }
            if let Some(at) = wait(told, "budget") {
                lines.push(format!(
                    "is stopped {}: then it and those that it runs again have run for as \
                     long as they may (max_wall_time)",
                    clock.at(at)
                ));
            }
            let idle = told.limits.as_ref().and_then(|limits| limits.idle_timeout);
            if let Some(idle) = idle.filter(|&idle| idle != 0) {
                lines.push(format!(
                    "is stopped after {} with no output, hardly any CPU time and no new process (idle_timeout)",
                    human(Duration::from_millis(idle))
                ));
            }
            lines.extend(if_lost(told));
        }
        State::Stopping => {
            lines.push(format!("is being stopped ({})", task.stop_reason));
            let grace = told.limits.as_ref().and_then(|limits| limits.kill_grace);
            lines.extend(grace.map(|grace| {
                let grace = human(Duration::from_millis(grace));
                format!("is killed after a grace of at most {grace}")
            }));
            lines.extend(
                told.expected
                    .as_ref()
                    .map(|s| format!("then: {}", decision(s))),
            );
        }
        // What follows is told of the newest.
        State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::Interrupted
        | State::Aborted
            if !told.reruns.is_empty() => {}
        State::Succeeded => lines.push(format!(
            "nothing more happens; agentctl rerun {} --force runs it again",
            task.id
        )),
        State::Failed if task.failure_reason == "budget_exceeded" => lines.push(format!(
            "nothing more happens by itself; agentctl rerun {} takes a larger budget \
             (--max-cost-usd, --max-tokens, --max-wall-time, --max-lineage-attempts), or \
             --override to spend it once more",
            task.id
        )),
        State::Failed if task.failure_reason == "agent_missing" => lines.push(format!(
            "nothing more happens by itself; agentctl agents shows what of its agent is missing, \
             then agentctl rerun {} runs it again",
            task.id
        )),
        State::Failed | State::Cancelled | State::Interrupted | State::Aborted => {
            lines.push(format!(
                "nothing more happens by itself; agentctl rerun {} runs it again",
                task.id
            ));
        }
        State::Unspecified => lines.push(format!("is {}", state_word(task.state()))),
    }
    let ended = crate::view::is_final(task.state());
    if !ended && task.state() != State::Queued {
        lines.extend(unusual(told));
    }
    let said = |holder: &&v1::Relative| told.reruns.iter().any(|rerun| rerun.task == holder.task);
    let holder = told
        .key_holder
        .as_ref()
        .filter(|holder| ended && !said(holder));
    if let Some(holder) = holder {
        lines.push(format!(
            "task {} ({}) has its key now",
            holder.task,
            outcome(holder)
        ));
    }
    lines
}

/// As which tasks its work was run again, and what follows from the newest.
fn run_again(told: &v1::ExplainResponse) -> Vec<String> {
    let Some(newest) = told.reruns.last() else {
        return Vec::new();
    };
    let all = told.reruns.iter();
    let all = all.map(|rerun| format!("task {} ({})", rerun.task, outcome(rerun)));
    let all: Vec<_> = all.collect();
    let id = newest.task;
    let follows = match newest.state() {
        State::Succeeded => {
            format!("nothing more happens; agentctl rerun {id} --force runs it again")
        }
        State::Failed | State::Cancelled | State::Interrupted | State::Aborted => {
            format!("nothing more happens by itself; agentctl rerun {id} runs it again")
        }
        State::Queued | State::Starting | State::Running | State::Stopping | State::Unspecified => {
            format!("task {id} is under way: agentctl explain {id}")
        }
    };
    let again = format!("its work was run again as {}", all.join(", "));
    vec![again, follows]
}

/// How points in time are told.
#[derive(Clone, Copy)]
struct Clock<'a> {
    now: Timestamp,
    zone: &'a TimeZone,
}

impl Clock<'_> {
    /// `at 2026-03-01 12:00:35 (in 35.0s)`.
    fn at(self, at: i64) -> String {
        let left = between(self.now.as_millisecond(), at).unwrap_or_default();
        let at = local(at, self.zone).unwrap_or_default();
        format!("at {at} (in {})", human(left))
    }
}

fn wait(told: &v1::ExplainResponse, kind: &str) -> Option<i64> {
    told.waits.iter().find(|w| w.kind == kind).map(|w| w.at)
}

fn if_lost(told: &v1::ExplainResponse) -> Option<String> {
    let expected = told.expected.as_ref()?;
    Some(format!("should its runner be lost: {}", decision(expected)))
}

const RECOVERING: &str = "the daemon still looks at what it found at its start, and starts \
                          nothing new before: agentctl status, agentctl recover";

/// What keeps the daemon as a whole from going on.
fn unusual(told: &v1::ExplainResponse) -> Option<String> {
    match told.phase.as_str() {
        "recovering" => Some(RECOVERING.to_owned()),
        "store_failed" => Some(format!("nothing changes now: {}", told.trouble)),
        _ => None,
    }
}

/// What holds a queued task, and what lifts that.
fn held(told: &v1::ExplainResponse, task: &v1::Task, clock: Clock<'_>) -> String {
    let hold = task.hold.clone().unwrap_or_default();
    match hold.kind.as_str() {
        "backoff" => format!(
            "pauses after a failed attempt until {}, then takes the next free slot",
            clock.at(hold.until).trim_start_matches("at ")
        ),
        "held" => format!(
            "is held by {}: agentctl release {} lets it go",
            hold.by, task.id
        ),
        "scheduled" => format!(
            "is for later: waits until {}, then takes the next free slot; agentctl release {} \
             starts it now",
            clock.at(hold.until).trim_start_matches("at "),
            task.id
        ),
        "dependency" => {
            let all: Vec<_> = task.waits_for.iter().map(must).collect();
            format!("waits for {}", all.join(" and for "))
        }
        "key_busy" => {
            let holder = told.key_holder.as_ref().filter(|k| k.task == hold.task);
            let how = holder.map_or_else(String::new, |k| format!(" ({})", outcome(k)));
            format!(
                "waits behind task {}{how}: tasks of a key run one at a time, oldest first",
                hold.task
            )
        }
        "agent_paused" => format!(
            "agent {0} is paused: agentctl resume {0} lifts that",
            task.agent
        ),
        "paused" => "everything is paused: agentctl resume lifts that".to_owned(),
        "daemon_draining" => {
            "the daemon is to end and starts nothing new: it runs after the next start".to_owned()
        }
        "recovering" => RECOVERING.to_owned(),
        "disk_full" => {
            let missing = told.disk_needed.saturating_sub(told.disk_free);
            format!(
                "the disk is too full: {} are free, {} have to be (daemon.min_free_disk): \
                 it goes on once {} more are free",
                bytes(told.disk_free),
                bytes(told.disk_needed),
                bytes(missing)
            )
        }
        "quota" => format!(
            "account {0} has met the limit of its provider: it waits until {1}, then goes on \
             by itself; agentctl quota clear {0} lets it go on now",
            hold.account,
            clock.at(hold.until).trim_start_matches("at ")
        ),
        "" | "none" => match told.phase.as_str() {
            "stopping" => "the daemon ends: it runs after the next start".to_owned(),
            _ => unusual(told).unwrap_or_else(|| {
                let agent = &task.agent;
                format!("waits for a free slot: of all, of agent {agent} or of its repository")
            }),
        },
        other => format!("is held: {other}"),
    }
}

/// `task 7 to succeed`.
fn must(after: &v1::After) -> String {
    let how = match after.condition() {
        v1::after::Condition::Unspecified => "succeed",
        v1::after::Condition::Any => "end",
    };
    format!("task {} to {how}", after.task)
}
