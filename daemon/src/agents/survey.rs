//! What can be seen of an agent without running a task: where its program is,
//! which version, whether it is logged in, and what a person has to do.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::unistd::geteuid;

use super::{
    EnvironmentError, Login, claude, codex,
    driver::Env,
    environment, gemini, opencode,
    version::{TooOld, too_old},
};
use crate::{
    config::{Agent, find_program},
    process,
    task::{
        limits::{MAX_TEXT, clip},
        spec::AgentType,
    },
};

/// How long a program may take to say its version. The first run of one that
/// was just installed is slow.
const LIMIT: Duration = Duration::from_secs(10);
/// Of what it prints, bytes.
const MAX_OUTPUT: usize = 4096;

/// What was seen of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Where its `PATH` has its program; `None`: nowhere, or each task brings
    /// its own.
    pub program: Option<PathBuf>,
    /// What the program says of its version.
    pub version: Option<String>,
    /// Whether it is logged in; unknown for programs without a driver.
    pub login: Login,
    /// What keeps it from working.
    pub troubles: Vec<Trouble>,
}

/// Something that a person has to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// A program's file, so that another one in its place is seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stamp {
    path: PathBuf,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// What programs have said of their versions. Asking one takes up to some
/// seconds.
#[derive(Debug, Default)]
pub struct Versions(Mutex<HashMap<Vec<String>, (Stamp, Answer)>>);

/// The line with a version, or why there is none.
type Answer = Result<String, String>;

impl Versions {
    /// What the program says; asked again if its file has changed, and, if one is
    /// to `insist`, also if it did not answer. Blocks.
    fn of(&self, words: &[String], program: &Path, env: &Env, insist: bool) -> Answer {
        let stamp = stamp(program).map_err(|error| error.to_string())?;
        // Whoever panicked has not left half of an entry.
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, version)) = known().get(words)
            && *of == stamp
            && (version.is_ok() || !insist)
        {
            return version.clone();
        }
        let version = ask(words, program, env);
        known().insert(words.to_vec(), (stamp, version.clone()));
        version
    }
}

fn stamp(program: &Path) -> std::io::Result<Stamp> {
    // Behind links: an update changes what they lead to.
    let meta = fs::metadata(program)?;
    Ok(Stamp {
        path: program.to_owned(),
        inode: meta.ino(),
        size: meta.size(),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program is asked for its version, with a time limit"
)]
fn ask(words: &[String], program: &Path, env: &Env) -> Answer {
    let mut command = Command::new(program);
    command
        .args(&words[1..])
        .arg("--version")
        .env_clear()
        .envs(env)
        .current_dir("/")
        .stdin(Stdio::null());
    let ended = process::run(command, LIMIT, MAX_OUTPUT);
    let ended = ended.map_err(|error| error.to_string())?;
    let ended = ended.ok_or_else(|| format!("no answer within {} s", LIMIT.as_secs()))?;
    let text = String::from_utf8_lossy(&ended.stdout);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    match (ended.status.success(), line) {
        (true, Some(line)) => Ok(clip(&line.replace(char::is_control, " "), MAX_TEXT)),
        (true, None) => Err("it prints nothing".to_owned()),
        (false, _) => Err(ended.status.to_string()),
    }
}

/// Looks at an agent. Asks its program for its version unless that is known:
/// blocks.
#[must_use]
pub fn survey(agent: &Agent, versions: &Versions) -> Survey {
    let of_daemon = |name: &str| env::var_os(name);
    look(agent, versions, &of_daemon, geteuid().is_root())
}

fn look(
    agent: &Agent,
    versions: &Versions,
    daemon: &dyn Fn(&str) -> Option<OsString>,
    root: bool,
) -> Survey {
    let mut found = Survey {
        program: None,
        version: None,
        login: Login::Unknown,
        troubles: Vec::new(),
    };
    let name = &agent.name;
    let mut trouble = |what: String, hint: String| found.troubles.push(Trouble { what, hint });
    let env = match environment(agent, daemon, BTreeMap::new()) {
        Ok(env) => env,
        Err(error) => {
            let hint = format!("see env, env_pass and env_file of agents.{name}");
            trouble(error.to_string(), hint);
            return found;
        }
    };
    let words = words(agent);
    let Some(program) = words.first() else {
        return found;
    };
    let path = env.get("PATH").map(OsStr::new).unwrap_or_default();
    found.program = find_program(program, path);
    let Some(file) = &found.program else {
        trouble(
            format!("{program} is not on its PATH"),
            format!("install it, or set path or command of agents.{name}"),
        );
        return found;
    };
    if agent.sandbox && !process::can_cage() {
        trouble(
            "this kernel can hold it in no sandbox".to_owned(),
            format!(
                "boot Linux 6.2 or newer with Landlock (lsm=landlock,...), or leave sandbox out of agents.{name}"
            ),
        );
    }
    if agent.agent_type == AgentType::Command {
        // Nobody knows what such a program does with a flag.
        return found;
    }
    match public(agent, daemon) {
        Ok(public) => match versions.of(&words, file, &public, true) {
            Ok(version) => {
                if let Some(TooOld { what, upgrade }) = too_old(agent.agent_type, &version) {
                    trouble(what, upgrade.to_owned());
                }
                found.version = Some(version);
            }
            Err(error) => trouble(
                format!("{} does not say its version: {error}", file.display()),
                format!("run {} --version, and install it anew", file.display()),
            ),
        },
        Err(error) => trouble(error.to_string(), "see the daemon's environment".to_owned()),
    }
    if claude::refuses_root(agent, &env, root) {
        trouble(
            "Claude Code does not skip permissions as root".to_owned(),
            format!(
                "run agentd as another user, or set permissions of agents.{name}, \
                 or allow_root if this machine is a sandbox"
            ),
        );
    }
    let (login, how) = login(agent.agent_type, &env);
    if login == Login::No {
        trouble(
            "not logged in".to_owned(),
            format!("{how} of agents.{name}"),
        );
    }
    found.login = login;
    found
}

/// The program of an agent and what comes first of its arguments; empty: each
/// task brings its own.
fn words(agent: &Agent) -> Vec<String> {
    match agent.command.as_slice() {
        [] => agent.agent_type.program().map(String::from),
        words => return words.to_vec(),
    }
    .into_iter()
    .collect()
}

/// Who is only asked for a version needs no secrets.
fn public(
    agent: &Agent,
    daemon: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Env, EnvironmentError> {
    let public = Agent {
        env_file: None,
        env_pass: Vec::new(),
        env: BTreeMap::new(),
        ..agent.clone()
    };
    environment(&public, daemon, BTreeMap::new())
}

/// What is wrong with an agent's program, if that is known to be too old for its
/// driver, and what to do. Whatever else is wrong shows when it is started. Asks
/// the program for its version, once for as long as its file is the same: blocks.
#[must_use]
pub fn outdated(agent: &Agent, versions: &Versions) -> Option<Trouble> {
    if agent.agent_type == AgentType::Command {
        return None;
    }
    let of_daemon = |name: &str| env::var_os(name);
    let words = words(agent);
    let env = environment(agent, &of_daemon, BTreeMap::new()).ok()?;
    let path = env.get("PATH").map(OsStr::new).unwrap_or_default();
    let program = find_program(words.first()?, path)?;
    let public = public(agent, &of_daemon).ok()?;
    let version = versions.of(&words, &program, &public, false).ok()?;
    let TooOld { what, upgrade } = too_old(agent.agent_type, &version)?;
    Some(Trouble {
        what,
        hint: upgrade.to_owned(),
    })
}

/// Whether it is logged in, and how it could be.
fn login(agent_type: AgentType, env: &Env) -> (Login, &'static str) {
    match agent_type {
        AgentType::Command => (Login::Unknown, ""),
        AgentType::Claude => (
            claude::logged_in(env),
            "run claude and /login as the daemon's user, or put ANTHROPIC_API_KEY into env_file",
        ),
        AgentType::Codex => (
            codex::logged_in(env),
            "run codex login as the daemon's user, or put CODEX_API_KEY into env_file",
        ),
        AgentType::Gemini => (
            gemini::logged_in(env),
            "run gemini as the daemon's user, or put GEMINI_API_KEY into env_file",
        ),
        AgentType::Opencode => (
            opencode::logged_in(env),
            "run opencode auth login as the daemon's user",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn install(path: &Path, script: &str) {
        // In its place at once, so that nobody runs a file that is written to.
        let new = path.with_extension("new");
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, path).unwrap();
    }

    #[test]
    fn it_says_what_is_missing_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_owned();
        let daemon = move |name: &str| match name {
            "HOME" | "PATH" => Some(OsString::from(&home)),
            _ => None,
        };
        let versions = Versions::default();
        let mut agent = Agent::new("claude", AgentType::Claude);
        let look = |agent: &Agent| look(agent, &versions, &daemon, false);
        let whats = |found: &Survey| {
            let troubles = found.troubles.iter();
            troubles
                .map(|trouble| trouble.what.clone())
                .collect::<Vec<_>>()
        };
        let found = look(&agent);
        assert_eq!(whats(&found), ["claude is not on its PATH"]);
        assert!(found.troubles[0].hint.contains("agents.claude"));

        let program = dir.path().join("claude");
        let asked = dir.path().join("asked");
        let counts = format!("echo x >>{}", asked.display());
        install(&program, &format!("{counts}; echo; echo \"9.9 $*$KEY\""));
        agent.env = BTreeMap::from([("KEY".to_owned(), "hush".to_owned())]);
        for _ in 0..2 {
            let found = look(&agent);
            assert_eq!(found.program.as_deref(), Some(program.as_path()));
            assert_eq!(found.version.as_deref(), Some("9.9 --version"));
            assert_eq!(whats(&found), ["not logged in"]);
        }
        assert_eq!(fs::read_to_string(&asked).unwrap(), "x\n", "asked once");

        install(&program, "echo broken >&2; exit 3");
        let found = look(&agent);
        assert_eq!(found.version, None);
        assert!(
            found.troubles[0].what.contains("exit status: 3"),
            "{found:?}"
        );

        agent.env = BTreeMap::from([("ANTHROPIC_API_KEY".to_owned(), "hush".to_owned())]);
        install(&program, "echo 10");
        let found = look(&agent);
        assert_eq!(found.version.as_deref(), Some("10"));
        assert_eq!(
            (found.login, found.troubles),
            (Login::Yes("by ANTHROPIC_API_KEY".to_owned()), vec![])
        );
        agent.env_file = Some("/nonexistent".into());
        assert!(look(&agent).troubles[0].what.contains("/nonexistent"));
    }

    #[test]
    fn an_unknown_program_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("deploy");
        let ran = dir.path().join("ran");
        install(&program, &format!("touch {}", ran.display()));
        let mut agent = Agent::new("any", AgentType::Command);
        agent.command = vec![program.display().to_string()];
        let found = look(&agent, &Versions::default(), &|_| None, true);
        assert_eq!((found.program, found.version), (Some(program), None));
        assert!(found.troubles.is_empty() && !ran.exists());
        agent.command.clear();
        let found = look(&agent, &Versions::default(), &|_| None, true);
        assert_eq!((found.program, found.troubles), (None, vec![]));
    }

    #[test]
    fn root_is_warned() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("claude");
        install(&program, "echo 1");
        let mut agent = Agent::new("claude", AgentType::Claude);
        agent.command = vec![program.display().to_string()];
        agent.env = BTreeMap::from([("ANTHROPIC_API_KEY".to_owned(), "x".to_owned())]);
        let troubles = |agent: &Agent, root| {
            look(agent, &Versions::default(), &|_| None, root)
                .troubles
                .len()
        };
        assert_eq!((troubles(&agent, false), troubles(&agent, true)), (0, 1));
        agent.allow_root = true;
        assert_eq!(troubles(&agent, true), 0);
    }
}
