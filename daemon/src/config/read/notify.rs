//! `[notify]`.

use std::{collections::BTreeSet, ops::RangeInclusive};

use super::Reader;
use crate::{
    config::{
        Notify,
        document::Section,
        notify::{Webhook, WebhookUrl},
        value,
    },
    task::state::StateKind,
};

pub(in crate::config) const NOTIFY: &[&str] = &[
    "command",
    "webhook_url",
    "webhook_token_file",
    "states",
    "timeout",
];
/// What is waited for a command or a server, milliseconds.
const TIMEOUTS: RangeInclusive<u64> = 100..=10 * 60 * 1000;

impl Reader {
    /// A table, or only the command.
    pub(super) fn notify(&mut self, top: &Section<'_>, set: &mut Notify) {
        let is_command = top
            .field("notify")
            .is_some_and(|field| field.value.as_array().is_some());
        if is_command {
            set.command = self.program(top, "notify");
            return;
        }
        let Some(section) = self.problems.section(top, "notify") else {
            return;
        };
        self.problems.unknown_keys(&section, NOTIFY);
        if section.field("command").is_some() {
            set.command = self.program(&section, "command");
        }
        set.webhook = self.webhook(&section);
        if let Some(states) = self.ends(&section) {
            set.states = states;
        }
        if let Some(time) = self.problems.word(&section, "timeout", value::duration) {
            if !TIMEOUTS.contains(&time) {
                self.problems
                    .reject(&section, "timeout", "expected 100ms to 10m");
            }
            set.timeout = time;
        }
    }

    fn webhook(&mut self, section: &Section<'_>) -> Option<Webhook> {
        let home = self.home.clone();
        let token_file = self.problems.word(section, "webhook_token_file", |text| {
            value::path(text, home.as_deref())
        });
        if let (Some(field), Some(file)) = (section.field("webhook_token_file"), &token_file) {
            self.env_files.push((field.at, field.path, file.clone()));
        }
        if token_file.is_some() && section.field("webhook_url").is_none() {
            let wrong = "there is no webhook_url that it is for";
            self.problems.reject(section, "webhook_token_file", wrong);
        }
        let url = self
            .problems
            .word(section, "webhook_url", WebhookUrl::parse)?;
        Some(Webhook { url, token_file })
    }

    fn ends(&mut self, section: &Section<'_>) -> Option<BTreeSet<StateKind>> {
        let words = self.problems.words(section, "states")?;
        let known = Notify::every_end();
        let mut states = BTreeSet::new();
        for word in &words {
            match known.iter().find(|kind| kind.as_str() == word) {
                Some(kind) => {
                    states.insert(*kind);
                }
                None => {
                    let names: Vec<_> = known.iter().map(|kind| kind.as_str()).collect();
                    let hint = value::suggest(word, &names);
                    let wrong = format!("no state that a task ends in: {word:?}{hint}");
                    self.problems.reject(section, "states", &wrong);
                }
            }
        }
        if words.is_empty() {
            let wrong = "names no state; leave command and webhook_url out to tell nobody";
            self.problems.reject(section, "states", wrong);
        }
        Some(states)
    }
}
