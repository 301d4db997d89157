//! The connection to the daemon: made again for ever, and never waited for.
//!
//! What is to be told is a state, not a queue: whoever listens late, or again,
//! is told how things are now. So nothing grows while the daemon is away, and
//! a runner never waits for it.

use std::{convert::Infallible, io, path::Path, path::PathBuf, pin::Pin, time::Duration};

use agentd_proto::v1::{self, runner_client::RunnerClient};
use hyper_util::rt::TokioIo;
use tokio::{
    net::UnixStream,
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint, Uri},
};

use super::{
    machine::Order,
    wire::{self, Begun, Heartbeat, Registrant},
};
use crate::{
    spool::AttemptDir,
    task::{attempt::RunResult, observed::Observed},
};

/// First pause before another try.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause while nobody listens. Asking costs next to nothing, and a
/// daemon that was started anew waits for its runners.
const LONGEST_AWAY: Duration = Duration::from_secs(1);
/// Longest pause while the daemon is there and does not want us.
const LONGEST_REFUSED: Duration = Duration::from_secs(5);
/// A result that was not acknowledged is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// The runner's side of the connection.
pub(super) struct Link {
    connection: Pin<Box<dyn Future<Output = Infallible>>>,
    orders: mpsc::Receiver<Order>,
    news: watch::Sender<News>,
}

/// How things are.
#[derive(Debug, Clone, Default)]
struct News {
    /// The newest, and its number.
    begun: Option<(u64, Begun)>,
    /// The newest, and its number.
    heartbeat: Option<(u64, Heartbeat)>,
    /// The newest, and its number.
    observed: Option<(u64, Observed)>,
    result: Option<RunResult>,
}

impl Link {
    /// A connection to the daemon of this directory, or, if it does not say
    /// where it is, to this socket. It is made when an order is waited for.
    pub(super) fn new(who: Registrant, dir: AttemptDir, socket: PathBuf) -> Self {
        let (order, orders) = mpsc::channel(8);
        let (news, read) = watch::channel(News::default());
        let connection = keep_connected(who, (dir, socket), read, order);
        Self {
            connection: Box::pin(connection),
            orders,
            news,
        }
    }

    /// The daemon's next order. Can be dropped at any time. Nothing is sent or
    /// received while nobody waits here.
    pub(super) async fn order(&mut self) -> Order {
        tokio::select! {
            never = &mut self.connection => match never {},
            Some(order) = self.orders.recv() => order,
        }
    }

    pub(super) fn begun(&self, begun: Begun) {
        self.news.send_modify(|news| {
            let number = news.begun.as_ref().map_or(0, |(number, _)| *number);
            news.begun = Some((number + 1, begun));
        });
    }

    pub(super) fn heartbeat(&self, beat: Heartbeat) {
        self.news.send_modify(|news| {
            let number = news.heartbeat.map_or(0, |(number, _)| number);
            news.heartbeat = Some((number + 1, beat));
        });
    }

    pub(super) fn observed(&self, observed: Observed) {
        self.news.send_modify(|news| {
            let number = news.observed.as_ref().map_or(0, |(number, _)| *number);
            news.observed = Some((number + 1, observed));
        });
    }

    pub(super) fn result(&self, result: RunResult) {
        self.news.send_modify(|news| news.result = Some(result));
    }
}

/// What came of a connection.
enum Outcome {
    /// Nobody listens.
    Away,
    /// Somebody does, and said nothing.
    Refused,
    /// The daemon spoke to us.
    Heard,
}

async fn keep_connected(
    who: Registrant,
    (dir, launched_at): (AttemptDir, PathBuf),
    mut news: watch::Receiver<News>,
    orders: mpsc::Sender<Order>,
) -> Infallible {
    let mut pause = FIRST_PAUSE;
    loop {
        // It may have moved since.
        let socket = dir.daemon_socket();
        let socket = socket.as_ref().unwrap_or(&launched_at);
        let longest = match connection(&who, socket, &mut news, &orders).await {
            Outcome::Away => LONGEST_AWAY,
            Outcome::Refused => LONGEST_REFUSED,
            Outcome::Heard => {
                pause = FIRST_PAUSE;
                FIRST_PAUSE
            }
        };
        pause = pause.min(longest);
        sleep(with_jitter(pause)).await;
        pause *= 2;
    }
}

/// Between half of it and all of it, so that a thousand runners do not come at
/// the same moment.
fn with_jitter(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// One connection, until it is lost.
async fn connection(
    who: &Registrant,
    socket: &Path,
    news: &mut watch::Receiver<News>,
    orders: &mpsc::Sender<Order>,
) -> Outcome {
    let Ok(stream) = UnixStream::connect(socket).await else {
        return Outcome::Away;
    };
    let Ok(channel) = channel(stream).await else {
        return Outcome::Refused;
    };
    let (say, said) = mpsc::channel(4);
    let mut teller = Teller::default();
    let register = teller.register(who, &news.borrow_and_update());
    if say.try_send(register).is_err() {
        return Outcome::Refused;
    }
    crashpoint!("runner.register.before");
    let mut client = RunnerClient::new(channel);
    let Ok(response) = client.attach(ReceiverStream::new(said)).await else {
        return Outcome::Refused;
    };
    crashpoint!("runner.register.after");
    talk(response.into_inner(), &say, teller, news, orders).await
}

async fn talk(
    mut heard: Streaming<v1::DaemonMessage>,
    say: &mpsc::Sender<v1::RunnerMessage>,
    mut teller: Teller,
    news: &mut watch::Receiver<News>,
    orders: &mpsc::Sender<Order>,
) -> Outcome {
    let mut outcome = Outcome::Refused;
    loop {
        let now = Instant::now();
        let pending = teller.pending(&news.borrow(), now);
        let again = teller.told_result.map(|at| at + TELL_AGAIN);
        tokio::select! {
            message = heard.message() => {
                let Ok(Some(message)) = message else { return outcome };
                outcome = Outcome::Heard;
                if let Some(order) = wire::order(message)
                    && orders.send(order).await.is_err() {
                        return outcome;
                    }
            }
            permit = say.reserve(), if pending => {
                let Ok(permit) = permit else { return outcome };
                if let Some(message) = teller.next(&news.borrow_and_update(), now) {
                    permit.send(message);
                }
            }
            changed = news.changed(), if !pending => if changed.is_err() {
                return outcome;
            },
            () = sleep_until(again.unwrap_or(now)), if again.is_some() && !pending => {}
        }
    }
}

/// What was told on a connection.
#[derive(Debug, Default)]
struct Teller {
    told_start: u64,
    told_heartbeat: u64,
    told_observed: u64,
    told_result: Option<Instant>,
}

impl Teller {
    fn register(&mut self, who: &Registrant, news: &News) -> v1::RunnerMessage {
        let begun = news.begun.as_ref();
        self.told_start = begun.map_or(0, |(number, _)| *number);
        self.told_result = news.result.as_ref().map(|_| Instant::now());
        let begun = begun.map(|(_, begun)| begun);
        wire::register(who, begun, news.result.as_ref())
    }

    fn pending(&self, news: &News, now: Instant) -> bool {
        let start = news.begun.as_ref();
        let start = start.is_some_and(|(n, _)| *n > self.told_start);
        let beat = news.heartbeat.is_some_and(|(n, _)| n > self.told_heartbeat);
        let observed = news.observed.as_ref();
        let observed = observed.is_some_and(|(n, _)| *n > self.told_observed);
        let told = self.told_result.is_some_and(|at| now < at + TELL_AGAIN);
        start || beat || observed || news.result.is_some() && !told
    }

    /// The next thing to tell, the weightiest first.
    fn next(&mut self, news: &News, now: Instant) -> Option<v1::RunnerMessage> {
        if let Some((number, begun)) = &news.begun
            && *number > self.told_start
        {
            self.told_start = *number;
            return Some(wire::begun(begun));
        }
        if let Some(result) = &news.result {
            crashpoint!("runner.result.tell");
            // Signs of life say nothing new any more.
            self.told_heartbeat = news.heartbeat.map_or(0, |(number, _)| number);
            self.told_observed = news.observed.as_ref().map_or(0, |(number, _)| *number);
            self.told_result = Some(now);
            return Some(wire::exited(result));
        }
        if let Some((number, observed)) = &news.observed
            && *number > self.told_observed
        {
            self.told_observed = *number;
            crashpoint!("runner.observed.tell");
            return Some(wire::observed(observed));
        }
        let (number, beat) = news.heartbeat?;
        self.told_heartbeat = number;
        Some(wire::heartbeat(&beat))
    }
}

/// A channel over this one stream. Connecting by ourselves first is cheap when
/// nobody listens, and needs no threads.
async fn channel(stream: UnixStream) -> Result<Channel, tonic::transport::Error> {
    let mut stream = Some(stream);
    let connector = tower::service_fn(move |_: Uri| {
        let stream = stream.take().map(TokioIo::new);
        async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    // The name is never looked up; it fills the request's authority.
    Endpoint::from_static("http://agentd.invalid")
        .buffer_size(8)
        .connect_with_connector(connector)
        .await
}
