//! Exit codes, what is asked again, and how errors read.

use tonic_types::ErrorDetails;

use super::*;

fn status(code: Code, reason: &str, meta: &[(&str, &str)], message: &str) -> Status {
    let meta = meta.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()));
    let details = ErrorDetails::with_error_info(
        reason,
        reason::DOMAIN,
        meta.collect::<std::collections::HashMap<_, _>>(),
    );
    Status::with_error_details(code, message, details)
}

#[test]
fn the_reason_decides_then_the_code() {
    for (code, why, exit) in [
        (Code::NotFound, reason::TASK_NOT_FOUND, EXIT_NOT_FOUND),
        (Code::FailedPrecondition, reason::TASK_ACTIVE, EXIT_CONFLICT),
        (
            Code::FailedPrecondition,
            reason::TASK_SUCCEEDED,
            EXIT_CONFLICT,
        ),
        (Code::AlreadyExists, reason::KEY_BUSY, EXIT_CONFLICT),
        (Code::FailedPrecondition, reason::ISSUE_CLOSED, EXIT_GONE),
        (Code::InvalidArgument, reason::AGENT_UNKNOWN, EXIT_USAGE),
        (
            Code::FailedPrecondition,
            reason::AGENT_UNKNOWN,
            EXIT_CONFLICT,
        ),
        (Code::InvalidArgument, reason::REPO_INVALID, EXIT_USAGE),
        (
            Code::AlreadyExists,
            reason::REQUEST_ID_REUSED,
            EXIT_CONFLICT,
        ),
        (Code::ResourceExhausted, reason::QUEUE_FULL, EXIT_CONFLICT),
        (
            Code::Unavailable,
            reason::STORE_UNAVAILABLE,
            EXIT_UNREACHABLE,
        ),
        (Code::Unavailable, reason::DAEMON_STOPPING, EXIT_UNREACHABLE),
        (Code::InvalidArgument, reason::INVALID_FIELD, EXIT_USAGE),
        (
            Code::PermissionDenied,
            reason::NOT_PERMITTED,
            EXIT_PERMISSION,
        ),
        (Code::DeadlineExceeded, "OF_A_NEWER_DAEMON", EXIT_TIMEOUT),
    ] {
        let error = Error::from(status(code, why, &[], "words"));
        assert_eq!(error.kind().exit_code(), exit, "{why}");
    }
    let plain = Error::from(Status::not_found("no such thing"));
    assert_eq!(plain.kind(), Kind::NotFound);
}

#[test]
fn only_a_daemon_that_went_away_is_asked_again() {
    assert!(is_lost(&Status::unavailable("transport")));
    let of = |code, why| status(code, why, &[], "words");
    assert!(is_lost(&of(Code::Unavailable, reason::DAEMON_STOPPING)));
    assert!(!is_lost(&of(Code::Unavailable, reason::STORE_UNAVAILABLE)));
    assert!(!is_lost(&Status::not_found("x")));
    assert!(!is_lost(&Status::deadline_exceeded("x")));
}

#[test]
fn what_why_and_what_to_do() {
    let shown = [
        Error::from(status(
            Code::FailedPrecondition,
            reason::TASK_ACTIVE,
            &[("task", "42")],
            "task 42 is still running",
        )),
        Error::from(status(
            Code::AlreadyExists,
            reason::KEY_BUSY,
            &[("task", "41"), ("hint", "the daemon's own hint")],
            "task 41 works on this issue",
        )),
        Error::from(status(
            Code::InvalidArgument,
            reason::INVALID_FIELD,
            &[("field", "labels")],
            "more than 64",
        )),
        Error::from(Status::unavailable("")),
        Error::from(Status::unimplemented("")),
        Error::usage("cannot use the repository /x")
            .because(io::Error::from(io::ErrorKind::NotFound)),
        Error::new(Kind::Other, "a: b").because("b"),
    ]
    .map(|error| error.render())
    .join("\n\n");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let error = Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
    assert_eq!(error.kind().exit_code(), EXIT_OK);
}
