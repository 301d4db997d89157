//! Claude Code.
//!
//! It takes the id of its session, keeps it when it is resumed, and has no lock
//! on it. Its own retries are few: how long a task waits is for the daemon to
//! decide, which frees the slot meanwhile.

use nix::unistd::geteuid;

use super::{
    InvocationError, Login, Plan, Probe, Start,
    driver::{Env, Job, exists, flag, home_of, login, names, probed},
};
use crate::{
    config::{Agent, Permissions},
    spool::Reads,
    task::{observed::is_session, spec::AgentType, usage::Usage},
};

/// Without these it speaks to others than its provider, and waits for minutes.
const ENV: [(&str, &str); 3] = [
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("CLAUDE_CODE_MAX_RETRIES", "2"),
];
/// Exactly so it lets root skip permissions.
const SANDBOX: (&str, &str) = ("IS_SANDBOX", "1");

/// Any of them is enough.
const KEYS: [&str; 5] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
];

pub(super) fn plan(job: &Job<'_>) -> Result<Plan, InvocationError> {
    plan_as(job, geteuid().is_root())
}

fn plan_as(job: &Job<'_>, root: bool) -> Result<Plan, InvocationError> {
    let mut argv = job.program();
    argv.extend(["-p", "--output-format", "stream-json", "--verbose"].map(String::from));
    let mut env = ENV.to_vec();
    match job.agent.permissions {
        Permissions::All => {
            if refuses_root(job.agent, job.env, root) {
                let agent = job.agent.name.clone();
                return Err(InvocationError::Root { agent });
            }
            if root {
                env.push(SANDBOX);
            }
            argv.push("--dangerously-skip-permissions".to_owned());
        }
        Permissions::Edit => argv.push(flag("permission-mode", "acceptEdits")),
        Permissions::Read => argv.push(flag("permission-mode", "plan")),
    }
    argv.extend(job.model.map(|model| flag("model", model)));
    argv.extend(job.agent.args.iter().cloned());
    let (before, resumed) = match job.start {
        Start::Fresh => (Usage::default(), None),
        Start::Minted(id) => {
            argv.push(flag("session-id", id));
            (Usage::default(), None)
        }
        Start::Resume { session, before } => {
            argv.push(flag("resume", session));
            (before, Some(session.to_owned()))
        }
    };
    job.plan(argv, Reads::Claude { before, resumed }, &env)
}

/// Whether it would refuse to do everything, since it is `root`.
pub(super) fn refuses_root(agent: &Agent, env: &Env, root: bool) -> bool {
    let everything = agent.agent_type == AgentType::Claude && agent.permissions == Permissions::All;
    let sandbox = env.get(SANDBOX.0).map(String::as_str) == Some(SANDBOX.1);
    root && everything && !agent.allow_root && !sandbox
}

/// A session is a file in the directory of its project.
pub(super) fn probe(env: &Env, session: &str) -> Probe {
    let Some(home) = home_of(env, "CLAUDE_CONFIG_DIR", ".claude") else {
        return Probe::Unknown;
    };
    if !is_session(session) {
        return Probe::Absent;
    }
    let file = format!("{session}.jsonl");
    probed(names(&home.join("projects")).and_then(|projects| {
        for project in projects {
            if exists(&project.join(&file))? {
                return Ok(true);
            }
        }
        Ok(false)
    }))
}

pub(super) fn logged_in(env: &Env) -> Login {
    let home = home_of(env, "CLAUDE_CONFIG_DIR", ".claude");
    login(env, &KEYS, home.map(|home| home.join(".credentials.json")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::agents::tests::driven;

    const ID: &str = "95cc3bff-9aff-4170-98a0-6eb76fab8823";

    fn words(
        root: bool,
        start: Start<'_>,
        change: impl FnOnce(&mut Env),
    ) -> Result<String, String> {
        driven(AgentType::Claude, start, |job| {
            let mut env = job.env.clone();
            change(&mut env);
            let plan = plan_as(&Job { env: &env, ..job }, root);
            let plan = plan.map_err(|error| error.to_string())?;
            let env = plan
                .env
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            Ok(env.chain(plan.argv).collect::<Vec<_>>().join(" "))
        })
    }

    #[test]
    fn it_is_told_its_session() {
        let common = "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 CLAUDE_CODE_MAX_RETRIES=2 \
            DISABLE_AUTOUPDATER=1 claude -p --output-format stream-json --verbose \
            --dangerously-skip-permissions --model=m --extra";
        let of = |start| words(false, start, |_| ()).unwrap();
        assert_eq!(of(Start::Fresh), common);
        assert_eq!(of(Start::Minted(ID)), format!("{common} --session-id={ID}"));
        let before = Usage::default();
        let resume = Start::Resume {
            session: ID,
            before,
        };
        assert_eq!(of(resume), format!("{common} --resume={ID}"));
    }

    #[test]
    fn root_needs_the_operators_word() {
        let refused = words(true, Start::Fresh, |_| ()).unwrap_err();
        assert!(refused.contains("allow_root"), "{refused}");
        let set = |env: &mut Env| drop(env.insert("IS_SANDBOX".to_owned(), "1".to_owned()));
        assert!(
            words(true, Start::Fresh, set)
                .unwrap()
                .contains("skip-permissions")
        );
        let plan = driven(AgentType::Claude, Start::Fresh, |job| {
            let mut agent = job.agent.clone();
            agent.allow_root = true;
            plan_as(
                &Job {
                    agent: &agent,
                    ..job
                },
                true,
            )
        });
        assert_eq!(plan.unwrap().env["IS_SANDBOX"], "1");
        let plan = driven(AgentType::Claude, Start::Fresh, |job| {
            let mut agent = job.agent.clone();
            agent.permissions = Permissions::Edit;
            plan_as(
                &Job {
                    agent: &agent,
                    ..job
                },
                true,
            )
        });
        let argv = plan.unwrap().argv;
        assert!(argv.contains(&"--permission-mode=acceptEdits".to_owned()));
    }

    #[test]
    fn a_session_is_its_file() {
        let home = tempfile::tempdir().unwrap();
        let mut env = Env::from([("HOME".to_owned(), home.path().display().to_string())]);
        assert_eq!(probe(&env, ID), Probe::Absent);
        let project = home.path().join(".claude/projects/-srv-app");
        fs::create_dir_all(&project).unwrap();
        assert_eq!(probe(&env, ID), Probe::Absent);
        fs::write(project.join(format!("{ID}.jsonl")), "").unwrap();
        assert_eq!(probe(&env, ID), Probe::Present);
        assert_eq!(probe(&env, "../x"), Probe::Absent);
        env.insert("CLAUDE_CONFIG_DIR".to_owned(), "/nonexistent".to_owned());
        assert_eq!(probe(&env, ID), Probe::Absent);
        assert_eq!(probe(&Env::new(), ID), Probe::Unknown);
        // What cannot be looked at proves nothing.
        let name = "x".repeat(300);
        env.insert("CLAUDE_CONFIG_DIR".to_owned(), format!("/{name}"));
        assert_eq!(probe(&env, ID), Probe::Unknown);
    }

    #[test]
    fn a_key_or_a_file_is_a_login() {
        let home = tempfile::tempdir().unwrap();
        let mut env = Env::from([("HOME".to_owned(), home.path().display().to_string())]);
        assert_eq!(logged_in(&env), Login::No);
        env.insert("ANTHROPIC_API_KEY".to_owned(), String::new());
        assert_eq!(logged_in(&env), Login::No);
        let file = home.path().join(".claude/.credentials.json");
        fs::create_dir(home.path().join(".claude")).unwrap();
        fs::write(&file, "{}").unwrap();
        assert_eq!(
            logged_in(&env),
            Login::Yes(format!("by {}", file.display()))
        );
        env.insert("ANTHROPIC_API_KEY".to_owned(), "hush".to_owned());
        let by_key = Login::Yes("by ANTHROPIC_API_KEY".to_owned());
        assert_eq!(logged_in(&env), by_key);
        assert_eq!(logged_in(&Env::new()), Login::Unknown);
    }
}
