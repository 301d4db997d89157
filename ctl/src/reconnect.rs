//! How long to wait before the daemon is asked again, and when to give up.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tonic::Status;

use crate::{client::Client, error::Error, output::Output};

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// For one question: long enough for a daemon that restarts at once.
pub(crate) const QUESTION: Duration = Duration::from_secs(10);

/// For `logs -f`, `watch` and `wait`: long enough for an upgrade.
pub(crate) const FOLLOWING: Duration = Duration::from_secs(300);

/// A daemon that is not there is found out faster than this.
const LASTED: Duration = Duration::from_secs(5);

/// A growing delay with a limit on the whole.
#[derive(Debug)]
pub(crate) struct Backoff {
    delay: Duration,
    limit: Duration,
    since: Option<Instant>,
}

impl Backoff {
    /// Gives up when `limit` has passed since the first pause.
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            delay: FIRST,
            limit,
            since: None,
        }
    }

    /// It worked: the next loss starts from the shortest delay.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Whether nothing has been lost since the last success.
    pub(crate) fn is_fresh(&self) -> bool {
        self.since.is_none()
    }

    /// Waits; false, at once, if the limit has passed.
    pub(crate) async fn pause(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.limit {
            return false;
        }
        tokio::time::sleep(self.delay).await;
        self.delay = (self.delay * 2).min(LONGEST);
        true
    }
}

/// Where a person is told such things.
pub(crate) trait Notes {
    /// A message of less weight.
    fn note(&mut self, text: &str);
}

impl Notes for Output {
    fn note(&mut self, text: &str) {
        Self::note(self, text);
    }
}

/// What follows the daemon over its restarts: tells the person once, and gives
/// up in the end.
#[derive(Debug)]
pub(crate) struct Patience {
    backoff: Backoff,
    told: bool,
    tried: Option<Instant>,
    /// The command that starts a daemon; empty: nobody knows.
    start: Arc<str>,
}

impl Patience {
    /// With the limit [`FOLLOWING`].
    pub(crate) fn new(client: &Client) -> Self {
        Self::of(client, FOLLOWING)
    }

    /// One that waits for as long as it takes.
    pub(crate) fn endless(client: &Client) -> Self {
        Self::of(client, Duration::MAX)
    }

    fn of(client: &Client, limit: Duration) -> Self {
        Self {
            backoff: Backoff::new(limit),
            told: false,
            tried: None,
            start: Arc::clone(client.start()),
        }
    }

    /// For how long it waits.
    pub(crate) fn limit(&self) -> Duration {
        self.backoff.limit
    }

    /// A daemon has taken the question, and may be silent for long: whoever was
    /// told that it went away is told that it is back.
    pub(crate) fn taken(&mut self, out: &mut impl Notes) {
        if std::mem::take(&mut self.told) {
            out.note("agentd is back");
        }
    }

    /// The daemon has answered.
    pub(crate) fn back(&mut self) {
        self.backoff.reset();
        self.told = false;
        self.tried = None;
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// The loss itself, if the daemon stayed away too long.
    pub(crate) async fn lost(&mut self, out: &mut impl Notes, how: Status) -> Result<(), Error> {
        // A connection that has lasted was one, though nothing was said on it.
        if self.tried.is_some_and(|tried| tried.elapsed() > LASTED) {
            self.back();
        }
        // The first try after a loss mostly succeeds: not worth a word.
        if !self.backoff.is_fresh() && !self.told {
            self.told = true;
            out.note("agentd went away: waiting for it to come back");
            if !self.start.is_empty() {
                out.note(&format!("hint: {}", self.start));
            }
        }
        if self.backoff.pause().await {
            self.tried = Some(Instant::now());
            Ok(())
        } else {
            Err(how.into())
        }
    }

    /// As [`Self::lost`], for a stream that ended without an error although
    /// what it tells of goes on.
    ///
    /// # Errors
    /// As [`Self::lost`].
    pub(crate) async fn ended(&mut self, out: &mut impl Notes) -> Result<(), Error> {
        let how = Status::unavailable("agentd ended the stream");
        self.lost(out, how).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_at_the_limit_and_starts_anew_after_a_success() {
        let started = Instant::now();
        let mut backoff = Backoff::new(QUESTION);
        let mut pauses = 0;
        while backoff.pause().await {
            pauses += 1;
        }
        assert!(started.elapsed() >= QUESTION);
        assert!(started.elapsed() < QUESTION + LONGEST * 2);
        assert!(pauses > 10, "{pauses}");
        backoff.reset();
        assert!(backoff.is_fresh());
        assert!(backoff.pause().await);
    }
}
