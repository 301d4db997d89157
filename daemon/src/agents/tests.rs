use std::{
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt as _, fs::PermissionsExt as _},
    path::PathBuf,
};

use super::{environment::*, *};
use crate::{
    config::{Config, SHELL},
    task::{
        attempt::Phase,
        budget::Spend,
        id::{AttemptId, Incarnation, Nonce, TaskId, Timestamp},
        limits::Limits,
        moment::Moment,
        observed::Observed,
        retry::Policy,
        session::Given,
        spec::{TaskSpec, Trigger, WorkspaceMode, WorkspaceReuse},
        token::Token,
    },
};

fn task() -> Task {
    let spec = TaskSpec {
        trigger: Trigger::Manual,
        rerun_of: None,
        lineage: None,
        request_id: None,
        agent: SHELL.to_owned(),
        agent_type: AgentType::Command,
        model: None,
        title: String::new(),
        repo: Some("/home/ann/app".into()),
        issue: Some("42".to_owned()),
        user: "ann".to_owned(),
        labels: BTreeMap::new(),
        priority: 0,
        limits: Limits::default(),
        retry: Policy::default(),
        forgiven: Spend::default(),
        workspace_mode: WorkspaceMode::Worktree,
        fresh: false,
        workspace_reuse: WorkspaceReuse::Keep,
        not_before: None,
        after: Vec::new(),
        created_at: Timestamp(0),
        created_steady: None,
    };
    Task::submitted(TaskId::FIRST, spec)
}

fn attempt() -> Attempt {
    Attempt {
        id: AttemptId {
            task: TaskId::FIRST,
            number: 1,
        },
        epoch: Incarnation(1),
        nonce: Nonce([0; 16]),
        boot_id: String::new(),
        phase: Phase::Claimed,
        workspace: None,
        given: Given::default(),
        runner: None,
        agent: None,
        claimed_at: Moment::of_wall(Timestamp(0)),
        prepared_at: None,
        started_at: None,
        observed: Observed::default(),
        reported: Observed::default(),
        news: 0,
        exit: None,
        ending: None,
        account: SHELL.to_owned(),
        before: Spend::default(),
        ran: 0,
        changes: None,
        pruned_at: None,
    }
}

fn workspace() -> Workspace {
    Workspace::at(
        "/state/worktrees/app-1/shell-42".into(),
        Some("agent/shell-42".to_owned()),
    )
}

fn shell() -> Agent {
    Config::default().agent(SHELL).unwrap().clone()
}

fn invoke(agent: &Agent, payload: &Payload) -> Result<Invocation, InvocationError> {
    let socket = Path::new("/run/agentd.sock");
    let told = Told::default();
    invocation(
        agent,
        &task(),
        &attempt(),
        payload,
        &workspace(),
        socket,
        &told,
    )
}

/// What a driver makes of a task with a prompt and the model `m`, of an agent
/// with a further argument.
pub(super) fn driven<T>(
    agent_type: AgentType,
    start: Start<'_>,
    make: impl FnOnce(Job<'_>) -> T,
) -> T {
    let mut agent = Agent::new("any", agent_type);
    agent.args = vec!["--extra".to_owned()];
    make(Job {
        agent: &agent,
        payload: &payload("words", &[]),
        model: Some("m"),
        workspace: &Workspace {
            found: None,
            head: None,
            path: "/w".into(),
            branch: None,
        },
        start,
        note: None,
        env: &BTreeMap::new(),
    })
}

#[test]
fn a_driven_agent_has_a_prompt_and_no_command() {
    let mut agent = Agent::new("any", AgentType::Codex);
    agent.command = vec!["/opt/codex".to_owned(), "--first".to_owned()];
    agent.env = BTreeMap::from([("PATH".to_owned(), "/nonexistent".to_owned())]);
    let invocation = invoke(&agent, &payload("-words", &[])).unwrap();
    assert_eq!(invocation.argv[..3], ["/opt/codex", "--first", "exec"]);
    assert_eq!(invocation.stdin, Stdin::Prompt);
    assert_eq!(invocation.polite_signal, 2);
    assert!(invocation.argv.iter().all(|word| !word.contains("words")));
    let message = |payload| invoke(&agent, &payload).unwrap_err().to_string();
    assert!(message(payload(" ", &[])).contains("needs a prompt"));
    assert!(message(payload("x", &["ls"])).contains("takes none from a task"));
}

#[test]
fn the_operators_variables_win() {
    let mut agent = Agent::new("any", AgentType::Gemini);
    let variable = |value: &str| ("GEMINI_CLI_NO_RELAUNCH".to_owned(), value.to_owned());
    let set = |agent: &Agent| {
        let env = invoke(agent, &payload("x", &[])).unwrap().env;
        env["GEMINI_CLI_NO_RELAUNCH"].clone()
    };
    assert_eq!(set(&agent), "true");
    agent.env = BTreeMap::from([variable("false")]);
    assert_eq!(set(&agent), "false");
}

#[test]
fn a_session_that_nobody_can_look_for_is_unknown() {
    assert_eq!(probe(&shell(), "x"), Probe::Unknown);
    let mut agent = Agent::new("any", AgentType::Claude);
    agent.env_file = Some("/nonexistent".into());
    assert_eq!(probe(&agent, "x"), Probe::Unknown);
}

fn payload(prompt: &str, command: &[&str]) -> Payload {
    Payload {
        prompt: prompt.to_owned(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
    }
}

#[test]
fn the_command_is_the_agents_or_the_tasks() {
    let own = Agent {
        name: "tests".to_owned(),
        command: vec!["make".to_owned(), "test".to_owned()],
        ..shell()
    };
    let bare = Agent {
        name: "any".to_owned(),
        ..shell()
    };
    let run = |agent: &Agent, prompt, command: &[&str]| {
        let invocation = invoke(agent, &payload(prompt, command));
        invocation.map(|invocation| (invocation.argv.join(" "), invocation.stdin))
    };
    let make = "make test".to_owned();
    assert_eq!(run(&own, "", &[]).unwrap(), (make.clone(), Stdin::Empty));
    assert_eq!(run(&own, "words", &[]).unwrap(), (make, Stdin::Prompt));
    assert_eq!(
        run(&bare, "words", &["cat", "-"]).unwrap(),
        ("cat -".to_owned(), Stdin::Prompt)
    );
    assert_eq!(
        run(&shell(), "", &["true"]).unwrap(),
        ("true".to_owned(), Stdin::Empty)
    );
    let message = |result: Result<_, InvocationError>| result.unwrap_err().to_string();
    assert!(message(run(&bare, "words", &[])).contains("any has no command"));
    assert!(message(run(&shell(), "", &[])).contains("shell has no command"));
    assert!(message(run(&own, "", &["true"])).contains("takes none from a task"));
    assert!(message(run(&bare, "", &["a\0b"])).contains("NUL"));
}

#[test]
fn a_script_for_the_shell_is_not_an_argument() {
    let script = "echo \"$1\"; rm -rf '$HOME'";
    let invocation = invoke(&shell(), &payload(script, &[])).unwrap();
    assert_eq!(invocation.argv, ["sh", "-s"]);
    assert_eq!(invocation.stdin, Stdin::Prompt);
    assert_eq!(invocation.polite_signal, 15);
}

#[test]
fn an_agent_is_told_about_its_task() {
    let told = |invocation: Invocation| {
        let env = invocation.env.into_iter();
        env.filter(|(name, _)| name.starts_with("AGENTD_"))
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
    };
    let all = told(invoke(&shell(), &payload("x", &[])).unwrap());
    assert_eq!(
        all,
        [
            "AGENTD_BRANCH=agent/shell-42",
            "AGENTD_ISSUE=42",
            "AGENTD_REPO=/home/ann/app",
            "AGENTD_SOCKET=/run/agentd.sock",
            "AGENTD_TASK=1",
            &format!("AGENTD_TOKEN={}", Token::of(attempt().nonce).to_hex()),
            "AGENTD_WORKSPACE=/state/worktrees/app-1/shell-42",
        ]
    );
    let mut task = task();
    task.spec.repo = None;
    task.spec.issue = None;
    let workspace = Workspace {
        branch: None,
        ..workspace()
    };
    let facts = facts(&task, &attempt(), &workspace, Path::new("/s")).unwrap();
    let names: Vec<_> = facts.keys().collect();
    assert_eq!(
        names,
        [
            "AGENTD_SOCKET",
            "AGENTD_TASK",
            "AGENTD_TOKEN",
            "AGENTD_WORKSPACE"
        ]
    );
}

/// A daemon's environment.
fn daemon(name: &str) -> Option<OsString> {
    let value = match name {
        "HOME" => "/home/ann",
        "USER" | "LOGNAME" => "ann",
        "LANG" => "de_DE.UTF-8",
        "SHELL" => "/bin/bash",
        "PATH" => "/opt/bin",
        "API_KEY" => "from the daemon",
        "SECRET" => "not for agents",
        "ODD" => return Some(OsString::from_vec(vec![0xff])),
        _ => return None,
    };
    Some(value.into())
}

fn made(agent: &Agent) -> Result<BTreeMap<String, String>, EnvironmentError> {
    environment(agent, &daemon, BTreeMap::new())
}

#[test]
fn the_base_is_clean() {
    let env = made(&shell()).unwrap();
    let env: Vec<_> = env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        env,
        [
            "HOME=/home/ann",
            "LANG=de_DE.UTF-8",
            "LOGNAME=ann",
            "PATH=/opt/bin",
            "SHELL=/bin/bash",
            "TERM=dumb",
            "USER=ann",
        ]
    );
}

#[test]
fn a_daemon_without_an_environment_asks_the_account() {
    let env = environment(&shell(), &|_| None, BTreeMap::new()).unwrap();
    for name in ["HOME", "LANG", "PATH", "TERM", "USER", "LOGNAME"] {
        assert!(env.contains_key(name), "{name}");
    }
    assert_eq!(env["PATH"], "/usr/local/bin:/usr/bin:/bin");
}

#[test]
fn later_layers_win() {
    let dir = tempfile::tempdir().unwrap();
    // Whatever the umask lets others do.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let file = dir.path().join("env");
    fs::write(
        &file,
        "A=file\nB=file\nAPI_KEY=file\nAGENTD_ATTEMPT=9.9:0\n",
    )
    .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let pairs = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    };
    let mut agent = Agent {
        env: pairs(&[("B", "config"), ("TERM", "xterm"), ("C", "config")]),
        env_pass: vec!["API_KEY".to_owned(), "UNSET".to_owned()],
        env_file: Some(file.clone()),
        path: Some("/agent/bin".to_owned()),
        ..shell()
    };
    let env = environment(&agent, &daemon, pairs(&[("C", "fact")])).unwrap();
    let get = |name: &str| env.get(name).map(String::as_str);
    assert_eq!(get("A"), Some("file"));
    assert_eq!(get("B"), Some("config"));
    assert_eq!(get("C"), Some("fact"));
    assert_eq!(get("TERM"), Some("xterm"));
    assert_eq!(get("API_KEY"), Some("from the daemon"));
    assert_eq!(get("PATH"), Some("/agent/bin"));
    for absent in ["UNSET", "SECRET", "AGENTD_ATTEMPT"] {
        assert_eq!(get(absent), None);
    }

    // It is looked at again at every start.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(made(&agent).unwrap_err().to_string().contains("chmod 600"));
    agent.env_file = Some(PathBuf::from("/nonexistent"));
    assert!(
        made(&agent)
            .unwrap_err()
            .to_string()
            .contains("/nonexistent")
    );
}

#[test]
fn a_value_that_is_not_text_is_named() {
    let agent = Agent {
        env_pass: vec!["ODD".to_owned()],
        ..shell()
    };
    let err = made(&agent).unwrap_err();
    assert_eq!(err.to_string(), "the value of ODD is not UTF-8");
    let mut task = task();
    task.spec.issue = Some("a\0b".to_owned());
    let err = facts(&task, &attempt(), &workspace(), Path::new("/s")).unwrap_err();
    assert_eq!(
        err.to_string(),
        "the value of AGENTD_ISSUE holds a NUL character"
    );
}

#[test]
fn values_and_arguments_are_not_shown() {
    let agent = Agent {
        env: BTreeMap::from([("KEY".to_owned(), "hush".to_owned())]),
        ..shell()
    };
    let invocation = invoke(&agent, &payload("hush", &["cat", "hush"])).unwrap();
    let shown = format!("{invocation:?}");
    assert!(shown.contains("KEY") && !shown.contains("hush"), "{shown}");
}
