//! What was seen of agents when they were last looked at, for whoever cannot wait
//! for their programs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Login, Survey, Trouble, Versions, survey};
use crate::{
    clock,
    config::{Agent, Config},
    task::id::Timestamp,
};

/// The last look at each agent of the configuration; nothing is kept of others.
#[derive(Debug)]
pub struct Surveys {
    versions: Arc<Versions>,
    last: Mutex<BTreeMap<String, Seen>>,
}

/// A look at an agent as it was configured then.
#[derive(Debug)]
struct Seen {
    agent: Agent,
    at: Timestamp,
    troubles: Vec<Trouble>,
}

impl Surveys {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(versions: Arc<Versions>) -> Self {
        Self {
            versions,
            last: Mutex::default(),
        }
    }

    /// Looks at every agent, all at once: each may wait for its program. In the
    /// order of the configuration.
    pub async fn look(&self, config: &Config) -> Vec<Survey> {
        let looks = config.agents.values().map(|agent| {
            let agent = agent.clone();
            let versions = Arc::clone(&self.versions);
            tokio::task::spawn_blocking(move || survey(&agent, &versions))
        });
        // They are all under way before the first is waited for.
        let looks: Vec<_> = looks.collect();
        let mut found = Vec::new();
        let mut seen = BTreeMap::new();
        for (agent, look) in config.agents.values().zip(looks) {
            let survey = look.await.unwrap_or_else(|error| Survey {
                program: None,
                version: None,
                login: Login::Unknown,
                troubles: vec![Trouble {
                    what: format!("it cannot be looked at: {error}"),
                    hint: "see the log of the daemon".to_owned(),
                }],
            });
            let last = Seen {
                agent: agent.clone(),
                at: clock::now(),
                troubles: survey.troubles.clone(),
            };
            seen.insert(agent.name.clone(), last);
            found.push(survey);
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        found
    }

    /// What kept an agent from working when it was last looked at, and when that
    /// was; `None`: never, or it is configured otherwise since.
    #[must_use]
    pub fn last(&self, agent: &Agent) -> Option<(Timestamp, Vec<Trouble>)> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = last.get(&agent.name).filter(|seen| seen.agent == *agent)?;
        Some((seen.at, seen.troubles.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("config.toml")).unwrap()
    }

    #[tokio::test]
    async fn the_last_look_counts_for_what_was_looked_at() {
        let lost = "[agents.lost]\ntype = \"claude\"\ncommand = [\"no-such-program-here\"]\n";
        let before = config(lost);
        let surveys = Surveys::new(Arc::default());
        let agent = &before.agents["lost"];
        assert_eq!(surveys.last(agent), None);

        let found = surveys.look(&before).await;
        assert_eq!(found.len(), before.agents.len());
        let (at, troubles) = surveys.last(agent).unwrap();
        assert!(at.0 > 0);
        assert_eq!(troubles[0].what, "no-such-program-here is not on its PATH");
        let (_, troubles) = surveys.last(&before.agents["shell"]).unwrap();
        assert_eq!(troubles, []);

        // Another configuration of it was not looked at yet.
        let after = config(&format!("{lost}model = \"large\"\n"));
        assert_eq!(surveys.last(&after.agents["lost"]), None);
        surveys.look(&after).await;
        assert!(surveys.last(&after.agents["lost"]).is_some());
        // One that is gone is forgotten.
        surveys.look(&Config::default()).await;
        assert_eq!(surveys.last(&after.agents["lost"]), None);
    }
}
