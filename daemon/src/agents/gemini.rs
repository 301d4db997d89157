//! Gemini CLI.
//!
//! It relaunches itself and then ignores signals unless it is told not to, and
//! it takes the id of its session. Its own retries last for minutes without a
//! word; only its user's settings change them (`general.maxAttempts`). Its shell
//! keeps the user's configuration from git.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    InvocationError, Login, Plan, Probe, Start,
    driver::{Env, Job, flag, home_of, login, names, probed},
};
use crate::{config::Permissions, process, spool::Reads, task::observed::is_session};

const ENV: [(&str, &str); 1] = [("GEMINI_CLI_NO_RELAUNCH", "true")];

/// How long git may take to say who commits.
const LIMIT: Duration = Duration::from_secs(5);
/// Of what it says, bytes.
const MAX_OUTPUT: usize = 4096;

/// Any of them is enough.
const KEYS: [&str; 4] = [
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_GENAI_USE_GCA",
];

pub(super) fn plan(job: &Job<'_>) -> Result<Plan, InvocationError> {
    let mut argv = job.program();
    argv.push(flag("output-format", "stream-json"));
    // Nobody is there to be asked whether the directory is trusted.
    argv.push("--skip-trust".to_owned());
    let mode = match job.agent.permissions {
        Permissions::All => "yolo",
        Permissions::Edit => "auto_edit",
        Permissions::Read => "plan",
    };
    argv.push(flag("approval-mode", mode));
    argv.extend(job.model.map(|model| flag("model", model)));
    argv.extend(job.agent.args.iter().cloned());
    let resumed = match job.start {
        Start::Fresh => None,
        Start::Minted(id) => {
            argv.push(flag("session-id", id));
            None
        }
        Start::Resume { session, .. } => {
            argv.push(flag("resume", session));
            Some(session.to_owned())
        }
    };
    let author = author(job);
    let author = author.iter().map(|(name, value)| (*name, value.as_str()));
    let env: Vec<(&str, &str)> = ENV.into_iter().chain(author).collect();
    job.plan(argv, Reads::Gemini { resumed }, &env)
}

/// Who commits where it works, as variables. Git in its shell reads the
/// configuration of the repository only, so that commits would fail for want of
/// an author; what the environment says is let through. Blocks.
#[expect(
    clippy::disallowed_methods,
    reason = "git is asked who commits, with a time limit"
)]
fn author(job: &Job<'_>) -> Vec<(&'static str, String)> {
    let mut command = Command::new("git");
    command
        .args(["config", "--get-regexp", r"^user\.(name|email)$"])
        .env_clear()
        .envs(job.env)
        .current_dir(&job.workspace.path)
        .stdin(Stdio::null());
    // Without git, and without an author, it commits no less than it would have.
    let Ok(Some(said)) = process::run(command, LIMIT, MAX_OUTPUT) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&said.stdout);
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    let variables = pairs.flat_map(|(key, value)| {
        let names = match key {
            "user.name" => ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"],
            _email => ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"],
        };
        names.map(|name| (name, value.to_owned()))
    });
    variables.collect()
}

/// A session is a file of its project, named by how its id begins.
pub(super) fn probe(env: &Env, session: &str) -> Probe {
    let Some(home) = home_of(env, "GEMINI_CLI_HOME", "") else {
        return Probe::Unknown;
    };
    let Some(begin) = session.get(..8).filter(|_| is_session(session)) else {
        return Probe::Absent;
    };
    let ending = format!("-{begin}.jsonl");
    probed(names(&home.join(".gemini/tmp")).and_then(|projects| {
        for project in projects {
            let chats = names(&project.join("chats"))?;
            let mut chats = chats.iter().filter_map(|chat| chat.file_name()?.to_str());
            if chats.any(|chat| chat.starts_with("session-") && chat.ends_with(&ending)) {
                return Ok(true);
            }
        }
        Ok(false)
    }))
}

pub(super) fn logged_in(env: &Env) -> Login {
    let home = home_of(env, "GEMINI_CLI_HOME", "");
    login(
        env,
        &KEYS,
        home.map(|home| home.join(".gemini/oauth_creds.json")),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        agents::tests::driven,
        task::{attempt::Workspace, spec::AgentType, usage::Usage},
    };

    const ID: &str = "5b1f6c1e-1111-4222-8333-444455556666";

    #[test]
    fn it_is_told_its_session() {
        let of = |start| driven(AgentType::Gemini, start, |job| plan(&job)).unwrap();
        let common = "gemini --output-format=stream-json --skip-trust --approval-mode=yolo \
            --model=m --extra";
        let fresh = of(Start::Fresh);
        assert_eq!(fresh.argv.join(" "), common);
        assert_eq!(fresh.env["GEMINI_CLI_NO_RELAUNCH"], "true");
        let minted = of(Start::Minted(ID)).argv.join(" ");
        assert_eq!(minted, format!("{common} --session-id={ID}"));
        let before = Usage::default();
        let resumed = of(Start::Resume {
            session: ID,
            before,
        });
        assert_eq!(resumed.argv.join(" "), format!("{common} --resume={ID}"));
    }

    #[test]
    fn it_commits_in_its_users_name() {
        let home = tempfile::tempdir().unwrap();
        let identity = "[user]\n\tname = Ann Lee\n\temail = ann@example.org\n";
        fs::write(home.path().join(".gitconfig"), identity).unwrap();
        let path = std::env::var("PATH").unwrap();
        let plan = driven(AgentType::Gemini, Start::Fresh, |job| {
            let env = Env::from([
                ("HOME".to_owned(), home.path().display().to_string()),
                ("PATH".to_owned(), path),
            ]);
            let workspace = Workspace {
                path: home.path().to_owned(),
                ..job.workspace.clone()
            };
            plan(&Job {
                env: &env,
                workspace: &workspace,
                ..job
            })
        });
        let env = plan.unwrap().env;
        for who in ["AUTHOR", "COMMITTER"] {
            assert_eq!(env[&format!("GIT_{who}_NAME")], "Ann Lee");
            assert_eq!(env[&format!("GIT_{who}_EMAIL")], "ann@example.org");
        }
    }

    #[test]
    fn a_session_is_its_file() {
        let home = tempfile::tempdir().unwrap();
        let env = Env::from([("HOME".to_owned(), home.path().display().to_string())]);
        assert_eq!(probe(&env, ID), Probe::Absent);
        let chats = home.path().join(".gemini/tmp/app/chats");
        fs::create_dir_all(&chats).unwrap();
        fs::write(home.path().join(".gemini/tmp/bin"), "").unwrap();
        assert_eq!(probe(&env, ID), Probe::Absent);
        fs::write(chats.join("session-2026-11-21T02-34-5b1f6c1e.jsonl"), "").unwrap();
        assert_eq!(probe(&env, ID), Probe::Present);
        assert_eq!(probe(&env, "5b1f"), Probe::Absent);
        assert_eq!(probe(&Env::new(), ID), Probe::Unknown);
    }
}
