//! Whether the daemon is alive, as its dispatcher sees it.
//!
//! The manager is given a sign of life only for an answer that has gone through
//! the loop that decides. A loop that hangs gives none, whatever else of the
//! process still runs; then the manager ends the daemon and starts it again.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::time::{sleep, timeout};

use super::{
    line,
    notifier::{Notifier, State},
};
use crate::{
    clock,
    dispatcher::{Handle, Overview, Unavailable},
};

/// Between two looks at how things stand, if nothing else asks for one.
const LOOK: Duration = Duration::from_secs(15);
/// The least between two looks, however much happens.
const REST: Duration = Duration::from_secs(1);
/// How long an answer may take before that is told, without a watchdog.
const ANSWER: Duration = Duration::from_secs(30);

/// Tells the manager how things stand, and that the loop lives, until it ends.
/// With `watchdog` it must hear of that at least as often.
pub async fn report(notifier: Notifier, watchdog: Option<Duration>, dispatcher: Handle) {
    if !notifier.is_on() {
        return;
    }
    // Four times as often as it must be: a turn may take its time.
    let look = watchdog.map_or(LOOK, |limit| limit / 4).min(LOOK);
    let patience = watchdog.map_or(ANSWER, |limit| limit / 2);
    let mut watched = dispatcher.clone();
    let mut revisions = dispatcher.revisions();
    let mut said = String::new();
    loop {
        revisions.mark_unchanged();
        let answer = answer(&dispatcher, &notifier, patience, &mut said).await;
        let status = match &answer {
            Ok(overview) => line::of(
                overview,
                dispatcher.trouble().as_ref(),
                clock::now(),
                &TimeZone::system(),
            ),
            // It has answered: by saying that it cannot know.
            Err(Unavailable::Store) => dispatcher
                .trouble()
                .map_or_else(String::new, |trouble| trouble.to_string()),
            Err(Unavailable::Stopping) => return,
        };
        let mut states = Vec::new();
        if watchdog.is_some() {
            states.push(State::Watchdog);
        }
        if status != said && !status.is_empty() {
            states.push(State::Status(&status));
        }
        if !states.is_empty() {
            notifier.tell(&states);
        }
        said = status;
        sleep(REST.min(look)).await;
        let change = async {
            tokio::select! {
                changed = watched.changed() => changed.is_ok(),
                changed = revisions.changed() => changed.is_ok(),
            }
        };
        // The end of the loop is told by others.
        if timeout(look.saturating_sub(REST), change).await == Ok(false) {
            return;
        }
    }
}

/// Asks through the loop until it answers, however long that takes.
async fn answer(
    dispatcher: &Handle,
    notifier: &Notifier,
    patience: Duration,
    said: &mut String,
) -> Result<Overview, Unavailable> {
    let asked = Instant::now();
    let mut asking = std::pin::pin!(dispatcher.overview());
    if let Ok(answer) = timeout(patience, &mut asking).await {
        return answer;
    }
    let seconds = asked.elapsed().as_secs();
    tracing::error!(seconds, "the dispatcher does not answer");
    notifier.tell(&[State::Status("the dispatcher does not answer")]);
    said.clear();
    let answer = asking.await;
    let seconds = asked.elapsed().as_secs();
    tracing::warn!(seconds, "the dispatcher answers again");
    answer
}
