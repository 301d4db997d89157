//! Gemini CLI.
//!
//! It relaunches itself and then ignores signals unless it is told not to, and
//! it takes the id of its session. Its own retries last for minutes without a
//! word, and cannot be set.

use super::{
    InvocationError, Login, Plan, Probe, Start,
    driver::{Env, Job, flag, home_of, login, names, probed},
};
use crate::{config::Permissions, spool::Reads, task::observed::is_session};

const ENV: [(&str, &str); 1] = [("GEMINI_CLI_NO_RELAUNCH", "true")];

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
    job.plan(argv, Reads::Gemini { resumed }, &ENV)
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
    use crate::{agents::tests::driven, task::spec::AgentType, task::usage::Usage};

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
