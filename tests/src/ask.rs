//! Asking a daemon: by the command line, and by the interface itself.

use agentd_proto::v1::control_client::ControlClient;
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

use crate::{
    cli::Output,
    daemon::TestDaemon,
    wait::{DEADLINE, wait_for, wait_until},
};

impl TestDaemon {
    /// Makes one call.
    #[must_use]
    pub fn ctl<S: AsRef<str>>(&self, args: &[S]) -> Output {
        self.agentctl().call(args)
    }

    /// Submits with these arguments; the task.
    #[track_caller]
    pub fn submit<S: AsRef<str>>(&self, args: &[S]) -> u64 {
        let mut line = vec!["submit", "-q"];
        line.extend(args.iter().map(AsRef::as_ref));
        self.ctl(&line).id()
    }

    /// Submits a script for the shell.
    #[track_caller]
    pub fn sh(&self, script: &str) -> u64 {
        self.submit(&["--", "sh", "-c", script])
    }

    /// The task as `show -o json` prints it.
    #[track_caller]
    #[must_use]
    pub fn show(&self, task: u64) -> Value {
        self.ctl(&["show", &task.to_string(), "-o", "json"]).json()
    }

    /// The task as it is in the store, without what its lineage has spent by
    /// now: that grows while an agent runs, and with each rerun. And without its
    /// reruns and signs of life, which are not stored with it.
    ///
    /// # Panics
    /// If there is no such task.
    #[track_caller]
    #[must_use]
    pub fn kept(&self, task: u64) -> Value {
        let mut shown = self.show(task);
        let fields = shown.as_object_mut().expect("a task is an object");
        fields.remove("lineage_spent");
        fields.remove("reruns");
        let quiet = |attempt: &mut Value| {
            if let Some(attempt) = attempt.as_object_mut() {
                attempt.remove("last_heartbeat_at");
                attempt.remove("figures");
            }
        };
        fields.get_mut("attempt").map(quiet);
        let attempts = fields.get_mut("attempts").and_then(Value::as_array_mut);
        attempts.into_iter().flatten().for_each(quiet);
        shown
    }

    /// The task's state.
    #[track_caller]
    #[must_use]
    pub fn state_of(&self, task: u64) -> String {
        self.show(task)["state"].as_str().unwrap_or("").to_owned()
    }

    /// Waits until the task has ended; how it is then.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn wait(&self, task: u64) -> Value {
        let limit = format!("{}s", DEADLINE.as_secs());
        let waited = self.ctl(&["wait", &task.to_string(), "--timeout", &limit]);
        assert!(waited.code == 0 || waited.code == 1, "{waited:?}");
        self.show(task)
    }

    /// Waits until it is known what the newest attempt of an ended task has left
    /// in its workspace; the task.
    ///
    /// # Panics
    /// If it does not come to be.
    #[track_caller]
    pub fn settled(&self, task: u64) -> Value {
        self.wait(task);
        wait_for(&format!("what task {task} left is known"), || {
            Some(self.show(task)).filter(|shown| !shown["attempt"]["changes"].is_null())
        })
    }

    /// Waits until the task is in a state.
    ///
    /// # Panics
    /// If it does not come to be.
    #[track_caller]
    pub fn wait_state(&self, task: u64, state: &str) {
        wait_until(&format!("task {task} is {state}"), || {
            self.state_of(task) == state
        });
    }

    /// The journal of a task that has ended, oldest entry first.
    ///
    /// # Panics
    /// If a line is no document.
    #[track_caller]
    #[must_use]
    pub fn events(&self, task: u64) -> Vec<Value> {
        let id = task.to_string();
        let watched = self
            .ctl(&["watch", &id, "--since-start", "-o", "jsonl"])
            .ok();
        let lines = watched.text().lines();
        lines
            .map(|line| serde_json::from_str(line).expect("a line is a document"))
            .collect()
    }

    /// A client of the interface itself.
    ///
    /// # Panics
    /// If nobody answers.
    pub async fn client(&self) -> ControlClient<Channel> {
        ControlClient::new(self.channel().await)
    }

    /// A connection.
    ///
    /// # Panics
    /// If nobody answers.
    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("unix://{}", self.socket().display()))
            .expect("a socket's path is an address")
            .connect()
            .await
            .expect("the daemon answers")
    }
}
