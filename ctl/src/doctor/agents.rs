//! The agents: what the daemon lacks, and above all what this user's shell finds
//! and the daemon does not, since a service has a shorter `PATH` than a shell.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use agentd_proto::v1;

use super::{Finding, Severity, Surroundings, shell_word};
use crate::service::DROP_IN;

const AREA: &str = "agents";

/// The programs that the daemon knows how to drive; each is its type, too.
pub(crate) const KNOWN: [&str; 4] = ["claude", "codex", "gemini", "opencode"];

/// What follows in a `PATH` that is written into a configuration.
const USUAL: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// How the programs of npm begin.
const NODE: &[u8] = b"#!/usr/bin/env node";

/// Compares what the daemon has with what is on this user's PATH. `config` is
/// its file, or where it would be.
pub(crate) fn agents(
    agents: &[v1::Agent],
    around: &Surroundings,
    config: Option<&Path>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for agent in agents {
        found.extend(of_agent(agent, around, config));
    }
    for program in KNOWN {
        if agents.iter().all(|agent| agent.r#type != program)
            && let Some(file) = around.find(program)
        {
            found.push(unknown(program, &file, around, config));
        }
    }
    found
}

fn of_agent(agent: &v1::Agent, around: &Surroundings, config: Option<&Path>) -> Vec<Finding> {
    let name = &agent.name;
    let missing = agent.program.is_empty() && !agent.looks_for.is_empty();
    if missing && let Some(file) = around.find(&agent.looks_for) {
        let what = format!("{name}: {} is not on the daemon's PATH", agent.looks_for);
        let path = search_path(&file, around);
        let file = file.display();
        return vec![
            Finding::new(AREA, Severity::Error, what)
                .because(format!(
                    "it is {file}; a service has a shorter PATH than a shell"
                ))
                .fix(recorded_anew(around).unwrap_or_else(|| {
                    let config = config_file(config);
                    format!(
                        "set path = \"{path}\" in [agents.{name}] of {config}, then agentctl reload"
                    )
                })),
        ];
    }
    if agent.troubles.is_empty() {
        let known = [agent.program.as_str(), agent.version.as_str()];
        let known: Vec<_> = known.into_iter().filter(|text| !text.is_empty()).collect();
        let what = match known.join(", ") {
            more if more.is_empty() => format!("{name}: tasks bring their own program"),
            more => format!("{name}: {more}"),
        };
        return vec![Finding::new(AREA, Severity::Ok, what)];
    }
    // One without its program is of no use; others may do some of their work.
    let severity = match missing {
        true => Severity::Error,
        false => Severity::Warning,
    };
    let told = agent.troubles.iter().map(|trouble| {
        Finding::new(AREA, severity, format!("{name}: {}", trouble.what))
            .because(agent.program.clone())
            .fix(trouble.hint.clone())
    });
    told.collect()
}

/// A program that the daemon would have an agent for if it saw it.
fn unknown(program: &str, file: &Path, around: &Surroundings, config: Option<&Path>) -> Finding {
    let path = search_path(file, around);
    let table = format!("\\n[agents.{program}]\\ntype = \"{program}\"\\npath = \"{path}\"\\n");
    let below = config.and_then(Path::parent);
    let make = below.filter(|dir| !dir.is_dir()).map(|dir| {
        let dir = shell_word(&dir.to_string_lossy());
        format!("mkdir -p {dir} && ")
    });
    Finding::new(
        AREA,
        Severity::Warning,
        format!("{program} is on your PATH and not on the daemon's"),
    )
    .because(format!(
        "it is {}; a service has a shorter PATH than a shell",
        file.display()
    ))
    .fix(recorded_anew(around).unwrap_or_else(|| {
        format!(
            "{}printf {} >> {} && agentctl reload",
            make.unwrap_or_default(),
            // printf takes % for its own.
            shell_word(&table.replace('%', "%%")),
            shell_word(&config_file(config))
        )
    }))
}

/// Where the service has the PATH of a shell: that of this one.
fn recorded_anew(around: &Surroundings) -> Option<String> {
    let units = around.config_home.as_ref()?.join("systemd/user");
    let recorded = units.join(DROP_IN).exists();
    recorded.then(|| "agentctl service install, from this shell".to_owned())
}

fn config_file(config: Option<&Path>) -> String {
    config.map_or_else(
        || "/etc/agentd/config.toml".to_owned(),
        |file| file.display().to_string(),
    )
}

/// A `PATH` on which the program is found, and what runs it.
fn search_path(file: &Path, around: &Surroundings) -> String {
    let mut dirs: Vec<PathBuf> = file.parent().map(Path::to_owned).into_iter().collect();
    if is_of_node(file)
        && let Some(node) = around.find("node")
    {
        dirs.extend(node.parent().map(Path::to_owned));
    }
    dirs.extend(USUAL.map(PathBuf::from));
    let mut words: Vec<String> = Vec::new();
    for dir in dirs {
        let word = dir.to_string_lossy().into_owned();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(":")
}

fn is_of_node(file: &Path) -> bool {
    let mut begin = Vec::new();
    let limit = NODE.len() as u64;
    let read = File::open(file).and_then(|file| file.take(limit).read_to_end(&mut begin));
    read.is_ok() && begin == NODE
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn install(dir: &Path, name: &str, text: &str) -> PathBuf {
        let file = dir.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    fn agent(name: &str, looks_for: &str) -> v1::Agent {
        v1::Agent {
            name: name.to_owned(),
            r#type: name.to_owned(),
            looks_for: looks_for.to_owned(),
            ..v1::Agent::default()
        }
    }

    #[test]
    fn what_only_the_users_shell_finds_says_what_to_add() {
        let dir = tempfile::tempdir().unwrap();
        let (bin, node) = (dir.path().join("bin"), dir.path().join("node"));
        let claude = install(&bin, "claude", "#!/usr/bin/env node\n");
        install(&node, "node", "#!/bin/sh\n");
        let around = Surroundings {
            path: Some(std::env::join_paths([&bin, &node]).unwrap()),
            ..Surroundings::default()
        };
        let config = dir.path().join("etc/config.toml");
        let shell = agent("shell", "");
        let found = agents(std::slice::from_ref(&shell), &around, Some(&config));
        let told: Vec<_> = found
            .iter()
            .map(|f| (f.severity, f.what.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (Severity::Ok, "shell: tasks bring their own program"),
                (
                    Severity::Warning,
                    "claude is on your PATH and not on the daemon's"
                ),
            ]
        );
        assert!(found[1].why.contains(claude.to_str().unwrap()));
        // What is to be typed makes a configuration that has it.
        let shown = |path: &Path| path.to_str().unwrap().to_owned();
        let path = format!(
            "{}:{}:/usr/local/bin:/usr/bin:/bin",
            shown(&bin),
            shown(&node)
        );
        let fix = format!(
            "mkdir -p {0} && printf '\\n[agents.claude]\\ntype = \"claude\"\\npath = \"{path}\"\\n' >> {0}/config.toml && agentctl reload",
            shown(config.parent().unwrap())
        );
        assert_eq!(found[1].fix, fix);

        // The service of this user records what the shell has.
        let units = dir.path().join("home/systemd/user");
        install(&units, DROP_IN, "");
        let service = Surroundings {
            config_home: Some(dir.path().join("home")),
            ..around.clone()
        };
        let found = agents(&[shell], &service, Some(&config));
        assert_eq!(found[1].fix, "agentctl service install, from this shell");

        // One that is configured and looks elsewhere.
        let found = agents(&[agent("claude", "claude")], &around, Some(&config));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Error);
        assert!(found[0].fix.contains("in [agents.claude] of"), "{found:#?}");
    }

    #[test]
    fn what_the_daemon_tells_is_passed_on() {
        let trouble = v1::agent::Trouble {
            what: "not logged in".to_owned(),
            hint: "claude login".to_owned(),
        };
        let troubled = v1::Agent {
            program: "/usr/bin/claude".to_owned(),
            troubles: vec![trouble.clone()],
            ..agent("claude", "claude")
        };
        let missing = v1::Agent {
            troubles: vec![trouble],
            ..agent("codex", "codex")
        };
        let good = v1::Agent {
            program: "/usr/bin/gemini".to_owned(),
            version: "1.2".to_owned(),
            ..agent("gemini", "gemini")
        };
        let found = agents(&[troubled, missing, good], &Surroundings::default(), None);
        let told: Vec<_> = found
            .iter()
            .map(|f| (f.severity, f.what.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (Severity::Warning, "claude: not logged in"),
                (Severity::Error, "codex: not logged in"),
                (Severity::Ok, "gemini: /usr/bin/gemini, 1.2"),
            ]
        );
        assert_eq!(found[0].fix, "claude login");
    }
}
