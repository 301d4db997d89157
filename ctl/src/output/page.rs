//! Pages of named fields, for `show` and `status`.

mod attempt;
mod changes;

use agentd_proto::v1;
use anstyle::Style;
use jiff::{Timestamp, tz::TimeZone};

use super::{
    json::Script,
    limits::{limits_text, retry_text, spend_text},
    style::{DIM, HEAD, of_state, paint},
    table::one_line,
    tasks::{hold_text, labels_text},
};
use crate::{
    story::outcome,
    view::{condition_word, state_word, trigger_word, workspace_word},
    when::{between, local, short},
};

/// How to print one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    #[value(alias = "table")]
    Text,
    /// One JSON object.
    #[value(alias = "jsonl")]
    Json,
    /// The same in YAML.
    Yaml,
}

impl Format {
    /// Whether a script reads it, and what.
    pub(crate) fn script(self) -> Option<Script> {
        match self {
            Self::Text => None,
            Self::Json => Some(Script::Json),
            Self::Yaml => Some(Script::Yaml),
        }
    }
}

/// Lines of a prompt that are shown.
const PROMPT_LINES: usize = 10;

/// Lines of `name: value`.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    color: bool,
    now: Timestamp,
    zone: TimeZone,
}

impl Page {
    /// An empty page; times are told in `zone`, and relative to `now`.
    pub(crate) fn new(color: bool, now: Timestamp, zone: TimeZone) -> Self {
        Self {
            text: String::new(),
            color,
            now,
            zone,
        }
    }

    /// The page, ending in a newline.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// A field, left out if it is empty.
    pub(crate) fn field(&mut self, name: &str, value: &str) {
        self.styled(name, value, Style::new());
    }

    fn styled(&mut self, name: &str, value: &str, style: Style) {
        if value.is_empty() {
            return;
        }
        let head = format!("{:<12}", format!("{name}:"));
        self.text.push_str(&paint(HEAD, &head, self.color));
        self.text.push(' ');
        self.text
            .push_str(&paint(style, &one_line(value), self.color));
        self.text.push('\n');
    }

    /// A head, after an empty line.
    pub(crate) fn section(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&paint(HEAD, title, self.color));
        self.text.push('\n');
    }

    /// A point in time; how long ago it is tells more, so that comes first.
    pub(crate) fn time(&mut self, name: &str, at: i64) {
        if let (Some(at_text), Some(ago)) = (
            local(at, &self.zone),
            between(at, self.now.as_millisecond()),
        ) {
            self.field(name, &format!("{} ago ({at_text})", short(ago)));
        }
    }

    /// A task, without its attempts, and the newer ones of its lineage.
    pub(crate) fn task(&mut self, task: &v1::Task, reruns: &[v1::Relative]) {
        self.field("task", &task.id.to_string());
        self.field("title", &task.title);
        let state = task.state();
        self.styled("state", state_word(state), of_state(state));
        if let Some(hold) = &task.hold {
            self.field("hold", &hold_text(hold, self.now));
        }
        self.field("after", &after_text(&task.after));
        if task.not_before != 0 {
            self.field(
                "not before",
                &local(task.not_before, &self.zone).unwrap_or_default(),
            );
        }
        self.field("stopped by", &task.stop_reason);
        self.field("reason", &task.failure_reason);
        self.field("message", &task.message);
        let agent_type =
            Some(&task.agent_type).filter(|&kind| !kind.is_empty() && *kind != task.agent);
        let agent_type = agent_type.map(|kind| format!(" ({kind})"));
        self.field(
            "agent",
            &format!("{}{}", task.agent, agent_type.unwrap_or_default()),
        );
        self.field("model", &task.model);
        self.field("repo", &task.repo);
        self.field("issue", &task.issue);
        self.field("key", &task.key);
        if let Some(attempt) = &task.attempt {
            self.field("branch", &attempt.branch);
            self.field("workspace", &attempt.workspace);
        }
        self.field(
            "mode",
            workspace_word(task.workspace_mode()).unwrap_or_default(),
        );
        self.field("user", &task.user);
        self.field("trigger", trigger_word(task.trigger()));
        if task.fresh {
            self.field("session", "a new one, as it was asked for");
        }
        if task.rerun_of != 0 {
            self.field(
                "rerun of",
                &format!("{} (lineage of {})", task.rerun_of, task.lineage),
            );
        }
        let reruns = reruns.iter();
        let reruns = reruns.map(|rerun| format!("{} ({})", rerun.task, outcome(rerun)));
        self.field("reruns", &reruns.collect::<Vec<_>>().join(", "));
        self.field("labels", &labels_text(task));
        if task.priority != 0 {
            self.field("priority", &task.priority.to_string());
        }
        self.field("limits", &limits_text(task.limits.as_ref()));
        self.field("retries", &retry_text(task.retry.as_ref()));
        let spent = task.spent.filter(|spent| *spent != v1::Spend::default());
        let spent = spent.as_ref().map(spend_text).unwrap_or_default();
        let forgiven = task.forgiven.as_ref().map(spend_text);
        let forgiven = forgiven.map(|text| format!("; budget overridden, not counted: {text}"));
        let others = task.spent.filter(|spent| spent.attempts > task.attempts);
        let others = others.map_or("", |_| " (it and its reruns)");
        self.field(
            "spent",
            &format!("{spent}{others}{}", forgiven.unwrap_or_default()),
        );
        self.time("created", task.created_at);
        self.time("finished", task.finished_at);
    }

    /// What the agent was asked to do.
    pub(crate) fn work(&mut self, task: &v1::Task) {
        if !task.command.is_empty() {
            self.section("command");
            self.indented(&quoted(&task.command));
        }
        if !task.prompt.is_empty() {
            self.section("prompt");
            for line in task.prompt.lines().take(PROMPT_LINES) {
                self.indented(line);
            }
            let hidden = task.prompt.lines().count().saturating_sub(PROMPT_LINES);
            if hidden > 0 {
                let more = format!("({hidden} more lines: -o json shows all)");
                self.text.push_str("  ");
                self.text.push_str(&paint(DIM, &more, self.color));
                self.text.push('\n');
            }
        }
    }

    fn indented(&mut self, line: &str) {
        self.text.push_str("  ");
        // A prompt may hold anything, also what would steer the terminal.
        let safe = line.chars().filter(|&c| c == '\t' || !c.is_control());
        self.text.extend(safe);
        self.text.push('\n');
    }
}

/// A size in the largest binary unit.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut whole = count;
    let mut tenths = 0;
    while whole >= 1024 && unit + 1 < UNITS.len() {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    if unit == 0 {
        format!("{whole} B")
    } else {
        format!("{whole}.{tenths} {}", UNITS[unit])
    }
}

/// A command as one would type it into a shell.
pub(crate) fn quoted(command: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let words = command.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// `7, 9:any`.
pub(crate) fn after_text(list: &[v1::After]) -> String {
    let one = |after: &v1::After| match after.condition() {
        v1::after::Condition::Unspecified => after.task.to_string(),
        other @ v1::after::Condition::Any => format!("{}:{}", after.task, condition_word(other)),
    };
    list.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (256 * 1024 * 1024, "256.0 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn commands_can_be_typed_again() {
        let words = ["sh", "-c", "echo it's", ""].map(str::to_owned);
        assert_eq!(quoted(&words), r"sh -c 'echo it'\''s' ''");
    }
}
