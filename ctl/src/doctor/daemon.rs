//! The daemon as it is seen from outside: which socket answers, and whether it is
//! one that this agentctl understands.

use agentd_proto::v1;

use std::{fs, path::Path};

use super::{Finding, Severity};
use crate::socket::{Cause, Refusal};

const AREA: &str = "daemon";

/// A daemon that answers.
pub(crate) fn answers(status: &v1::StatusResponse, named: bool) -> Vec<Finding> {
    let finding = |severity, what: String| Finding::new(AREA, severity, what);
    let chosen = match named {
        true => "named by --socket or AGENTD_SOCKET",
        false => "the first that answers of this user's and the system's",
    };
    let what = format!("agentd {} answers at {}", status.version, status.socket);
    let mut found = vec![finding(Severity::Ok, what).because(chosen)];
    let own = env!("CARGO_PKG_VERSION");
    if status.version != own {
        let what = format!("agentd is {}, agentctl is {own}", status.version);
        found.push(
            finding(Severity::Warning, what)
                .because("one of them was upgraded without the other, or the old agentd still runs")
                .fix("agentctl shutdown, then start agentd again; agents go on"),
        );
    }
    let held = status.recovery.as_ref().map_or(0, |recovery| recovery.held);
    if held > 0 {
        found.push(
            finding(
                Severity::Error,
                format!("{held} attempts look dead at once, and nothing is done about it"),
            )
            .because("that many at once are rather a fault of the look: see whether agents run")
            .fix("agentctl recover --confirm"),
        );
    }
    found
}

/// What was under way when the last daemon of a state directory ended: without
/// one nobody sees how it ends, makes the next attempt, or can stop it.
pub(crate) fn left_alone(state: &Path, start: &str) -> Option<Finding> {
    let attempts = fs::read_dir(state.join("attempts")).ok()?.flatten();
    let number = attempts.filter(|entry| is_attempt(&entry.file_name().to_string_lossy()));
    let what = match number.count() {
        0 => return None,
        1 => "1 attempt is under way, and no daemon looks after it".to_owned(),
        more => format!("{more} attempts are under way, and no daemon looks after them"),
    };
    let found = Finding::new(AREA, Severity::Warning, what);
    Some(
        found
            .because("the agents go on; the next daemon takes them over, or what became of them")
            .fix(start),
    )
}

/// `42.1`, as the daemon names the directory of an attempt.
fn is_attempt(name: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().is_ok();
    name.split_once('.')
        .is_some_and(|(task, attempt)| number(task) && number(attempt))
}

/// Sockets that did not answer. `other` is whether one that was asked later did,
/// `start` the command that starts a daemon, and whether agentctl does so unasked.
pub(crate) fn refuses(
    refusals: &[Refusal],
    other: bool,
    start: Option<(&str, bool)>,
) -> Vec<Finding> {
    let (start, unasked) = start.unwrap_or_default();
    let told = refusals.iter().filter_map(|refusal| {
        let finding = |severity| Finding::new(AREA, severity, refusal.to_string());
        let found = match &refusal.cause {
            Cause::Missing if other => return None,
            Cause::Missing | Cause::Stale if other => finding(Severity::Note),
            Cause::Missing | Cause::Stale if unasked => finding(Severity::Note)
                .because("no daemon runs; agentctl run and submit start one")
                .fix(start),
            Cause::Missing | Cause::Stale => finding(Severity::Error)
                .because("no daemon runs, or it listens elsewhere")
                .fix(start),
            Cause::TooLong => finding(Severity::Error)
                .because("no program can connect to it")
                .fix("export AGENTD_SOCKET with a shorter path, for agentd, too"),
            Cause::NotText | Cause::NoSocket => finding(Severity::Error)
                .because("something else is where the daemon should listen")
                .fix("export AGENTD_SOCKET with the daemon's socket"),
            Cause::Denied => finding(Severity::Error)
                .because("only the daemon's own user and root may talk to it")
                .fix("sudo -u its user agentctl, or a daemon of your own"),
            Cause::Other(_) => finding(Severity::Error)
                .because("the daemon may be stuck")
                .fix("look into its log: journalctl --user -u agentd, or agentd.log in its state directory"),
        };
        Some(found)
    });
    // Of several places where no daemon is, the first is where one would be.
    let nobody = !other && refusals.iter().all(Refusal::nobody_there);
    told.take(if nobody { 1 } else { usize::MAX }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_does_not_answer_says_what_to_do() {
        let of = |path: &str, cause| Refusal {
            path: path.into(),
            cause,
        };
        let nobody = [of("/a", Cause::Missing), of("/b", Cause::Missing)];
        let found = refuses(&nobody, false, Some(("agentctl start", true)));
        assert_eq!((found.len(), found[0].severity), (1, Severity::Note));
        assert_eq!(found[0].fix, "agentctl start");
        let found = refuses(
            &nobody,
            false,
            Some(("systemctl --user start agentd", false)),
        );
        assert_eq!(found[0].severity, Severity::Error);
        assert_eq!(found[0].fix, "systemctl --user start agentd");
        // A stale one before one that answers is told; one that is not there is not.
        let stale = [of("/a", Cause::Stale), of("/b", Cause::Missing)];
        let found = refuses(&stale, true, None);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Note));
        let denied = [of("/a", Cause::Missing), of("/b", Cause::Denied)];
        let found = refuses(&denied, false, Some(("agentctl start", false)));
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|finding| !finding.fix.is_empty()));
    }

    #[test]
    fn attempts_without_a_daemon_are_no_good_state() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(left_alone(state.path(), "agentctl start"), None);
        let attempts = state.path().join("attempts");
        fs::create_dir_all(attempts.join("leftovers")).unwrap();
        assert_eq!(left_alone(state.path(), "agentctl start"), None);
        fs::create_dir(attempts.join("7.2")).unwrap();
        let found = left_alone(state.path(), "agentctl start").unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.what.starts_with("1 attempt is"), "{}", found.what);
        assert_eq!(found.fix, "agentctl start");
    }

    #[test]
    fn what_a_daemon_says_of_itself_is_judged() {
        let good = v1::StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..v1::StatusResponse::default()
        };
        assert_eq!(answers(&good, true).len(), 1);
        let odd = v1::StatusResponse {
            version: "9.9.9".to_owned(),
            recovery: Some(v1::Recovery {
                held: 7,
                ..v1::Recovery::default()
            }),
            ..good
        };
        let found = answers(&odd, false);
        let told: Vec<_> = found.iter().map(|finding| finding.severity).collect();
        assert_eq!(told, [Severity::Ok, Severity::Warning, Severity::Error]);
        assert_eq!(found[2].fix, "agentctl recover --confirm");
    }
}
