//! opencode.
//!
//! It works where `PWD` says, names its session itself, and has no last event:
//! that its process has ended is all there is.

use super::{
    InvocationError, Login, Plan, Probe, Start,
    driver::{Env, Job, exists, flag, home_of, login},
};
use crate::{config::Permissions, spool::Reads, task::observed::is_session};

/// A login of its own is in its file; a key is in the variable of any of many
/// providers. These are the most usual.
const KEYS: [&str; 6] = [
    "OPENCODE_API_KEY",
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "OPENROUTER_API_KEY",
    "OPENCODE_CONFIG_CONTENT",
];

pub(super) fn plan(job: &Job<'_>) -> Result<Plan, InvocationError> {
    let directory = job.directory()?;
    let mut argv = job.program();
    argv.extend(["run".to_owned(), flag("format", "json")]);
    argv.push(flag("dir", directory));
    let mut env = vec![("PWD", directory), ("OPENCODE_DISABLE_AUTOUPDATE", "1")];
    match job.agent.permissions {
        Permissions::All => argv.push("--auto".to_owned()),
        Permissions::Edit => env.push(("OPENCODE_PERMISSION", r#"{"bash":"deny"}"#)),
        Permissions::Read => {
            env.push(("OPENCODE_PERMISSION", r#"{"bash":"deny","edit":"deny"}"#));
        }
    }
    argv.extend(job.model.map(|model| flag("model", model)));
    argv.extend(job.agent.args.iter().cloned());
    let resumed = match job.start {
        Start::Fresh | Start::Minted(_) => None,
        Start::Resume { session, .. } => {
            argv.push(flag("session", session));
            Some(session.to_owned())
        }
    };
    job.plan(argv, Reads::Opencode { resumed }, &env)
}

/// Its sessions are rows of a database, which is not ours to open while it may
/// be written to: that there is none is all that can be seen.
pub(super) fn probe(env: &Env, session: &str) -> Probe {
    let Some(data) = home_of(env, "XDG_DATA_HOME", ".local/share") else {
        return Probe::Unknown;
    };
    if !is_session(session) {
        return Probe::Absent;
    }
    match exists(&data.join("opencode/opencode.db")) {
        Ok(false) => Probe::Absent,
        Ok(true) | Err(_) => Probe::Unknown,
    }
}

pub(super) fn logged_in(env: &Env) -> Login {
    let data = home_of(env, "XDG_DATA_HOME", ".local/share");
    match login(env, &KEYS, data.map(|data| data.join("opencode/auth.json"))) {
        // It may have any other provider's key, or need none.
        Login::No => Login::Unknown,
        known @ (Login::Yes(_) | Login::Unknown) => known,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{agents::tests::driven, task::spec::AgentType, task::usage::Usage};

    const ID: &str = "ses_e04011bc0ffeACpwp06tfbo08g";

    #[test]
    fn it_is_told_where_it_is() {
        let of = |start| driven(AgentType::Opencode, start, |job| plan(&job)).unwrap();
        let common = "opencode run --format=json --dir=/w --auto --model=m --extra";
        let fresh = of(Start::Fresh);
        assert_eq!(fresh.argv.join(" "), common);
        assert_eq!(fresh.env["PWD"], "/w");
        let before = Usage::default();
        let resumed = of(Start::Resume {
            session: ID,
            before,
        });
        assert_eq!(resumed.argv.join(" "), format!("{common} --session={ID}"));
    }

    #[test]
    fn only_the_absence_of_all_sessions_shows() {
        let home = tempfile::tempdir().unwrap();
        let env = Env::from([("HOME".to_owned(), home.path().display().to_string())]);
        assert_eq!(probe(&env, ID), Probe::Absent);
        let data = home.path().join(".local/share/opencode");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("opencode.db"), "").unwrap();
        assert_eq!(probe(&env, ID), Probe::Unknown);
        assert_eq!(probe(&env, "a b"), Probe::Absent);
        assert_eq!(logged_in(&env), Login::Unknown);
        fs::write(data.join("auth.json"), "{}").unwrap();
        assert!(matches!(logged_in(&env), Login::Yes(_)));
    }
}
