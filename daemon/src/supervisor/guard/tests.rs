use std::sync::Arc;

use tokio::sync::mpsc;

use super::*;
use crate::{
    process::Containment,
    spool::StateDir,
    supervisor::Place,
    task::testing::{NONCE, exited, named},
};

/// A supervisor, its reports, and an attempt that has left a result.
fn with_result(dir: &std::path::Path) -> (Supervisor, mpsc::Receiver<Report>, AttemptRef) {
    let state = StateDir::open(dir).unwrap();
    let attempt = named(1, 1, NONCE);
    let files = state.attempt(attempt.id);
    files.create().unwrap();
    let Event::Exited { result, .. } = exited(attempt, 0) else {
        unreachable!("it is one");
    };
    files.write_result(NONCE, &result).unwrap();
    let place = Place {
        socket: state.path().join("socket"),
        state,
        boot_id: "boot".to_owned(),
        open_files: None,
        containment: Arc::new(Containment::none()),
    };
    let (reports, inbox) = mpsc::channel(8);
    let supervisor = Supervisor::new(place, reports, Duration::from_secs(30), Arc::default());
    (supervisor, inbox, attempt)
}

async fn in_time<T>(act: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(30), act).await;
    done.expect("it comes to its end")
}

/// The result is all that the next incarnation will know of the attempt.
#[tokio::test]
async fn the_end_of_an_incarnation_concludes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (supervisor, mut reports, attempt) = with_result(dir.path());
    supervisor.adopt(attempt, None, true);
    let report = in_time(reports.recv()).await;
    assert!(
        matches!(report, Some(Report::Exited { .. })),
        "it waits to hear that this is stored: {report:?}"
    );
    supervisor.shut_down();
    in_time(supervisor.shared.tracker.wait()).await;
    // One that is under way while the incarnation ends, and one that comes late.
    in_time(supervisor.watch_over(attempt, Begin::Found)).await;
    supervisor.conclude(attempt);
    supervisor.adopt(attempt, None, true);
    in_time(supervisor.shared.tracker.wait()).await;
    let files = supervisor.shared.state.attempt(attempt.id);
    assert!(files.read_result(NONCE).unwrap().is_some());
}

#[tokio::test]
async fn what_is_concluded_is_put_away() {
    let dir = tempfile::tempdir().unwrap();
    let (supervisor, mut reports, attempt) = with_result(dir.path());
    supervisor.adopt(attempt, None, true);
    in_time(reports.recv()).await.unwrap();
    supervisor.conclude(attempt);
    supervisor.shared.tracker.close();
    in_time(supervisor.shared.tracker.wait()).await;
    assert!(!supervisor.shared.state.attempt(attempt.id).path().exists());
    assert!(supervisor.entries().is_empty());
}
