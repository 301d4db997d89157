//! What is checked: how many tasks, what they are like, what may go wrong.

use agentd::task::{
    budget::Spend,
    id::Timestamp,
    limits::Limits,
    retry::Policy,
    spec::{AgentType, TaskSpec, Trigger, WorkspaceMode, WorkspaceReuse},
};

use crate::{fault::Fault, rules::Reached, world::Budget};

/// A model to be checked.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) tasks: usize,
    /// All tasks have one key.
    pub(crate) one_key: bool,
    /// A task of a busy key cancels those before it instead of waiting.
    pub(crate) replace: bool,
    /// How many may run at once.
    pub(crate) slots: u32,
    /// Attempts of one task.
    pub(crate) attempts: u32,
    /// Agents end only when they are asked to.
    pub(crate) endless: bool,
    /// Agents say their last word before they end.
    pub(crate) last_word: bool,
    /// Agents leave children behind.
    pub(crate) children: bool,
    /// Agents are to resume sessions that they do not know.
    pub(crate) stale: bool,
    /// Repositories are set up before the agents of attempts.
    pub(crate) sets_up: bool,
    /// How agents end by themselves.
    pub(crate) codes: &'static [i32],
    pub(crate) budget: Budget,
    pub(crate) fault: Option<Fault>,
    /// What must be seen at least once.
    pub(crate) reaches: &'static [Reached],
}

impl Setup {
    /// Nothing goes wrong.
    pub(crate) fn new(tasks: usize) -> Self {
        Self {
            tasks,
            one_key: false,
            replace: false,
            slots: 2,
            attempts: 2,
            endless: false,
            last_word: false,
            children: false,
            stale: false,
            sets_up: false,
            codes: &[0],
            budget: Budget {
                crashes: 0,
                cuts: 0,
                cancels: 0,
                evictions: 0,
                failures: 0,
            },
            fault: None,
            reaches: &[],
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Of one whose agents say a last word, nothing but that is a success.
    pub(crate) fn agent_type(&self) -> AgentType {
        match self.last_word {
            true => AgentType::Claude,
            false => AgentType::Command,
        }
    }

    /// What the next task asks for.
    pub(crate) fn spec(&self) -> TaskSpec {
        TaskSpec {
            trigger: Trigger::Manual,
            rerun_of: None,
            lineage: None,
            request_id: None,
            agent: "a".to_owned(),
            agent_type: self.agent_type(),
            model: None,
            title: String::new(),
            repo: None,
            issue: self.one_key.then(|| "7".to_owned()),
            user: String::new(),
            labels: [].into(),
            priority: 0,
            retry: Policy::default(),
            forgiven: Spend::default(),
            limits: Limits {
                max_attempts: Some(self.attempts),
                timeout: Some(1),
                ..Limits::default()
            },
            workspace_mode: WorkspaceMode::None,
            fresh: false,
            workspace_reuse: WorkspaceReuse::Keep,
            not_before: None,
            after: Vec::new(),
            created_at: Timestamp(1),
            created_steady: None,
        }
    }
}
