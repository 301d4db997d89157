//! `agentctl quota`.

use agentd_proto::v1;
use anstyle::AnsiColor;
use clap::{Args, Subcommand};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::given;
use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        json::{ACCOUNT, Document, QUOTA},
        list::{ListArgs, Listed},
        table::{Cell, Column, Shown, one_line},
    },
    when::{between, local, rfc3339, short},
};

/// Show which accounts wait for their provider, or open one.
///
/// When an agent says that the limit of its account is met, the tasks of all
/// agents of that account wait until the limit is over, and then go on by
/// themselves.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Quota {
    #[command(subcommand)]
    command: Option<QuotaCommand>,

    #[command(flatten)]
    list: ListArgs<v1::Account>,
}

#[derive(Debug, Subcommand)]
enum QuotaCommand {
    /// Start the tasks of an account again, whatever limit it has met.
    Clear {
        /// The account, as `agentctl quota` lists it.
        #[arg(value_name = "ACCOUNT", value_parser = given)]
        account: String,
    },
}

impl Quota {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        if let Some(QuotaCommand::Clear { account }) = self.command {
            let cleared = client.quota_clear(account.clone()).await?.cleared;
            cx.out.message(&if cleared {
                format!("account {account} is open")
            } else {
                format!("account {account} was open already")
            });
            return Ok(EXIT_OK);
        }
        let accounts = client.quota().await?.accounts;
        cx.out.list(&self.list, accounts, |accounts| {
            Document::new(QUOTA, View { accounts })
        })?;
        Ok(EXIT_OK)
    }
}

impl Listed for v1::Account {
    type View = AccountView;
    const SCHEMA: &'static str = ACCOUNT;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::<Self>::new("account", |account, _| Cell::from(&account.name)).cut(8),
        Column::<Self>::new("state", |account, _| match account.until {
            0 => Cell::styled("ok", AnsiColor::Green.on_default()),
            _ => Cell::styled("parked", AnsiColor::Yellow.on_default()),
        }),
        Column::<Self>::new("until", |account, look| {
            Cell::or_dash(&until(account, look.now, &look.zone))
        }),
        Column::<Self>::new("agents", |account, _| {
            Cell::or_dash(&account.agents.join(" "))
        })
        .shown(Shown::Wide),
        Column::<Self>::number("queued", |account, _| Cell::number(account.queued)).spare(1),
        Column::<Self>::number("running", |account, _| Cell::number(account.running)).spare(2),
        Column::<Self>::new("last-limit", |account, _| Cell::or_dash(&met(account))).cut(12),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// `2026-03-01 12:00:35 (in 5m)`.
pub(crate) fn until(account: &v1::Account, now: Timestamp, zone: &TimeZone) -> String {
    let left = between(now.as_millisecond(), account.until);
    match (local(account.until, zone), left) {
        (Some(at), Some(left)) => format!("{at} (in {})", short(left)),
        (Some(_) | None, _) => String::new(),
    }
}

/// `usage_limit, met by 42.1, 2 in a row: the provider's words`.
fn met(account: &v1::Account) -> String {
    if account.strikes == 0 {
        return String::new();
    }
    let mut text = format!(
        "{}, met by {}.{}",
        account.reason, account.task, account.attempt
    );
    if account.strikes > 1 {
        text.push_str(&format!(", {} in a row", account.strikes));
    }
    if !account.message.is_empty() {
        text.push_str(&format!(": {}", one_line(&account.message)));
    }
    text
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct View {
    accounts: Vec<AccountView>,
}

/// An account, for scripts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AccountView {
    name: String,
    agents: Vec<String>,
    parked: bool,
    until: Option<String>,
    failure_reason: Option<String>,
    message: Option<String>,
    task: Option<u64>,
    attempt: Option<u32>,
    strikes: u32,
    queued: u64,
    running: u64,
}

impl From<v1::Account> for AccountView {
    fn from(account: v1::Account) -> Self {
        let text = |text: String| (!text.is_empty()).then_some(text);
        Self {
            name: account.name,
            agents: account.agents,
            parked: account.until != 0,
            until: rfc3339(account.until),
            failure_reason: text(account.reason),
            message: text(account.message),
            task: (account.task != 0).then_some(account.task),
            attempt: (account.attempt != 0).then_some(account.attempt),
            strikes: account.strikes,
            queued: account.queued,
            running: account.running,
        }
    }
}
