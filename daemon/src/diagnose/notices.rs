//! Whether people are told of ends.

use std::env;

use super::{Area, Finding, Severity, Subject};
use crate::{notify, task::notice::Way};

/// Nothing if nobody is to be told.
pub(super) fn notices(subject: &Subject<'_>) -> Vec<Finding> {
    let path = env::var_os("PATH");
    let mut found = Vec::new();
    for standing in subject.notices {
        let finding = |severity, what| Finding::new(Area::Notices, severity, what);
        let to = match standing.way {
            Way::Command => format!("by {}", standing.to),
            Way::Webhook => format!("at {}", standing.to),
        };
        let missing = match standing.way {
            Way::Command => notify::missing(&subject.config.notify, path.as_deref()),
            Way::Webhook => None,
        };
        let mut bad = Vec::new();
        if let Some(program) = missing {
            bad.push(
                finding(
                    Severity::Error,
                    format!("nobody is told of ends: {program} is missing"),
                )
                .because("notify.command is looked for on the daemon's PATH")
                .fix("name it by its whole path in notify.command, then agentctl reload"),
            );
        } else if let Some(failing) = &standing.failing {
            bad.push(
                finding(Severity::Warning, format!("word of ends is not taken {to}"))
                    .because(format!("task {}: {}", failing.task, failing.why))
                    .fix("mend it, or [notify] and then agentctl reload; it is tried again"),
            );
        }
        if let Some(last) = standing
            .last_given_up
            .as_ref()
            .filter(|_| standing.given_up > 0)
        {
            let what = match standing.given_up {
                1 => format!("1 end was told nobody {to}"),
                more => format!("{more} ends were told nobody {to}"),
            };
            bad.push(
                finding(Severity::Warning, what)
                    .because(format!("last of task {}: {}", last.task, last.why))
                    .fix("agentctl ls --all; what was given up is not sent again"),
            );
        }
        if bad.is_empty() {
            bad.push(finding(
                Severity::Good,
                format!("people are told of ends {to}"),
            ));
        }
        found.extend(bad);
    }
    found
}
