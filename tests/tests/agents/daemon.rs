//! The real agents, run by the real daemon: what comes of their tasks.

use std::path::Path;

use agentd_tests::{
    TestDaemon,
    model::{Call, ModelEndpoint, Reply, Script, claude, codex},
    wait_until,
};
use serde_json::{Value, json};

/// A daemon with an agent of each kind, and the model that they speak to.
struct Shop {
    endpoint: ModelEndpoint,
    daemon: TestDaemon,
}

impl Shop {
    fn new(script: Script) -> Self {
        let endpoint = ModelEndpoint::start(script);
        let url = endpoint.url();
        let proxy = endpoint
            .proxy()
            .map(|(name, value)| format!("{name} = '{value}'"));
        let proxy = proxy.join(", ");
        let provider = format!(
            "model_providers.p={{name=\"p\",base_url=\"{url}/v1\",wire_api=\"responses\",env_key=\"CODEX_API_KEY\"}}"
        );
        let program = |path: &Path| path.to_str().unwrap().to_owned();
        let daemon = TestDaemon::with(&format!(
            "[daemon]\nmax_running = 4\n\
             [agents.claude]\ntype = 'claude'\ncommand = ['{}']\nallow_root = true\n\
             result_grace = '1s'\n\
             env = {{ ANTHROPIC_BASE_URL = '{url}', ANTHROPIC_API_KEY = 'key', {proxy} }}\n\
             [agents.codex]\ntype = 'codex'\ncommand = ['{}']\n\
             args = ['-c', '{provider}', '-c', 'model_provider=p', \
             '-c', 'features.plugins=false', '-c', 'analytics.enabled=false']\n\
             env = {{ CODEX_API_KEY = 'key', {proxy} }}\n",
            program(&claude()),
            program(&codex()),
        ));
        Self { endpoint, daemon }
    }

    fn submit(&self, agent: &str, more: &[&str]) -> String {
        let repo = self.daemon.path("repo");
        let repo = repo.to_str().unwrap();
        let args = [&["submit", "--agent", agent, "--repo", repo][..], more].concat();
        self.daemon.agentctl().call(&args).ok().id().to_string()
    }

    /// The task once it has ended.
    fn ended(&self, id: &str) -> Value {
        let ctl = self.daemon.agentctl();
        let _code = ctl.call(&["wait", id, "--timeout", "2m"]);
        let task = ctl.call(&["show", id, "-o", "json"]).ok().json();
        self.daemon.wait_no_process();
        task
    }

    /// The task of an agent once it has ended as it should.
    #[track_caller]
    fn succeeds(&self, agent: &str, prompt: &str) -> String {
        let id = self.submit(agent, &[prompt]);
        let task = self.ended(&id);
        let log = || self.daemon.agentctl().call(&["logs", &id]).ok();
        assert_eq!(task["state"], "succeeded", "{task:#}\n{}", log().text());
        id
    }
}

#[test]
fn they_commit_their_work_and_name_their_sessions() {
    for agent in ["claude", "codex"] {
        let commit = "git add . && git commit -qm mended && echo committed";
        let shop = Shop::new(Script::new([
            Reply::write("new.txt", "new\n"),
            Reply::shell(format!("echo more >>README && {commit}")),
            Reply::text("mended"),
        ]));
        let repo = shop.daemon.repo("repo");
        let id = shop.succeeds(agent, "mend it");
        let branches = repo.git(&["branch", "--list", "agent/*", "--format=%(refname)"]);
        let branch = branches.trim();
        assert_eq!(repo.git(&["show", &format!("{branch}:new.txt")]), "new\n");
        let turns = shop.endpoint.turns();
        assert_eq!((agent, turns.len()), (agent, 3));
        assert_eq!(turns[0].prompts(), ["mend it"]);
        let story = shop.daemon.agentctl().call(&["explain", &id]).ok();
        assert!(story.text().contains("session"), "{}", story.text());
    }
}

#[test]
fn a_cancelled_agent_leaves_nothing_behind() {
    for agent in ["claude", "codex"] {
        let shop = Shop::new(Script::new([Reply::shell(
            "touch started; tail -f /dev/null",
        )]));
        let _repo = shop.daemon.repo("repo");
        let id = shop.submit(agent, &["wait"]);
        wait_until("the tool runs", || {
            let shown = shop
                .daemon
                .agentctl()
                .call(&["show", &id, "-o", "json"])
                .ok()
                .json();
            let dir = shown["attempts"][0]["workspace"]
                .as_str()
                .map(str::to_owned);
            dir.is_some_and(|dir| Path::new(&dir).join("started").exists())
        });
        let _cancelled = shop.daemon.agentctl().call(&["cancel", &id]).ok();
        assert_eq!(shop.ended(&id)["state"], "cancelled", "{agent}");
    }
}

#[test]
fn a_refused_key_is_their_own_failure() {
    for agent in ["claude", "codex"] {
        let shop = Shop::new(Script::always(Reply::error(401)));
        let _repo = shop.daemon.repo("repo");
        let id = shop.submit(agent, &["work"]);
        let task = shop.ended(&id);
        assert_eq!(task["state"], "failed", "{task:#}");
        assert_eq!(task["failure_reason"], "auth_failed", "{task:#}");
        assert_eq!(task["attempts"].as_array().unwrap().len(), 1);
    }
}

/// Claude Code waits for what it runs in the background; its result counts
/// nevertheless.
#[test]
fn a_background_shell_does_not_hold_a_result_back() {
    let shell = Call::Tool {
        name: "Bash".to_owned(),
        arguments: json!({
            "command": "tail -f /dev/null",
            "description": "wait",
            "run_in_background": true,
        }),
    };
    let shop = Shop::new(Script::new([Reply::calls([shell]), Reply::text("done")]));
    let _repo = shop.daemon.repo("repo");
    let id = shop.succeeds("claude", "wait in the background");
    let show = shop.daemon.agentctl().call(&["show", &id]).ok();
    assert!(
        show.text().contains("after its last word"),
        "{}",
        show.text()
    );
}

#[test]
fn what_is_there_is_listed() {
    let shop = Shop::new(Script::default());
    let agents = shop
        .daemon
        .agentctl()
        .call(&["agents", "-o", "json"])
        .ok()
        .json();
    for name in ["claude", "codex"] {
        let mut all = agents["agents"].as_array().unwrap().iter();
        let agent = all.find(|agent| agent["name"] == name).unwrap();
        let version = agent["version"].as_str().unwrap();
        assert!(version.contains(|c: char| c.is_ascii_digit()), "{version}");
        assert_eq!(agent["logged_in"], true);
        assert_eq!(agent["troubles"], json!([]));
    }
}
