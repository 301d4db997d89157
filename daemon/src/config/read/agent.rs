//! Agents: programs, what they are given, and what is known of them.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    AGENT, Agent, DRIVEN, LIMITS, MAX_RUNNING, Permissions, RETRY, Reader, SESSIONS, SHELL,
    Section, Sessions, output, value,
};
use crate::task::{limits::MAX_PROMPT, spec::AgentType};

impl Reader {
    pub(super) fn agent(&mut self, name: &str, section: &Section<'_>) -> Agent {
        self.problems
            .unknown_keys(section, &[AGENT, DRIVEN, LIMITS, RETRY].concat());
        let agent_type = self.problems.word(section, "type", agent_type);
        if section.field("type").is_none() && name != SHELL {
            self.problems.missing(section, "type");
        }
        let mut agent = Agent::new(name, agent_type.unwrap_or(AgentType::Command));
        self.driven(section, agent_type, &mut agent);
        agent.command = self.program(section, "command");
        agent.model = self.problems.text(section, "model");
        agent.max_running = self.problems.count(section, "max_running", 1..=MAX_RUNNING);
        agent.limits = self.limits(section);
        agent.retry = self.policy(section);
        agent.account = self.problems.word(section, "account", account);
        agent.env = self.variables(section);
        agent.env_pass = self.passed_names(section);
        let home = self.home.clone();
        agent.path = self.problems.word(section, "path", |text| {
            value::search_path(text, home.as_deref())
        });
        agent.env_file = self.problems.word(section, "env_file", |text| {
            value::path(text, home.as_deref())
        });
        if let (Some(file), Some(field)) = (&agent.env_file, section.field("env_file")) {
            self.env_files.push((field.at, field.path, file.clone()));
        }
        if let Some(on) = self.problems.switch(section, "sandbox") {
            agent.sandbox = on;
        }
        agent.writable = self.writable(section, agent.sandbox);
        if let Some(code) = self.problems.count(section, "abort_code", 1..=255) {
            agent.abort_code = code.cast_signed();
        }
        if let Some(signal) = self
            .problems
            .word(section, "polite_signal", value::polite_signal)
        {
            agent.polite_signal = signal;
        }
        if let Some(output) = self.problems.section(section, "output") {
            agent.output = output::read(&mut self.problems, &output);
            if agent.agent_type != AgentType::Command {
                let wrong = format!(
                    "the output of a {} agent is known",
                    agent.agent_type.as_str()
                );
                self.problems.reject(section, "output", &wrong);
            }
        }
        if let Some(section) = self.problems.section(section, "session") {
            self.problems.unknown_keys(&section, SESSIONS);
            let home = self.home.clone();
            let file = self.problems.word(&section, "file", |text| {
                value::session_file(text, home.as_deref())
            });
            agent.session = Some(Sessions { file });
        }
        agent
    }

    /// What only agents have whose program has a driver.
    fn driven(&mut self, section: &Section<'_>, known: Option<AgentType>, agent: &mut Agent) {
        if agent.agent_type == AgentType::Command {
            // Without a valid type it is not known whether they fit.
            let wrong = DRIVEN.iter().filter(|key| section.field(key).is_some());
            for key in wrong.filter(|_| known.is_some() || agent.name == SHELL) {
                self.problems
                    .reject(section, key, "not for agents of type command");
            }
            return;
        }
        agent.args = self.problems.words(section, "args").unwrap_or_default();
        if agent.args.iter().map(String::len).sum::<usize>() > MAX_PROMPT {
            self.problems.reject(section, "args", "longer than 1 MiB");
        }
        if let Some(permissions) = self.problems.word(section, "permissions", permissions) {
            agent.permissions = permissions;
        }
        if let Some(allow) = self.problems.switch(section, "allow_root") {
            agent.allow_root = allow;
        }
        let grace = self.problems.word(section, "result_grace", value::duration);
        agent.result_grace = grace.unwrap_or(agent.result_grace);
    }

    /// Where an agent in a sandbox may write besides what it needs.
    fn writable(&mut self, section: &Section<'_>, sandbox: bool) -> Vec<PathBuf> {
        let Some(words) = self.problems.words(section, "writable") else {
            return Vec::new();
        };
        if !sandbox {
            let wrong = "it may write wherever its user may, without sandbox = true";
            self.problems.reject(section, "writable", wrong);
        }
        let field = section.field("writable");
        let at = field.map_or(section.at, |field| field.at);
        let mut places = Vec::new();
        for word in words {
            match value::writable(&word, self.home.as_deref()) {
                Ok(place) => {
                    let path = section.path_of("writable");
                    self.writable.push((at, path, place.clone()));
                    places.push(place);
                }
                Err(wrong) => self.problems.reject(section, "writable", &wrong),
            }
        }
        places
    }

    fn variables(&mut self, section: &Section<'_>) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        let Some(env) = self.problems.section(section, "env") else {
            return variables;
        };
        for (key, _) in env.table {
            let name: &str = key.get_ref();
            if let Err(wrong) = variable(name) {
                let wrong = format!("{}: {wrong}", env.path_of(name));
                self.problems.problem(key.span().start, wrong);
            }
            let value = env
                .field(name)
                .and_then(|field| self.problems.string(&field));
            variables.extend(value.map(|value| (name.to_owned(), value)));
        }
        variables
    }

    fn passed_names(&mut self, section: &Section<'_>) -> Vec<String> {
        let names = self.problems.words(section, "env_pass").unwrap_or_default();
        for name in &names {
            if let Err(wrong) = variable(name) {
                self.problems.reject(section, "env_pass", &wrong);
            }
        }
        names
    }
}

fn agent_type(text: &str) -> Result<AgentType, String> {
    let words = AgentType::ALL.map(AgentType::as_str);
    let found = AgentType::ALL.into_iter().find(|one| one.as_str() == text);
    found.ok_or_else(|| format!("no agent type {text:?}{}", value::suggest(text, &words)))
}

fn permissions(text: &str) -> Result<Permissions, String> {
    let words = Permissions::ALL.map(Permissions::as_str);
    let found = Permissions::ALL
        .into_iter()
        .find(|one| one.as_str() == text);
    found.ok_or_else(|| format!("no permissions {text:?}{}", value::suggest(text, &words)))
}

fn account(text: &str) -> Result<String, String> {
    if value::is_name(text) {
        return Ok(text.to_owned());
    }
    let rule = "an account is called as an agent may be: 1 to 64 letters, digits, dots, \
                underscores and hyphens";
    Err(rule.to_owned())
}

fn variable(name: &str) -> Result<(), String> {
    if !value::is_variable(name) {
        return Err(format!("{name:?} cannot be the name of a variable"));
    }
    if name.starts_with("AGENTD_") {
        return Err(format!("{name} is set by agentd itself"));
    }
    Ok(())
}
