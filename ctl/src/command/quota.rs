//! `agentctl quota`.

use agentd_proto::v1;
use clap::{Args, Subcommand};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::given;
use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    output::{
        json::{Document, QUOTA},
        page::Format,
        table::{Cell, Column, Layout, one_line, render},
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

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
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
        if self.output == Format::Json {
            let accounts = accounts.into_iter().map(AccountView::from).collect();
            cx.out.json(&Document::new(QUOTA, View { accounts }))?;
            return Ok(EXIT_OK);
        }
        let zone = cx.out.zone();
        let layout = Layout {
            width: cx.out.width,
            color: cx.out.color,
            no_headers: false,
        };
        let lines = table(&accounts, cx.out.now, &zone, layout);
        lines.iter().try_for_each(|line| cx.out.line(line))?;
        Ok(EXIT_OK)
    }
}

/// The accounts for a person.
fn table(accounts: &[v1::Account], now: Timestamp, zone: &TimeZone, layout: Layout) -> Vec<String> {
    const COLUMNS: [Column; 6] = [
        Column::flexible("ACCOUNT", 8),
        Column::fixed("STATE"),
        Column::fixed("UNTIL"),
        Column::fixed("QUEUED"),
        Column::fixed("RUNNING"),
        Column::flexible("LAST LIMIT", 12),
    ];
    let rows: Vec<Vec<Cell>> = accounts
        .iter()
        .map(|account| {
            let parked = account.until != 0;
            vec![
                Cell::from(account.name.as_str()),
                Cell::from(if parked { "parked" } else { "ok" }),
                Cell::or_dash(&until(account, now, zone)),
                Cell::from(account.queued.to_string()),
                Cell::from(account.running.to_string()),
                Cell::or_dash(&met(account)),
            ]
        })
        .collect();
    render(&COLUMNS, &rows, layout)
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
struct View {
    accounts: Vec<AccountView>,
}

/// An account, for scripts.
#[derive(Debug, Serialize)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_what_holds_them() {
        let now = Timestamp::from_millisecond(1_772_366_400_000).unwrap();
        let parked = v1::Account {
            name: "team-a".to_owned(),
            agents: vec!["claude".to_owned()],
            until: now.as_millisecond() + 5 * 60_000,
            reason: "usage_limit".to_owned(),
            message: "5-hour limit reached\n".to_owned(),
            task: 42,
            attempt: 1,
            strikes: 2,
            queued: 3,
            running: 0,
        };
        let open = v1::Account {
            name: "shell".to_owned(),
            running: 1,
            ..v1::Account::default()
        };
        let layout = Layout {
            width: None,
            color: false,
            no_headers: false,
        };
        let lines = table(&[open, parked], now, &TimeZone::UTC, layout);
        insta::assert_snapshot!(lines.join("\n"));
    }
}
