//! `agentctl report`: what an agent says of itself.

use std::str::FromStr;

use agentd_proto::v1;
use clap::{ArgGroup, Args, Subcommand};

use crate::{
    cli::Context,
    error::{EXIT_OK, Error},
    when::When,
};

/// The variables that agentd gives to an agent.
const ATTEMPT: &str = "AGENTD_ATTEMPT";
const TOKEN: &str = "AGENTD_TOKEN";

/// Dollars have six digits behind the point that are counted.
const MICROS: usize = 6;

/// Tell agentd, from inside an agent, how its work goes.
///
/// For agents, and scripts that they run: it speaks for the attempt that it was
/// started in, by the AGENTD_* variables there. Everything may be told again;
/// what was told before is replaced. `agentctl show` and `explain` show it.
#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What it is doing.
    Progress {
        /// In one line.
        #[arg(value_name = "TEXT", required = true)]
        text: Vec<String>,
    },
    /// The conversation, by which it can be taken up again.
    Session(Session),
    /// What the attempt has used so far, all together.
    Usage(Usage),
    /// The account may do nothing for a while.
    Limited(Limited),
    /// Why the work cannot be done, in case it fails.
    Failed {
        /// agent_error, provider_unreachable, session_lost, context_overflow,
        /// session_poisoned, auth_failed, invalid_model or permission_blocked.
        #[arg(value_name = "REASON")]
        reason: String,
        /// In one line.
        #[arg(value_name = "TEXT", required = true)]
        text: Vec<String>,
    },
    /// The agent declines: the task is aborted, however the agent ends.
    Aborted {
        /// Why, in one line.
        #[arg(value_name = "REASON", required = true)]
        text: Vec<String>,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
struct Session {
    /// The agent's own name for it.
    #[arg(value_name = "ID", group = "which")]
    id: Option<String>,
    /// The one that was to be resumed is not known.
    #[arg(long, group = "which")]
    lost: bool,
}

#[derive(Debug, Args)]
struct Usage {
    /// Tokens that the model read, without those of a cache.
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    input: u64,
    /// Tokens that it wrote.
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    output: u64,
    /// Tokens that came from a cache.
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    cached: u64,
    /// Money: 1.25.
    #[arg(long, value_name = "DOLLARS")]
    cost_usd: Option<Dollars>,
    /// Answers of the model.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    turns: u64,
    /// The model.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

#[derive(Debug, Args)]
struct Limited {
    /// When it is over: 20s or 5h from now, or 2026-03-01T17:00:00Z.
    #[arg(long, value_name = "WHEN")]
    reset: Option<When>,
    /// It asked too often; otherwise its allowance is used up.
    #[arg(long, conflicts_with = "usage")]
    rate: bool,
    /// Its allowance is used up.
    #[arg(long)]
    usage: bool,
    /// The provider's words, in one line.
    #[arg(value_name = "TEXT", required = true)]
    text: Vec<String>,
}

/// Millionths of a dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dollars(u64);

impl FromStr for Dollars {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected dollars such as 1.25".to_owned();
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return Err(wrong());
        }
        let part = format!("{part:0<MICROS$}");
        let micros = format!("{whole}{}", &part[..MICROS]).parse();
        micros.map(Self).map_err(|_| wrong())
    }
}

impl Report {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let request = Speaker::of(cx)?.request(self.what.observed(cx));
        let answer = cx.client().await?.report(request).await?;
        if answer.dropped {
            cx.out
                .message("not kept: so much was reported of this attempt that only news counts");
        }
        Ok(EXIT_OK)
    }
}

impl What {
    fn observed(self, cx: &mut Context) -> v1::Observed {
        let mut said = v1::Observed::default();
        match self {
            Self::Progress { text } => said.progress = line(&text),
            Self::Session(Session { id: Some(id), .. }) => said.session = id,
            Self::Session(Session { id: None, .. }) => {
                said.fault = Some(v1::Fault {
                    reason: "session_lost".to_owned(),
                    message: "the session that it was to resume is not known".to_owned(),
                });
            }
            Self::Usage(usage) => {
                said.model = usage.model.unwrap_or_default();
                said.usage = Some(v1::Usage {
                    input: usage.input,
                    output: usage.output,
                    cached: usage.cached,
                    cost: usage.cost_usd.map(|dollars| dollars.0),
                    turns: usage.turns,
                });
            }
            Self::Limited(limited) => {
                let zone = cx.out.zone();
                let until = limited.reset.map(|when| when.ahead(cx.out.now, &zone));
                said.limited = Some(v1::Limited {
                    reason: if limited.rate {
                        "rate_limited"
                    } else {
                        "usage_limit"
                    }
                    .to_owned(),
                    until: until.unwrap_or(0),
                    message: line(&limited.text),
                });
            }
            Self::Failed { reason, text } => {
                said.fault = Some(v1::Fault {
                    reason,
                    message: line(&text),
                });
            }
            Self::Aborted { text } => said.declined = line(&text),
        }
        said
    }
}

/// Words that a shell may have split.
fn line(words: &[String]) -> String {
    words.join(" ")
}

/// Whom this process may speak for.
struct Speaker {
    task: u64,
    attempt: u32,
    token: String,
}

impl Speaker {
    fn of(cx: &Context) -> Result<Self, Error> {
        let get = |name| (cx.variable)(name).unwrap_or_default();
        Self::named(&get(ATTEMPT), &get(TOKEN)).ok_or_else(|| {
            Error::usage(format!(
                "not inside an agent: {ATTEMPT} and {TOKEN} do not name an attempt"
            ))
            .hint("agentctl report is for agents that agentd has started; agentctl show ID shows what they reported")
        })
    }

    /// A marker is `42.1:` and a digest.
    fn named(marker: &str, token: &str) -> Option<Self> {
        let (name, _) = marker.split_once(':')?;
        let (task, attempt) = name.split_once('.')?;
        Some(Self {
            task: task.parse().ok()?,
            attempt: attempt.parse().ok()?,
            token: (!token.is_empty()).then(|| token.to_owned())?,
        })
    }

    fn request(self, observed: v1::Observed) -> v1::ReportRequest {
        v1::ReportRequest {
            task: self.task,
            attempt: self.attempt,
            token: self.token,
            observed: Some(observed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_counted_in_millionths() {
        for (text, micros) in [
            ("0", 0),
            ("1.25", 1_250_000),
            ("0.000001", 1),
            ("0.0000019", 1),
            ("12", 12_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Dollars(micros)), "{text}");
        }
        for bad in [
            "",
            ".5",
            "1.",
            "-1",
            "1e3",
            "$1",
            "1,5",
            "99999999999999999999",
        ] {
            assert!(bad.parse::<Dollars>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_process_speaks_for_its_attempt_only() {
        let speaker = Speaker::named("42.3:0f", "aa").unwrap();
        assert_eq!((speaker.task, speaker.attempt), (42, 3));
        for (marker, token) in [
            ("", ""),
            ("42.3:0f", ""),
            ("", "aa"),
            ("42:0f", "aa"),
            ("42.3", "aa"),
            ("x.y:0f", "aa"),
        ] {
            assert!(Speaker::named(marker, token).is_none(), "{marker} {token}");
        }
    }
}
