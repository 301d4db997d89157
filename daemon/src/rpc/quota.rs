//! Accounts, and which of them wait for their provider.

use std::collections::BTreeMap;

use agentd_proto::{reason, v1};
use tonic::Code;

use super::{Shared, error::Failure};
use crate::{
    config::{self, Config},
    dispatcher::Overview,
    task::{
        limits::{MAX_LABEL, clip},
        moment::Moment,
        quota::Account,
    },
};

/// Every account of the configuration, and those of before that still wait.
pub(super) async fn accounts(
    shared: &Shared,
    overview: &Overview,
) -> Result<Vec<v1::Account>, Failure> {
    let known = shared.read(super::Reader::accounts).await?;
    let config = shared.dispatcher.config();
    Ok(rows(&config, overview, known, shared.dispatcher.moment()))
}

fn rows(
    config: &Config,
    overview: &Overview,
    known: BTreeMap<String, Account>,
    now: Moment,
) -> Vec<v1::Account> {
    let mut rows: BTreeMap<&str, v1::Account> = BTreeMap::new();
    for agent in config.agents.values() {
        let row = rows.entry(agent.account()).or_default();
        row.agents.push(agent.name.clone());
    }
    for (agent, counts) in &overview.agents {
        let row = rows.entry(config.account_of(agent)).or_default();
        row.queued += counts.queued;
        row.running += u64::from(counts.occupied);
    }
    for (name, account) in &known {
        let left = account.left(now);
        let row = rows.entry(name).or_default();
        if left > 0 {
            row.until = now.wall.plus_millis(left).0;
        }
        row.reason = account.reason.as_str().to_owned();
        row.message.clone_from(&account.message);
        row.task = account.attempt.task.get();
        row.attempt = account.attempt.number;
        row.strikes = account.strikes;
    }
    let named = rows.into_iter().map(|(name, row)| v1::Account {
        name: name.to_owned(),
        ..row
    });
    // Of an agent that is gone: nothing waits there any more.
    let shown = named.filter(|row| !row.agents.is_empty() || row.until != 0 || row.queued > 0);
    shown.collect()
}

/// Has the tasks of an account run again.
pub(super) async fn clear(shared: &Shared, name: String) -> Result<bool, Failure> {
    let known = shared.read(super::Reader::accounts).await?;
    let config = shared.dispatcher.config();
    let configured = config.agents.values().map(config::Agent::account);
    let names: Vec<&str> = configured.chain(known.keys().map(String::as_str)).collect();
    if !names.contains(&name.as_str()) {
        let shown = clip(&name, MAX_LABEL);
        let hint = match config::nearest(&name, names) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => "agentctl quota lists the accounts".to_owned(),
        };
        let message = format!("no agent works on an account {shown:?}");
        return Err(Failure::new(Code::NotFound, reason::ACCOUNT_UNKNOWN, message).hint(hint));
    }
    Ok(shared.dispatcher.clear_quota(name).await?)
}
