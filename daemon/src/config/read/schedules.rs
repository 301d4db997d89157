//! `[schedules.NAME]`.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Files, Reader};
use crate::{
    config::{
        Config,
        document::Section,
        schedules::{Busy, Schedule, Times, Zone},
        value,
    },
    task::{
        limits::{MAX_LABEL, MAX_LABELS, MAX_PROMPT},
        spec::Payload,
    },
};

pub(in crate::config) const SCHEDULE: &[&str] = &[
    "cron", "timezone", "agent", "prompt", "command", "repo", "issue", "title", "model", "labels",
    "priority", "missed", "busy",
];
/// Most schedules: each is looked at whenever one is due.
const MAX_SCHEDULES: usize = 1_000;

impl Reader {
    /// Reads all of them; agents and repositories are known by now.
    pub(super) fn schedules(&mut self, top: &Section<'_>, config: &mut Config, files: Files) {
        let sections = self.problems.named(top, "schedules");
        if sections.len() > MAX_SCHEDULES {
            let wrong = format!("schedules: more than {MAX_SCHEDULES}");
            self.problems.problem(sections[MAX_SCHEDULES].1.at, wrong);
            return;
        }
        for (name, section) in sections {
            if let Some(schedule) = self.schedule(&name, &section, config, files) {
                config.schedules.insert(name, schedule);
            }
        }
    }

    fn schedule(
        &mut self,
        name: &str,
        section: &Section<'_>,
        config: &Config,
        files: Files,
    ) -> Option<Schedule> {
        self.problems.unknown_keys(section, SCHEDULE);
        let zone = self.problems.word(section, "timezone", Zone::named);
        let times = self
            .problems
            .word(section, "cron", |text| Times::parse(text, zone));
        if section.field("cron").is_none() {
            self.problems.missing(section, "cron");
        }
        let command = if section.field("command").is_some() {
            self.program(section, "command")
        } else {
            Vec::new()
        };
        let prompt = section
            .field("prompt")
            .and_then(|field| self.problems.string(&field));
        let payload = Payload {
            prompt: prompt.unwrap_or_default(),
            command,
        };
        let agent = self.scheduled_agent(section, config, &payload);
        if payload.prompt.len() > MAX_PROMPT {
            self.problems.reject(section, "prompt", "longer than 1 MiB");
        }
        self.has_work(section, config, agent.as_deref(), &payload);
        let choice = |text: &str, words: &[&str]| match words.iter().position(|w| *w == text) {
            Some(at) => Ok(at),
            None => Err(format!("{text:?}{}", value::suggest(text, words))),
        };
        let missed = self
            .problems
            .word(section, "missed", |text| choice(text, &["run", "skip"]));
        let busy = self.problems.word(section, "busy", |text| {
            choice(text, &["skip", "queue", "replace"])
        });
        Some(Schedule {
            name: name.to_owned(),
            repo: self.scheduled_repo(section, config, files),
            issue: self.problems.word(section, "issue", |text| {
                if text.trim().is_empty() || text.starts_with('@') {
                    return Err("is blank or begins with @".to_owned());
                }
                Ok(text.to_owned())
            }),
            title: self.problems.text(section, "title"),
            model: self.problems.text(section, "model"),
            labels: self.labels(section),
            priority: self.problems.integer(section, "priority").unwrap_or(0),
            run_missed: missed != Some(1),
            busy: match busy {
                Some(1) => Busy::Queue,
                Some(2) => Busy::Replace,
                Some(_) | None => Busy::Skip,
            },
            payload,
            times: times?,
            agent: agent?,
        })
    }

    /// The agent: its own, else the default one for a prompt, else `shell` for a
    /// command. Words for a person are never run as a script unasked.
    fn scheduled_agent(
        &mut self,
        section: &Section<'_>,
        config: &Config,
        payload: &Payload,
    ) -> Option<String> {
        if section.field("agent").is_none() {
            let is_prompt = payload.command.is_empty();
            let default = config.default_agent.clone().filter(|_| is_prompt);
            if default.is_none() && is_prompt && !payload.prompt.trim().is_empty() {
                let wrong = "no agent is named for it: add agent, or default_agent in [daemon]";
                self.problems.reject(section, "prompt", wrong);
            }
            return Some(default.unwrap_or_else(|| super::SHELL.to_owned()));
        }
        self.problems.word(section, "agent", |name| {
            if config.agents.contains_key(name) {
                return Ok(name.to_owned());
            }
            let names: Vec<&str> = config.agents.keys().map(String::as_str).collect();
            Err(format!("no agent {name}{}", value::suggest(name, &names)))
        })
    }

    fn has_work(
        &mut self,
        section: &Section<'_>,
        config: &Config,
        agent: Option<&str>,
        payload: &Payload,
    ) {
        let Some(agent) = agent.and_then(|name| config.agent(name)) else {
            return;
        };
        if !agent.command.is_empty() && !payload.command.is_empty() {
            let wrong = format!("agent {} has a command of its own", agent.name);
            self.problems.reject(section, "command", &wrong);
        } else if agent.command.is_empty()
            && payload.command.is_empty()
            && payload.prompt.trim().is_empty()
        {
            self.problems.problem(
                section.at,
                format!("{}: neither prompt nor command", section.path),
            );
        }
    }

    /// A name of `[repos]`, or a path.
    fn scheduled_repo(
        &mut self,
        section: &Section<'_>,
        config: &Config,
        files: Files,
    ) -> Option<PathBuf> {
        let home = self.home.clone();
        self.problems.word(section, "repo", |text| {
            if let Some(repo) = config.repos.get(text) {
                return Ok(repo.path.clone());
            }
            let names: Vec<&str> = config.repos.keys().map(String::as_str).collect();
            let path = value::path(text, home.as_deref()).map_err(|wrong| {
                let hint = value::nearest(text, names);
                let hint = hint.map_or_else(String::new, |name| format!("; did you mean {name}?"));
                format!("neither a name of [repos] nor a path: {wrong}{hint}")
            })?;
            if files == Files::Look && !path.is_dir() {
                return Err(format!("{}: there is no such directory", path.display()));
            }
            Ok(path)
        })
    }

    fn labels(&mut self, section: &Section<'_>) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        let Some(table) = self.problems.section(section, "labels") else {
            return labels;
        };
        for (key, _) in table.table {
            let name: &str = key.get_ref();
            let value = self.problems.word(&table, name, |text| {
                if name.is_empty() || name.len() > MAX_LABEL || text.len() > MAX_LABEL {
                    return Err(format!(
                        "names and values of labels have 1 to {MAX_LABEL} bytes"
                    ));
                }
                Ok(text.to_owned())
            });
            labels.extend(value.map(|value| (name.to_owned(), value)));
        }
        if labels.len() > MAX_LABELS {
            let wrong = format!("more than {MAX_LABELS} labels");
            self.problems.reject(section, "labels", &wrong);
        }
        labels
    }
}
