//! A daemon with the agents, and the model that they speak to.

use std::{fs, path::Path, thread};

use agentd_tests::{
    Gate, Repo, TestDaemon, kill_pid,
    model::{ModelEndpoint, Purpose, Reply, Script},
    wait_for, wait_until,
};
use serde_json::Value;

use crate::kind::{AGENTS, Kind};

/// A running daemon with an agent of each kind, which asks the model's endpoint
/// for whatever it wants from anybody.
pub(crate) struct Shop {
    pub(crate) endpoint: ModelEndpoint,
    pub(crate) daemon: TestDaemon,
    pub(crate) repo: Repo,
    config: String,
}

impl Shop {
    pub(crate) fn new(script: Script) -> Self {
        let daemon = TestDaemon::prepared("");
        Self::of(script, daemon, "", "")
    }

    /// One whose agents are in sandboxes, with their home and the daemon's state in
    /// `dir`, which is to be where they may not write.
    pub(crate) fn sandboxed(script: Script, dir: &Path) -> Self {
        let mut daemon = TestDaemon::prepared("");
        let state = dir.join("home/.local/state/agentd");
        fs::create_dir_all(&state).unwrap();
        daemon.use_state(String::leak(state.to_str().unwrap().to_owned()));
        let home = dir.join("home");
        AGENTS.iter().for_each(|kind| kind.furnish(&home));
        let git = daemon.home().join(".gitconfig");
        let env = format!(
            ", HOME = '{}', GIT_CONFIG_GLOBAL = '{}'",
            home.display(),
            git.display()
        );
        Self::of(script, daemon, "sandbox = true\n", &env)
    }

    fn of(script: Script, mut daemon: TestDaemon, each: &str, env: &str) -> Self {
        let endpoint = ModelEndpoint::start(script);
        fs::create_dir(daemon.path("tmp")).unwrap();
        let proxy = endpoint.proxy();
        let proxy = proxy.map(|(name, value)| format!("{name} = '{value}'"));
        let tmp = daemon.arg("tmp");
        let shared = format!("{}, TMPDIR = '{tmp}'{env}", proxy.join(", "));
        let mut config = "[daemon]\nmax_running = 4\nheartbeat = '500ms'\n\
             [defaults]\ninitial_interval = '100ms'\nmax_attempts = 9\n"
            .to_owned();
        for kind in AGENTS {
            kind.furnish(&daemon.home());
            config += &kind.config(endpoint.url(), &shared);
            config += each;
        }
        daemon.configure(&config);
        daemon.launch();
        Self {
            repo: daemon.repo("repo"),
            endpoint,
            daemon,
            config,
        }
    }

    /// Has the daemon go on with another configuration, in which `new` stands
    /// instead of `old`.
    #[track_caller]
    pub(crate) fn change(&mut self, old: &str, new: &str) {
        assert!(self.config.contains(old), "{}", self.config);
        self.config = self.config.replace(old, new);
        let status = self.daemon.terminate();
        assert!(status.success(), "{status}");
        self.daemon.configure(&self.config);
        self.daemon.launch();
    }

    /// A tool that waits at a gate, and writes down which process it is.
    pub(crate) fn tool_at_gate(&self, name: &str) -> (Reply, Gate) {
        let gate = self.daemon.gate(name);
        let pids = self.daemon.arg("tools");
        let script = format!("echo $$ >>{pids}; read _ <{}", gate.path());
        (Reply::shell(script), gate)
    }

    /// The processes of the tools that have waited at gates.
    pub(crate) fn tools(&self) -> Vec<u32> {
        let pids = fs::read_to_string(self.daemon.path("tools")).unwrap();
        pids.lines().map(|pid| pid.parse().unwrap()).collect()
    }

    pub(crate) fn submit(&self, agent: Kind, more: &[&str]) -> u64 {
        let args = ["--agent", agent.name(), "--repo", self.repo.arg()];
        self.daemon.submit(&[&args, more].concat())
    }

    /// The task once it has ended, and all of it.
    #[track_caller]
    pub(crate) fn ended(&self, task: u64) -> Value {
        let shown = self.daemon.wait(task);
        self.daemon.wait_no_process();
        shown
    }

    /// The task once it has ended as it should.
    #[track_caller]
    pub(crate) fn well(&self, task: u64) -> Value {
        let shown = self.ended(task);
        let logs = || self.daemon.ctl(&["logs", &task.to_string()]);
        assert_eq!(shown["state"], "succeeded", "{shown:#}\n{:?}", logs());
        shown
    }

    /// The task of an agent that ends as it should.
    #[track_caller]
    pub(crate) fn succeeds(&self, agent: Kind, prompt: &str) -> u64 {
        let task = self.submit(agent, &[prompt]);
        self.well(task);
        task
    }

    /// A task that has used a tool and then was refused: it has failed, and has
    /// a session.
    #[track_caller]
    pub(crate) fn fails(&self, agent: Kind, prompt: &str) -> (u64, String) {
        let script = Script::new([Reply::shell("true"), Reply::error(401)]);
        self.endpoint.set_script(script);
        let task = self.submit(agent, &[prompt]);
        let shown = self.ended(task);
        assert_eq!(shown["failure_reason"], "auth_failed", "{shown:#}");
        (task, self.session(task))
    }

    #[track_caller]
    pub(crate) fn rerun(&self, task: u64, more: &[&str]) -> u64 {
        let task = task.to_string();
        self.daemon.ctl(&[&["rerun", &task], more].concat()).id()
    }

    /// The session of a task's newest attempt.
    #[track_caller]
    pub(crate) fn session(&self, task: u64) -> String {
        wait_for("the session is known", || {
            let shown = self.daemon.show(task);
            shown["attempt"]["session"].as_str().map(str::to_owned)
        })
    }

    /// How the registry holds a session.
    #[track_caller]
    pub(crate) fn standing(&self, session: &str) -> Value {
        let args = ["sessions", "show", session, "-o", "json"];
        self.daemon.ctl(&args).json()["state"].clone()
    }

    pub(crate) fn explain(&self, task: u64) -> String {
        let told = self.daemon.ctl(&["explain", &task.to_string()]).ok();
        told.text().to_owned()
    }

    /// What `show` says that the attempt of a task has used.
    #[track_caller]
    pub(crate) fn used(&self, task: u64) -> String {
        let page = self.daemon.ctl(&["show", &task.to_string()]).ok();
        let mut lines = page.text().lines();
        let usage = lines.find_map(|line| line.strip_prefix("usage:"));
        usage.unwrap().trim().to_owned()
    }

    /// Waits until the attempt of a task has ended of this.
    #[track_caller]
    pub(crate) fn wait_reason(&self, task: u64, attempt: usize, reason: &str) {
        wait_until(&format!("attempt {attempt} ends: {reason}"), || {
            let shown = self.daemon.show(task);
            let found = &shown["attempts"][attempt - 1]["failure_reason"];
            assert!(found.is_null() || found == reason, "{shown:#}");
            found == reason
        });
    }

    /// An account as `quota` shows it.
    #[track_caller]
    pub(crate) fn account(&self, name: &str) -> Value {
        let shown = self.daemon.ctl(&["quota", "-o", "json"]).json();
        let accounts = shown["accounts"].as_array().unwrap();
        let found = accounts.iter().find(|account| account["name"] == name);
        found.unwrap_or(&Value::Null).clone()
    }

    /// Daemon and runner of the one attempt are killed.
    pub(crate) fn crash(&mut self) {
        let runners = self.daemon.runners();
        assert_eq!(runners.len(), 1, "{runners:?}");
        self.daemon.kill();
        kill_pid(runners[0].pid);
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let requests = self.endpoint.requests();
        let mut elsewhere = requests.iter();
        let elsewhere = elsewhere.find(|request| request.purpose == Purpose::Elsewhere);
        assert!(elsewhere.is_none(), "{elsewhere:?}");
    }
}
