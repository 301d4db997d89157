//! OpenAI Codex.
//!
//! Its program is looked for behind the script that npm puts in front of it:
//! killed, that would leave the program alive. Its flags stand before `resume`,
//! which would forget them. It names its thread itself.

use std::{
    env::consts::ARCH,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    InvocationError, Login, Plan, Probe, Start,
    driver::{Env, Job, flag, home_of, login, names, probed},
};
use crate::{
    config::{Permissions, find_program},
    file,
    spool::Reads,
    task::{observed::is_session, usage::Usage},
};

/// Any of them is enough.
const KEYS: [&str; 2] = ["CODEX_API_KEY", "OPENAI_API_KEY"];

/// Without these it speaks to others than its provider.
const QUIET: [&str; 4] = [
    "-c",
    "features.plugins=false",
    "-c",
    "analytics.enabled=false",
];

/// Directories of years, months and days.
const DEPTH: usize = 3;

pub(super) fn plan(job: &Job<'_>) -> Result<Plan, InvocationError> {
    let mut argv = job.program();
    if let Some(native) = argv.first().and_then(|program| native(program, job.env)) {
        argv[0] = native;
    }
    argv.extend(["exec", "--json", "--skip-git-repo-check"].map(String::from));
    argv.push(flag("cd", job.directory()?));
    match job.agent.permissions {
        Permissions::All => argv.push("--dangerously-bypass-approvals-and-sandbox".to_owned()),
        Permissions::Edit => {
            argv.push(flag("sandbox", "workspace-write"));
            argv.extend(writable_roots(&job.workspace.path));
        }
        Permissions::Read => argv.push(flag("sandbox", "read-only")),
    }
    argv.extend(QUIET.map(String::from));
    argv.extend(job.model.map(|model| flag("model", model)));
    // The last setting of a kind counts: the operator's.
    argv.extend(job.agent.args.iter().cloned());
    argv.extend(no_retries(&job.agent.args));
    let (before, resumed) = match job.start {
        Start::Fresh | Start::Minted(_) => (Usage::default(), None),
        Start::Resume { session, before } => {
            argv.extend(["resume".to_owned(), session.to_owned()]);
            (before, Some(session.to_owned()))
        }
    };
    argv.push("-".to_owned());
    job.plan(argv, Reads::Codex { before, resumed }, &[])
}

/// The program behind npm's script.
fn native(program: &str, env: &Env) -> Option<String> {
    let path = env.get("PATH").map(OsStr::new).unwrap_or_default();
    let script = fs::canonicalize(find_program(program, path)?).ok()?;
    if script.file_name() != Some(OsStr::new("codex.js")) {
        return None;
    }
    let package = script.parent()?.parent()?;
    let arch = match ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let name = format!("codex-linux-{arch}");
    let homes = [
        package.join("node_modules/@openai").join(&name),
        package.parent()?.join(&name),
        package.to_path_buf(),
    ];
    let targets = homes.iter().flat_map(|home| {
        let targets = names(&home.join("vendor"));
        targets.unwrap_or_default()
    });
    let mut programs = targets.map(|target| target.join("bin/codex"));
    programs.find_map(|file| {
        find_program(file.to_str()?, path)?
            .to_str()
            .map(String::from)
    })
}

/// A linked worktree commits into the repository that it belongs to, which is
/// outside of what the sandbox lets it write to.
fn writable_roots(workspace: &Path) -> Vec<String> {
    // An agent may have put anything there.
    let read = |path: &Path| {
        let bytes = file::read(path, file::SMALL).ok()?;
        String::from_utf8(bytes).ok()
    };
    let Some(text) = read(&workspace.join(".git")) else {
        return Vec::new();
    };
    let Some(own) = text.trim_end().strip_prefix("gitdir: ") else {
        return Vec::new();
    };
    let own = workspace.join(own);
    let common = read(&own.join("commondir"));
    let common = common.map(|text| own.join(text.trim_end()));
    let roots = [common, Some(own)].into_iter().flatten();
    let roots: Vec<PathBuf> = roots
        .filter_map(|path| fs::canonicalize(path).ok())
        .collect();
    let roots: Vec<&str> = roots.iter().filter_map(|path| path.to_str()).collect();
    // A string of JSON is one of TOML.
    let roots = serde_json::to_string(&roots).expect("a list of strings");
    let setting = format!("sandbox_workspace_write.writable_roots={roots}");
    vec!["-c".to_owned(), setting]
}

/// Whoever configures a provider of his own leaves waiting to the daemon,
/// unless he says otherwise. Those that Codex brings cannot be changed.
fn no_retries(args: &[String]) -> Vec<String> {
    if args.iter().any(|word| word.contains("_max_retries")) {
        return Vec::new();
    }
    let mut settings = args.windows(2).filter(|pair| pair[0] == "-c");
    let provider = settings.find_map(|pair| pair[1].strip_prefix("model_provider="));
    let provider = provider.map(|name| name.trim_matches('"'));
    let defined = provider.filter(|name| {
        let table = format!("model_providers.{name}");
        args.iter().any(|word| word.starts_with(&table))
    });
    let settings = ["request_max_retries", "stream_max_retries"];
    let settings = defined.into_iter().flat_map(|name| {
        settings.map(|key| ["-c".to_owned(), format!("model_providers.{name}.{key}=0")])
    });
    settings.flatten().collect()
}

/// A thread is a file below the day on which it was begun.
pub(super) fn probe(env: &Env, session: &str) -> Probe {
    let Some(home) = home_of(env, "CODEX_HOME", ".codex") else {
        return Probe::Unknown;
    };
    if !is_session(session) {
        return Probe::Absent;
    }
    let ending = format!("-{session}.jsonl");
    probed(is_below(&home.join("sessions"), &ending, DEPTH))
}

fn is_below(dir: &Path, ending: &str, depth: usize) -> io::Result<bool> {
    let mut entries = names(dir)?;
    // It is most likely a new one.
    entries.sort_unstable_by(|a, b| b.cmp(a));
    for entry in entries {
        let found = match depth {
            0 => entry.to_str().is_some_and(|path| path.ends_with(ending)),
            depth => is_below(&entry, ending, depth - 1)?,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn logged_in(env: &Env) -> Login {
    let home = home_of(env, "CODEX_HOME", ".codex");
    login(env, &KEYS, home.map(|home| home.join("auth.json")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::{
        agents::tests::driven,
        task::{attempt::Workspace, spec::AgentType},
    };

    const ID: &str = "01a1fbe8-d1ce-7380-a243-eb1d144c3f4f";

    #[test]
    fn flags_stand_before_the_thread() {
        let of = |start| {
            let plan = driven(AgentType::Codex, start, |job| plan(&job)).unwrap();
            plan.argv.join(" ")
        };
        let common = "codex exec --json --skip-git-repo-check --cd=/w \
            --dangerously-bypass-approvals-and-sandbox -c features.plugins=false \
            -c analytics.enabled=false --model=m --extra";
        assert_eq!(of(Start::Fresh), format!("{common} -"));
        let before = Usage::default();
        let resume = Start::Resume {
            session: ID,
            before,
        };
        assert_eq!(of(resume), format!("{common} resume {ID} -"));
    }

    #[test]
    fn the_program_is_found_behind_the_script() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let program = |path: &Path| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let modules = dir.join("node_modules");
        let script = modules.join("@openai/codex/bin/codex.js");
        program(&script);
        let bin = modules.join(".bin");
        fs::create_dir(&bin).unwrap();
        symlink(&script, bin.join("codex")).unwrap();
        let env = Env::from([("PATH".to_owned(), bin.display().to_string())]);
        assert_eq!(native("codex", &env), None, "the package is not there");
        let arch = if ARCH == "x86_64" { "x64" } else { "arm64" };
        let vendor = format!("@openai/codex-linux-{arch}/vendor/triple/bin/codex");
        let file = modules.join(vendor);
        program(&file);
        let found = native("codex", &env);
        assert_eq!(found.as_deref(), file.to_str());
        // One that is no script is taken as it is.
        let env = Env::from([(
            "PATH".to_owned(),
            file.parent().unwrap().display().to_string(),
        )]);
        assert_eq!(native("codex", &env), None);
    }

    #[test]
    fn a_sandboxed_worktree_can_commit() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let own = dir.join("app/.git/worktrees/x");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("commondir"), "../..\n").unwrap();
        let work = dir.join("w");
        fs::create_dir(&work).unwrap();
        fs::write(work.join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        let argv = driven(AgentType::Codex, Start::Fresh, |job| {
            let mut agent = job.agent.clone();
            agent.permissions = Permissions::Edit;
            let workspace = Workspace {
                found: None,
                head: None,
                path: work.clone(),
                branch: None,
            };
            plan(&Job {
                agent: &agent,
                workspace: &workspace,
                ..job
            })
            .unwrap()
            .argv
        });
        let shown = dir.display();
        let roots = format!(
            "sandbox_workspace_write.writable_roots=[\"{shown}/app/.git\",\"{shown}/app/.git/worktrees/x\"]"
        );
        assert!(argv.contains(&"--sandbox=workspace-write".to_owned()));
        assert!(argv.contains(&roots), "{argv:?}");
        // The checkout itself is all that it needs.
        assert_eq!(writable_roots(&dir.join("app")), [""; 0]);
    }

    #[test]
    fn retries_of_an_own_provider_are_the_daemons() {
        let args = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let table = "model_providers.p={name=\"p\"}";
        let own = args(&["-c", table, "-c", "model_provider=p"]);
        assert_eq!(
            no_retries(&own),
            [
                "-c",
                "model_providers.p.request_max_retries=0",
                "-c",
                "model_providers.p.stream_max_retries=0"
            ]
        );
        let set = [own, args(&["-c", "model_providers.p.stream_max_retries=3"])].concat();
        assert_eq!(no_retries(&set), [""; 0]);
        assert_eq!(no_retries(&args(&["-c", "model_provider=openai"])), [""; 0]);
    }

    #[test]
    fn a_thread_is_its_file() {
        let home = tempfile::tempdir().unwrap();
        let env = Env::from([("HOME".to_owned(), home.path().display().to_string())]);
        assert_eq!(probe(&env, ID), Probe::Absent);
        let day = home.path().join(".codex/sessions/2026/11/21");
        fs::create_dir_all(&day).unwrap();
        assert_eq!(probe(&env, ID), Probe::Absent);
        fs::write(
            day.join(format!("rollout-2026-11-21T02-20-00-{ID}.jsonl")),
            "",
        )
        .unwrap();
        assert_eq!(probe(&env, ID), Probe::Present);
        assert_eq!(probe(&env, "01a1fbe8"), Probe::Absent);
        assert_eq!(probe(&Env::new(), ID), Probe::Unknown);
    }
}
