//! What holds for any bytes in a configuration or a file of variables.

use std::path::{Path, PathBuf};

use super::{Agent, Config, ConfigError, Environment, Problem, SHELL, env_file, is_name};
use crate::task::limits::{MAX_PROMPT, MAX_QUEUED, MAX_TEXT};

/// A text is a valid configuration, or every problem of it has a place in it
/// and is one line.
pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let env = Environment {
        config: None,
        xdg_config_home: None,
        home: Some("/home/ann".into()),
        path: None,
        system: PathBuf::from("/etc/agentd/config.toml"),
    };
    match Config::parse_in(text, Path::new("config.toml"), &env) {
        Ok(config) => valid(&config),
        Err(error) => {
            let shown = error.to_string();
            let ConfigError::Invalid(problems) = error else {
                panic!("a text that was read: {shown}");
            };
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in &problems {
                has_a_place(problem, text);
            }
        }
    }
}

fn valid(config: &Config) {
    assert!(config.max_running > 0 && (1..=MAX_QUEUED).contains(&config.max_queued));
    assert!(config.agents.contains_key(SHELL), "shell is always there");
    let default = config.default_agent.as_ref();
    assert!(default.is_none_or(|name| config.agents.contains_key(name)));
    assert_ne!(config.limits.max_attempts, Some(0));
    for (name, agent) in &config.agents {
        assert!(is_name(name) && *name == agent.name, "{name:?}");
        usable(agent);
    }
    let notify = &config.notify;
    assert!(!notify.states.is_empty() && notify.timeout > 0);
    let mut words = notify.command.iter();
    assert!(words.all(|word| !word.contains('\0')));
    assert!(notify.command.first().is_none_or(|word| !word.is_empty()));
    if let Some(webhook) = &notify.webhook {
        assert!(
            webhook
                .url
                .uri()
                .host()
                .is_some_and(|host| !host.is_empty())
        );
    }
    for (name, repo) in &config.repos {
        assert!(is_name(name) && repo.path.is_absolute(), "{name:?}");
        let base = repo.base.as_deref().unwrap_or("main");
        assert!(!base.is_empty() && !base.starts_with('-'), "{base:?}");
        for command in [&repo.setup, &repo.teardown, &repo.issue_state] {
            assert!(command.first().is_none_or(|word| !word.is_empty()));
            assert!(command.iter().all(|word| !word.contains('\0')));
        }
        assert!(repo.setup_timeout > 0, "{name:?}");
    }
}

/// A process can be started with it.
fn usable(agent: &Agent) {
    assert!(agent.command.first().is_none_or(|word| !word.is_empty()));
    let words = agent.command.iter().chain(&agent.args);
    let words = words.chain(agent.env.values());
    assert!(words.clone().all(|word| !word.contains('\0')));
    assert!(agent.command.iter().map(String::len).sum::<usize>() <= MAX_PROMPT);
    let names = agent.env.keys().chain(&agent.env_pass);
    for name in names {
        assert!(!name.contains(['=', '\0']) && !name.is_empty(), "{name:?}");
        assert!(!name.starts_with("AGENTD_"), "{name:?}");
    }
    let model = agent.model.as_deref().unwrap_or("any");
    assert!(!model.is_empty() && model.len() <= MAX_TEXT);
    assert!(!model.contains(char::is_control), "{model:?}");
    for dir in agent.path.iter().flat_map(|path| path.split(':')) {
        assert!(Path::new(dir).is_absolute(), "{dir:?}");
    }
    assert!(agent.writable.iter().all(|place| place.is_absolute()));
    assert!(agent.sandbox || agent.writable.is_empty());
    assert!((1..=255).contains(&agent.abort_code));
    for text in agent.output.patterns.values() {
        super::pattern(text).unwrap_or_else(|wrong| panic!("{text:?}: {wrong}"));
    }
    let mut pointers = agent.output.keys.values();
    assert!(pointers.all(|pointer| pointer.starts_with('/')));
}

fn has_a_place(problem: &Problem, text: &str) {
    // A file that ends with a newline has an empty last line for this purpose.
    let line = problem
        .line
        .checked_sub(1)
        .and_then(|line| text.split('\n').nth(line));
    let Some(line) = line else {
        panic!("{problem}: there is no such line");
    };
    assert!(
        (1..=line.chars().count() + 1).contains(&problem.column),
        "{problem}: there is no such column"
    );
    let message = &problem.message;
    assert!(
        !message.is_empty() && !message.contains(char::is_control),
        "{message:?}"
    );
}

/// A file of variables has names and values that a process can be given, or
/// one of its lines is at fault.
pub fn variables(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match env_file::parse(text) {
        Ok(pairs) => {
            for (name, value) in pairs {
                assert!(super::is_variable(&name), "{name:?}");
                assert!(
                    !value.contains(['\0', '\n']),
                    "{name} has a value that no line holds"
                );
            }
        }
        Err(env_file::EnvFileError::Line { line }) => {
            assert!((1..=text.lines().count()).contains(&line), "line {line}");
        }
        Err(error) => panic!("a text that was read: {error}"),
    }
}
