//! An agent, as the operator set it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::{ABORT_CODE, Permissions, driven};
use crate::task::{
    limits::{Limits, RESULT_GRACE},
    retry::Policy,
    signs::Rules,
    spec::AgentType,
};

/// One agent. Its `Debug` hides the values of its environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Agent {
    /// A name of the operator's choice.
    pub name: String,
    /// The driver of its program.
    pub agent_type: AgentType,
    /// Program and arguments; empty: the task brings its own, or it is that of
    /// its type.
    pub command: Vec<String>,
    /// Further arguments for the program of a type with a driver.
    pub args: Vec<String>,
    /// What it may do; for types with a driver.
    pub permissions: Permissions,
    /// It may have all permissions though it is root; for Claude Code, which
    /// otherwise refuses.
    pub allow_root: bool,
    /// How long it may live on after its last word, milliseconds; for types
    /// with a driver.
    pub result_grace: u64,
    /// The model; `None` leaves it to the agent.
    pub model: Option<String>,
    /// Attempts of this agent at the same time.
    pub max_running: Option<u32>,
    /// For its tasks that set none.
    pub limits: Limits,
    /// For its tasks that set none.
    pub retry: Policy,
    /// Whose limits of use it shares; `None`: see [`Agent::account`].
    pub account: Option<String>,
    /// Variables with their values.
    pub env: BTreeMap<String, String>,
    /// Names of variables that are passed on from the daemon's environment.
    pub env_pass: Vec<String>,
    /// A private file of `NAME=value` lines, read at every start.
    pub env_file: Option<PathBuf>,
    /// Its `PATH`; `None`: the daemon's.
    pub path: Option<String>,
    /// The exit code with which it declines.
    pub abort_code: i32,
    /// The number of the signal that asks it to end.
    pub polite_signal: i32,
    /// It runs in a sandbox: it may only write where it has to.
    pub sandbox: bool,
    /// Where it may write besides that. Absolute.
    pub writable: Vec<PathBuf>,
    /// What its output is read for.
    pub output: Rules,
    /// It has conversations that can be taken up again.
    pub session: Option<Sessions>,
}

/// What is known of an agent's conversations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sessions {
    /// The path of the file or directory that is there as long as a session
    /// is, with [`SESSION`](super::SESSION) in it.
    pub file: Option<String>,
}

impl Agent {
    /// An agent of which only name and type are known.
    #[must_use]
    pub fn new(name: &str, agent_type: AgentType) -> Self {
        Self {
            name: name.to_owned(),
            agent_type,
            command: Vec::new(),
            args: Vec::new(),
            permissions: Permissions::default(),
            allow_root: false,
            result_grace: RESULT_GRACE,
            model: None,
            max_running: None,
            limits: Limits::default(),
            retry: Policy::default(),
            account: None,
            env: BTreeMap::new(),
            env_pass: Vec::new(),
            env_file: None,
            path: None,
            abort_code: ABORT_CODE,
            sandbox: false,
            writable: Vec::new(),
            output: Rules::default(),
            polite_signal: driven::polite_signal(agent_type),
            session: None,
        }
    }

    /// The account that it works on: agents of one account wait together when
    /// one of them has met its limit. By default that is the agent's type, for
    /// all of one type use the account that their program is logged in to; but
    /// commands have nothing in common and each has its own.
    #[must_use]
    pub fn account(&self) -> &str {
        match &self.account {
            Some(account) => account,
            None if self.agent_type == AgentType::Command => &self.name,
            None => self.agent_type.as_str(),
        }
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("name", &self.name)
            .field("agent_type", &self.agent_type)
            .field("command", &self.command)
            .field("args", &self.args)
            .field("permissions", &self.permissions)
            .field("allow_root", &self.allow_root)
            .field("result_grace", &self.result_grace)
            .field("model", &self.model)
            .field("max_running", &self.max_running)
            .field("limits", &self.limits)
            .field("retry", &self.retry)
            .field("account", &self.account)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("env_pass", &self.env_pass)
            .field("env_file", &self.env_file)
            .field("path", &self.path)
            .field("abort_code", &self.abort_code)
            .field("polite_signal", &self.polite_signal)
            .field("sandbox", &self.sandbox)
            .field("writable", &self.writable)
            .field("output", &self.output)
            .field("session", &self.session)
            .finish()
    }
}
