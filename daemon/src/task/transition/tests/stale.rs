//! Reports of other attempts.

use super::*;

#[test]
fn stale_reports_change_nothing() {
    let (task, _) = after(task(1), &to_running());
    for other in [
        named(1, 2, NONCE),
        named(1, 1, Nonce([9; 16])),
        named(2, 1, NONCE),
    ] {
        for event in [
            registered(other, running()),
            started(other),
            exited(other, 0),
            Event::NeverStarted { attempt: other },
        ] {
            assert_eq!(
                decide(&task, &event, CONTEXT),
                Decision::Ignore(Ignored::Stale)
            );
        }
    }
}
