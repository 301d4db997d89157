//! One attempt on a page.

use agentd_proto::v1;
use nix::sys::signal::Signal;

use super::{Page, bytes};
use crate::{
    output::sessions::session_text,
    when::{between, human},
};

/// Characters of an agent's last words that are shown.
const CLAIM_WIDTH: usize = 300;

impl Page {
    /// One attempt.
    pub(crate) fn attempt(&mut self, attempt: &v1::Attempt) {
        self.section(&format!("attempt {}.{}", attempt.task, attempt.number));
        let outcome = if attempt.outcome.is_empty() {
            &attempt.phase
        } else {
            &attempt.outcome
        };
        self.field("outcome", outcome);
        self.field("reason", &attempt.failure_reason);
        self.field("message", &attempt.message);
        if let Some(exit) = &attempt.exit {
            self.field("exit", &exit_text(exit));
            self.field("cpu", &cpu_text(exit));
            if exit.peak_memory > 0 {
                self.field("memory", &format!("{} at most", bytes(exit.peak_memory)));
            }
        }
        if let Some(claim) = &attempt.claim {
            self.field("claim", &claim_text(claim));
        }
        self.field("session", &session_text(attempt));
        self.field("given", &attempt.session_why);
        self.field("workspace", &attempt.workspace);
        self.field("branch", &attempt.branch);
        if let Some(changes) = &attempt.changes {
            self.changes(changes);
        }
        self.field("model", &attempt.model);
        self.field("progress", &attempt.progress);
        if let Some(usage) = &attempt.usage {
            self.field("usage", &usage_text(usage));
        }
        if attempt.ended_at == 0 {
            let pids = [("runner", attempt.runner_pid), ("agent", attempt.agent_pid)]
                .into_iter()
                .filter(|&(_, pid)| pid != 0)
                .map(|(who, pid)| format!("{who} {pid}"));
            self.field("pids", &pids.collect::<Vec<_>>().join(", "));
        }
        if let Some(vitals) = &attempt.vitals {
            self.vitals(vitals);
        }
        self.time("claimed", attempt.claimed_at);
        self.time("started", attempt.started_at);
        self.time("ended", attempt.ended_at);
        let took = between(attempt.started_at, attempt.ended_at);
        self.field("took", &took.map(human).unwrap_or_default());
        self.time("pruned", attempt.pruned_at);
    }

    /// What the runner of an attempt that is under way said last.
    fn vitals(&mut self, vitals: &v1::Vitals) {
        if vitals.suspect {
            let probe = match vitals.probe.as_str() {
                "" => String::new(),
                found => format!(", a look at it found: {found}"),
            };
            self.field("suspect", &format!("its runner is silent{probe}"));
        }
        self.time("heard of", vitals.last_heartbeat_at);
        if vitals.processes > 0 {
            let time = |millis| human(std::time::Duration::from_millis(millis));
            let uses = format!(
                "{} processes, {} of memory, {} of CPU time",
                vitals.processes,
                bytes(vitals.memory),
                time(vitals.cpu)
            );
            self.field("uses", &uses);
            self.field("idle for", &time(vitals.idle));
        }
    }
}

/// `code 3`, `signal 9 (SIGKILL)`.
fn exit_text(exit: &v1::Exit) -> String {
    let how = match (exit.code, exit.signal) {
        (_, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("signal {number} ({signal})"),
            Err(_) => format!("signal {number}"),
        },
        (Some(code), None) => format!("code {code}"),
        (None, None) => return String::new(),
    };
    let core = if exit.core_dumped {
        ", core dumped"
    } else {
        ""
    };
    let memory = if exit.oom_killed {
        ", memory ran out"
    } else {
        ""
    };
    format!("{how}{core}{memory}")
}

/// `done: Mended and committed.`
fn claim_text(claim: &v1::Claim) -> String {
    let how = if claim.done { "done" } else { "not done" };
    let words = &claim.message;
    match words.char_indices().nth(CLAIM_WIDTH) {
        Some((end, _)) => format!("{how}: {}… (-o json shows all)", &words[..end]),
        None if words.is_empty() => how.to_owned(),
        None => format!("{how}: {words}"),
    }
}

/// `12000 tokens in, 800 out, 90000 cached, 3 turns, $0.0125`.
fn usage_text(usage: &v1::Usage) -> String {
    let mut text = format!("{} tokens in, {} out", usage.input, usage.output);
    let turns = if usage.turns == 1 { "turn" } else { "turns" };
    let more = [(usage.cached, "cached"), (usage.turns, turns)];
    for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {count} {what}"));
    }
    if let Some(micros) = usage.cost {
        let part = format!("{:06}", micros % 1_000_000);
        // Cents at least.
        let part = format!("{:0<2}", part.trim_end_matches('0'));
        text.push_str(&format!(", ${}.{part}", micros / 1_000_000));
    }
    text
}

fn cpu_text(exit: &v1::Exit) -> String {
    let text = |millis| human(std::time::Duration::from_millis(millis));
    if exit.user_cpu == 0 && exit.system_cpu == 0 {
        return String::new();
    }
    format!(
        "{} user, {} system",
        text(exit.user_cpu),
        text(exit.system_cpu)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used() {
        let mut usage = v1::Usage {
            input: 12_000,
            output: 800,
            ..v1::Usage::default()
        };
        assert_eq!(usage_text(&usage), "12000 tokens in, 800 out");
        usage.turns = 3;
        usage.cached = 5;
        for (micros, cost) in [(12_500, "$0.0125"), (3_000_000, "$3.00"), (1, "$0.000001")] {
            usage.cost = Some(micros);
            let text = format!("12000 tokens in, 800 out, 5 cached, 3 turns, {cost}");
            assert_eq!(usage_text(&usage), text);
        }
    }

    #[test]
    fn claims_of_agents() {
        let text = |done, message: &str| {
            claim_text(&v1::Claim {
                done,
                message: message.to_owned(),
            })
        };
        assert_eq!(text(true, ""), "done");
        assert_eq!(text(false, "no idea"), "not done: no idea");
        let most = "ü".repeat(CLAIM_WIDTH);
        assert_eq!(text(true, &most), format!("done: {most}"));
        let more = text(true, &format!("{most}ü"));
        assert_eq!(more, format!("done: {most}… (-o json shows all)"));
    }

    #[test]
    fn endings_of_processes() {
        let exit = |code, signal, core_dumped| v1::Exit {
            code,
            signal,
            core_dumped,
            ..v1::Exit::default()
        };
        assert_eq!(exit_text(&exit(Some(3), None, false)), "code 3");
        assert_eq!(exit_text(&exit(None, Some(9), false)), "signal 9 (SIGKILL)");
        assert_eq!(
            exit_text(&exit(None, Some(11), true)),
            "signal 11 (SIGSEGV), core dumped"
        );
        assert_eq!(exit_text(&exit(None, Some(64), false)), "signal 64");
        assert_eq!(exit_text(&exit(None, None, false)), "");
    }
}
