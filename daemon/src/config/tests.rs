mod notify;

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::task::{
    reason::{FailureReason, Reasons},
    retry::{BACKOFF_COEFFICIENT, INITIAL_INTERVAL, MAXIMUM_INTERVAL},
    signs::{Key, Rules, Sign},
};

fn env() -> Environment {
    Environment {
        config: None,
        xdg_config_home: None,
        home: Some("/home/ann".into()),
        path: None,
        system: PathBuf::from("/nonexistent/config.toml"),
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse_in(text, Path::new("config.toml"), &env())
}

/// Each file is wrong in its own way; the snapshots are what a person reads.
const BAD: &[(&str, &str)] = &[
    ("unknown_key", "\n[daemon]\nmax_runing = 4\n"),
    ("unknown_key_far_from_all", "[daemon]\ncolour = 'red'\n"),
    ("unknown_section", "[agent.tests]\ntype = 'command'\n"),
    (
        "syntax",
        "[daemon]\nmax_running 4\n\n[defaults]\ntimeout = \n",
    ),
    (
        "duplicate_key",
        "[daemon]\ncache = '1MiB'\ncache = '2MiB'\n",
    ),
    (
        "wrong_types",
        "daemon = 3\n[defaults]\ntimeout = 10\nmax_attempts = '3'\n\
         [agents.a]\ntype = ['command']\ncommand = 'make test'\nenv = []\n",
    ),
    (
        "impossible_counts",
        "[daemon]\nmax_running = 0\nmax_queued = -1\ncache = '4KiB'\n\
         [defaults]\nmax_attempts = 99999999999999999999\n",
    ),
    (
        "impossible_durations",
        "[defaults]\ntimeout = '-5s'\nkill_grace = '0s'\nstart_timeout = '10 minutes'\n",
    ),
    (
        "commands",
        "[agents.a]\ntype = 'command'\ncommand = []\n\
         [agents.b]\ntype = 'command'\ncommand = ['', 'x']\n\
         [agents.c]\ntype = 'command'\ncommand = ['make', 3, \"a\\u0000b\"]\n",
    ),
    (
        "agent_types",
        "[agents.a]\ntype = 'comand'\n[agents.b]\ntype = 'robot'\n[agents.c]\nmodel = 'x'\n",
    ),
    (
        "agent_names",
        "[agents.-x]\ntype = 'command'\n[agents.'a/b']\ntype = 'command'\n[agents.'']\n",
    ),
    ("default_agent", "[daemon]\ndefault_agent = 'shel'\n"),
    (
        "environment",
        "[agents.a]\ntype = 'command'\nenv_pass = ['OK', 'A=B']\n\
         env = { AGENTD_TASK = '1', 'x y' = 'z', N = 3, NUL = \"\\u0000\" }\n",
    ),
    (
        "exit_and_signal",
        "[agents.a]\ntype = 'command'\nabort_code = 0\npolite_signal = 'SIGTRM'\n\
         [agents.b]\ntype = 'command'\nabort_code = 256\npolite_signal = 'SIGKILL'\n",
    ),
    (
        "output",
        "[agents.a.output]\nsession = '(x'\nprogres = 'x'\nlimited = '\\w{1000}'\n\
         declined = '.*'\nauth_failed = 3\nadds_up = 'yes'\n\
         keys = { session = 'session_id', cost = '/cost' }\n[agents.a]\ntype = 'command'\n\
         [agents.b]\ntype = 'command'\noutput = 'jsonl'\n",
    ),
    (
        "paths",
        "[agents.a]\ntype = 'command'\npath = '/usr/bin:bin'\nenv_file = '~bob/env'\n\
         [repos.app]\npath = 'src/app'\nbase = '-x'\n[repos.none]\nbase = ''\n",
    ),
    (
        "setups",
        "[repos.app]\npath = '/a'\nsetup = 'make'\nteardown = ['']\nsetup_timeout = '0s'\n\
         fetch = 'ty'\n[repos.other]\npath = '/b'\nsetup = []\nfetch = true\nset_up = ['x']\n\
         setup_timout = '1m'\n",
    ),
    (
        "budgets",
        "[defaults]\nmax_cost_usd = 0\nmax_tokens = 1.5\nmax_wall_time = '0s'\n\
         [agents.a]\ntype = 'command'\nmax_cost_usd = '5'\nmax_lineage_attempts = 0\n\
         account = 'a b'\n",
    ),
    (
        "retries",
        "[defaults]\nbackoff_coefficient = 0.5\nmaximum_interval = '2d'\n\
         retry_on = ['time_out', 'cancelled']\nnon_retryable = 'timeout'\n\
         [agents.a]\ntype = 'command'\nretry_on = ['queue_expired']\nretry_onn = []\n",
    ),
    (
        "sessions",
        "[agents.a]\ntype = 'command'\nsession = { file = '~/x.json', dir = '' }\n\
         [agents.b]\ntype = 'command'\nsession = { file = 'x/{session}' }\n\
         [agents.c]\ntype = 'command'\nsession.file = '/x/../{session}'\n\
         [agents.d]\ntype = 'command'\nsession.file = '/{x}/{session}'\n",
    ),
    (
        "driven",
        "[agents.a]\ntype = 'claude'\nargs = 'x'\npermissions = 'al'\nallow_root = 1\n\
         result_grace = '0s'\n[agents.b]\ntype = 'command'\nargs = ['x']\n\
         [agents.shell]\npermissions = 'all'\n[agents.c]\nargs = []\n",
    ),
    (
        "columns",
        "# ä\n[daemon]\n'ä' = 1 \nmax_running = 'ü' # x\n",
    ),
];

#[test]
fn a_bad_file_is_explained() {
    for (name, text) in BAD {
        let problems = parse(text).unwrap_err().to_string();
        insta::with_settings!({ description => *text, omit_expression => true }, {
            insta::assert_snapshot!(*name, problems);
        });
    }
}

#[test]
fn agents_share_an_account_or_have_their_own() {
    let config = parse(
        "[agents.a]\ntype = 'command'\naccount = 'team'\n\
         [agents.b]\ntype = 'command'\nmax_cost_usd = 2.25\nbackoff_coefficient = 1\n\
         non_retryable = ['timeout']\n",
    )
    .unwrap();
    let of = |agent| config.account_of(agent);
    assert_eq!([of("a"), of("b"), of("gone")], ["team", "b", "gone"]);
    let b = config.agent("b").unwrap();
    assert_eq!(b.limits.max_cost, Some(2_250_000));
    assert_eq!(b.retry.backoff_coefficient, Some(1_000));
    let off = b.retry.non_retryable.unwrap();
    assert!(off.contains(FailureReason::Timeout));
    assert_eq!(b.retry.retry_on, None);
}

#[test]
fn many_problems_are_counted() {
    let keys: String = (0..80).map(|n| format!("key{n} = 1\n")).collect();
    let problems = parse(&keys).unwrap_err().to_string();
    assert_eq!(problems.lines().count(), 51);
    assert!(problems.ends_with("and 30 more problems"), "{problems}");
}

#[test]
fn nothing_is_needed() {
    let config = Config::load_in(None, &env()).unwrap();
    assert_eq!(config, Config::default());
    assert!(config.max_running >= 1);
    let shell = config.agent(SHELL).unwrap();
    assert_eq!((shell.abort_code, shell.polite_signal), (79, 15));
    assert!(shell.command.is_empty());
    assert_eq!(parse("").unwrap().agents, config.agents);
}

#[test]
fn everything_can_be_set() {
    let text = "
        [daemon]
        max_running = 0x10
        max_queued = 1_000
        default_agent = 'tests'
        cache = '128MiB'
        [defaults]
        timeout = '1h30m'
        max_attempts = 2
        [agents.tests]
        type = 'command'
        command = ['make', 'test']
        max_running = 2
        kill_grace = '1m'
        path = '~/bin:/usr/bin'
        env = { CI = '1' }
        env_pass = ['API_KEY']
        polite_signal = 'SIGINT'
        abort_code = 3
        [agents.tests.output]
        session = '^session (\\S+)'
        adds_up = true
        keys.input = '/usage/input'
        [agents.tests.session]
        file = '~/.x/{session}.json'
        [agents.reviewer]
        type = 'codex'
        args = ['-c', 'x=1']
        permissions = 'read'
        result_grace = '1m'
        [agents.shell]
        max_running = 1
        [repos.app]
        path = '~/src/app'
        base = 'main'
        max_running = 3
        setup = ['npm', 'ci']
        teardown = ['make', 'clean']
        setup_timeout = '20m'
        fetch = 'require'
        [repos.plain]
        path = '/plain'
    ";
    let config = parse(text).unwrap();
    assert_eq!(config.max_running, 16);
    assert_eq!(config.max_queued, 1000);
    assert_eq!(config.default_agent.as_deref(), Some("tests"));
    assert_eq!(config.cache_bytes, 128 << 20);
    assert_eq!(config.limits.timeout, Some(5_400_000));
    let agent = config.agent("tests").unwrap();
    assert_eq!(agent.command, ["make", "test"]);
    assert_eq!(agent.limits.kill_grace, Some(60_000));
    assert_eq!(agent.path.as_deref(), Some("/home/ann/bin:/usr/bin"));
    assert_eq!((agent.abort_code, agent.polite_signal), (3, 2));
    let rules = Rules {
        patterns: [(Sign::Session, r"^session (\S+)".to_owned())].into(),
        keys: [(Key::Input, "/usage/input".to_owned())].into(),
        adds_up: true,
    };
    assert_eq!(agent.output, rules);
    let file = agent
        .session
        .as_ref()
        .and_then(|known| known.file.as_deref());
    assert_eq!(file, Some("/home/ann/.x/{session}.json"));
    let reviewer = config.agent("reviewer").unwrap();
    assert_eq!(reviewer.agent_type, AgentType::Codex);
    assert_eq!(reviewer.args, ["-c", "x=1"]);
    assert_eq!(reviewer.permissions, Permissions::Read);
    assert_eq!((reviewer.result_grace, reviewer.polite_signal), (60_000, 2));
    assert_eq!(config.agent(SHELL).unwrap().max_running, Some(1));
    let repo = config.repo_at(Path::new("/home/ann/src/app")).unwrap();
    assert_eq!((repo.name.as_str(), repo.max_running), ("app", Some(3)));
    assert_eq!((&*repo.setup[1], &*repo.teardown[0]), ("ci", "make"));
    assert_eq!(
        (repo.setup_timeout, repo.fetch),
        (1_200_000, Fetch::Require)
    );
    let plain = &config.repos["plain"];
    assert!(plain.setup.is_empty() && plain.teardown.is_empty());
    assert_eq!((plain.setup_timeout, plain.fetch), (600_000, Fetch::Try));
    assert!(config.repo_at(Path::new("/home/ann/src")).is_none());
}

#[test]
fn values_of_variables_are_not_shown() {
    let text = "[agents.a]\ntype = 'command'\nenv = { KEY = 'secret' }\n";
    let shown = format!("{:?}", parse(text).unwrap());
    assert!(shown.contains("KEY") && !shown.contains("secret"));
}

#[test]
fn the_first_file_that_is_there_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, max_running: u32| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("[daemon]\nmax_running = {max_running}\n")).unwrap();
        path
    };
    let explicit = file("explicit.toml", 1);
    let named = file("named.toml", 2);
    let user = file("xdg/agentd/config.toml", 3);
    let home = file("home/.config/agentd/config.toml", 4);
    let system = file("etc/config.toml", 5);
    let mut env = Environment {
        config: Some(named.into()),
        xdg_config_home: Some(dir.path().join("xdg").into()),
        home: Some(dir.path().join("home").into()),
        path: None,
        system: system.clone(),
    };
    let max = |explicit, env: &Environment| {
        let config = Config::load_in(explicit, env).unwrap();
        (config.max_running, config.source)
    };
    assert_eq!(max(Some(&explicit), &env), (1, Some(explicit.clone())));
    assert_eq!(max(None, &env).0, 2);
    env.config = None;
    assert_eq!(max(None, &env), (3, Some(user.clone())));
    fs::remove_file(user).unwrap();
    assert_eq!(max(None, &env), (5, Some(system)));
    env.xdg_config_home = Some("relative".into());
    assert_eq!(max(None, &env), (4, Some(home)));
}

#[test]
fn a_named_file_must_be_there() {
    let missing = Path::new("/nonexistent/x.toml");
    let err = Config::load_in(Some(missing), &env()).unwrap_err();
    let words = "/nonexistent/x.toml: no such file, named by --config";
    assert_eq!(err.to_string(), words);
    let named = Environment {
        config: Some(missing.into()),
        ..env()
    };
    let err = Config::load_in(None, &named).unwrap_err();
    assert!(err.to_string().ends_with("named by AGENTD_CONFIG"));
    let dir = tempfile::tempdir().unwrap();
    let err = Config::load_in(Some(dir.path()), &env()).unwrap_err();
    assert!(matches!(err, ConfigError::Read { .. }), "{err:?}");
}

#[test]
fn files_that_it_names_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    // Whatever the umask lets others do.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let secrets = dir.join("secrets");
    fs::write(&secrets, "KEY=1\n").unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(dir.join("app")).unwrap();
    std::os::unix::fs::symlink(dir.join("app"), dir.join("link")).unwrap();
    let path = dir.join("config.toml");
    let shown = dir.display();
    let write = |link: &str| {
        let text = format!(
            "[agents.a]\ntype = 'command'\nenv_file = '{shown}/secrets'\n\
             [repos.app]\npath = '{shown}/link'\n[repos.zzz]\npath = '{shown}/{link}'\n"
        );
        fs::write(&path, text).unwrap();
    };
    write("app");
    let err = Config::load_in(Some(&path), &env())
        .unwrap_err()
        .to_string();
    assert_eq!(
        err,
        format!(
            "{shown}/config.toml:3:12: agents.a.env_file: {shown}/secrets: its mode is 0644, \
             so that others can use it; run chmod 600 on it\n\
             {shown}/config.toml:7:8: repos.zzz.path: same as repos.app.path"
        )
    );
    write("other");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    let config = Config::load_in(Some(&path), &env()).unwrap();
    assert_eq!(config.repo_at(&dir.join("app")).unwrap().name, "app");
}

const EXAMPLE: &str = include_str!("../../../packaging/config.example.toml");

#[test]
fn the_example_changes_nothing_as_it_is() {
    let config = Config {
        source: None,
        ..parse(EXAMPLE).unwrap()
    };
    assert_eq!(config, Config::default());
}

#[test]
fn the_example_names_every_key() {
    let setting = |line: &str| {
        let rest = line.strip_prefix('#')?;
        let begins = rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase());
        begins.then(|| rest.to_owned())
    };
    let lines = EXAMPLE.lines();
    let text: Vec<String> = lines
        .map(|line| setting(line).unwrap_or_else(|| line.to_owned()))
        .collect();
    let text = text.join("\n");
    let config = parse(&text).unwrap_or_else(|err| panic!("{err}"));
    let limits = Limits {
        start_timeout: Some(Limits::default().start_timeout()),
        timeout: config.limits.timeout,
        kill_grace: Some(Limits::default().kill_grace()),
        max_attempts: Some(Limits::default().max_attempts()),
        queue_ttl: config.limits.queue_ttl,
        idle_timeout: Limits::default().idle_timeout(),
        max_lineage_attempts: Some(Limits::default().budgets().attempts),
        ..config.limits
    };
    assert_eq!(config.limits, limits, "it shows the defaults");
    let policy = Policy {
        initial_interval: Some(INITIAL_INTERVAL),
        backoff_coefficient: Some(BACKOFF_COEFFICIENT),
        maximum_interval: Some(MAXIMUM_INTERVAL),
        retry_on: Some(Reasons::default()),
        non_retryable: Some(Reasons::default()),
    };
    assert_eq!(config.retry, policy);
    assert_eq!(config.cache_bytes, CACHE_BYTES);
    assert_eq!(config.max_queued, MAX_QUEUED);
    assert_eq!(config.retention, Retention::default());
    assert_eq!(config.heartbeat, HEARTBEAT);
    assert_eq!(config.suspect_after, SUSPECT_AFTER);

    let document = toml::de::DeTable::parse(&text).unwrap();
    let document = document.get_ref();
    let defaults = [read::LIMITS, read::RETRY].concat();
    let agent = [read::AGENT, defaults.as_slice()].concat();
    let output = &document["agents"].get_ref()["tests"].get_ref()["output"];
    let signs = Sign::ALL.iter().map(|sign| sign.as_str());
    let signs: Vec<&str> = signs.chain(read::OUTPUT.iter().copied()).collect();
    let values: Vec<&str> = Key::ALL.iter().map(|key| key.as_str()).collect();
    for (section, keys) in [
        (&document["daemon"], read::DAEMON),
        (&document["retention"], read::RETENTION),
        (&document["notify"], read::NOTIFY),
        (&document["defaults"], &defaults),
        (&document["agents"].get_ref()["tests"], &agent),
        (
            &document["agents"].get_ref()["tests"].get_ref()["session"],
            read::SESSIONS,
        ),
        (&document["agents"].get_ref()["claude"], read::DRIVEN),
        (&document["repos"].get_ref()["app"], read::REPO),
        (output, &signs),
        (&output.get_ref()["keys"], &values),
    ] {
        for key in keys {
            assert!(section.get_ref().get(key).is_some(), "{key} is missing");
        }
    }
    assert_eq!(document.len(), read::TOP.len());
}

proptest::proptest! {
    #[test]
    fn no_text_stops_the_parser(text in "(\\PC|[\\[\\]='\"\n.{}]|agents|daemon|env){0,40}") {
        // The answer does not matter, only that there is one.
        let _answer = parse(&text).map_err(|err| err.to_string());
    }
}
