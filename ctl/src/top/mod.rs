//! `agentctl top`: the tasks as they change, on the whole screen.
//!
//! - `model` is the state of the screen: events in, effects out, no I/O.
//! - `draw` makes cells of it, `layout` says where what is.
//! - `feed`, `input` and `jobs` tell it what happens: at the daemon, at the
//!   keyboard, and to what it asked for.
//! - `screen` takes the terminal over and gives it back.
//!
//! Here they are tied together. Everything runs in one task; what grows has a
//! limit, since it may be left open for weeks.

mod detail;
mod draw;
mod event;
mod feed;
mod health;
mod input;
mod jobs;
mod layout;
mod model;
mod row;
mod screen;
mod tasks;
#[cfg(test)]
mod testing;
mod text;
mod transcript;

use std::{
    future::pending,
    io::{self, IsTerminal as _},
    pin::pin,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, mpsc},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use self::{
    event::{Effect, Event},
    feed::Gone,
    jobs::Jobs,
    model::Model,
    screen::Screen,
};
use crate::{
    cli::Context,
    client::Client,
    error::{EXIT_OK, Error, Kind},
};

/// Events that wait to be taken.
const EVENTS: usize = 256;
/// Between two drawings.
const FRAME: Duration = Duration::from_millis(30);
/// Between two drawings of relative times.
const TICK: Duration = Duration::from_secs(1);

/// Woken when the daemon was asked to do something: how it is has changed.
static REFRESH: Notify = Notify::const_new();

/// Shows the tasks until a person has seen enough; the exit code.
///
/// # Errors
/// There is no terminal, no daemon, or the daemon refuses.
pub(crate) async fn run(cx: &mut Context) -> Result<u8, Error> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Error::usage("agentctl top needs a terminal")
            .because("its input or output is none")
            .hint("agentctl ls lists tasks, agentctl watch prints what happens to them"));
    }
    let client = cx.client().await?;
    let mut signals = Signals::new().map_err(|error| broken("cannot handle signals", error))?;
    let terminal = |error| broken("the terminal cannot be used", error);
    let mut screen = Screen::take(cx.out.color).map_err(terminal)?;
    let size = screen.size().map_err(terminal)?;
    let model = Model::new(size, Timestamp::now(), cx.out.zone());
    let (sender, events) = mpsc::channel(EVENTS);
    input::start(sender.clone()).map_err(terminal)?;
    let top = Top {
        client,
        sender,
        model,
        jobs: Jobs::default(),
    };
    top.run(events, &mut screen, &mut signals).await
}

fn broken(what: &str, error: io::Error) -> Error {
    Error::new(Kind::Other, what).because(error)
}

struct Top {
    client: Client,
    sender: feed::Sender,
    model: Model,
    jobs: Jobs,
}

impl Top {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        screen: &mut Screen,
        signals: &mut Signals,
    ) -> Result<u8, Error> {
        let zone = self.model.zone.clone();
        let daemon = feed::daemon(self.client.clone(), self.sender.clone(), &REFRESH, zone);
        let mut daemon = pin!(daemon);
        let mut clock = interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut taken = Vec::with_capacity(EVENTS);
        let (mut drawn, mut changed) = (Instant::now(), true);
        loop {
            tokio::select! {
                _ = events.recv_many(&mut taken, EVENTS) => {}
                () = self.jobs.work() => {}
                ended = &mut daemon => return ended.map(|Gone| EXIT_OK),
                event = signals.next() => taken.push(event),
                _ = clock.tick() => taken.push(Event::Tick(Timestamp::now())),
                () = sleep_until(drawn + FRAME), if changed => {
                    let size = screen.size().and_then(|size| {
                        screen.draw(&self.model)?;
                        Ok(size)
                    });
                    let (width, height) = size.map_err(|e| broken("cannot draw", e))?;
                    (drawn, changed) = (Instant::now(), false);
                    // A change of size while others had the terminal is not told.
                    if (width, height) != self.model.size {
                        taken.push(Event::Resize(width, height));
                    }
                }
            }
            for event in taken.drain(..) {
                changed = true;
                for effect in self.model.update(event) {
                    if let Effect::Quit(code) = effect {
                        return Ok(code);
                    }
                    self.carry_out(effect, screen)
                        .map_err(|error| broken("the terminal cannot be used", error))?;
                }
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, screen: &mut Screen) -> io::Result<()> {
        let (client, sender) = (&self.client, &self.sender);
        match effect {
            // The loop ends with it.
            Effect::Quit(_) => {}
            Effect::Suspend => screen.suspend()?,
            Effect::Repaint => screen.forget()?,
            Effect::Explain(task) => self.jobs.explain(client, sender, task),
            Effect::Follow { task, opening } => self.jobs.follow(client, sender, task, opening),
            Effect::Unfollow => self.jobs.unfollow(),
            Effect::Act(action) => self.jobs.act(client, sender, &REFRESH, action),
        }
        Ok(())
    }
}

/// The signals that end the program, with the exit codes that tell of them, and
/// the one with which a shell lets it go on.
struct Signals {
    ends: [(Signal, u8); 4],
    goes_on: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let end = |kind: SignalKind, code| Ok::<_, io::Error>((signal(kind)?, code));
        Ok(Self {
            ends: [
                end(SignalKind::hangup(), 129)?,
                end(SignalKind::interrupt(), crate::error::EXIT_INTERRUPTED)?,
                end(SignalKind::quit(), 131)?,
                end(SignalKind::terminate(), 143)?,
            ],
            goes_on: signal(SignalKind::from_raw(nix::libc::SIGCONT))?,
        })
    }

    async fn next(&mut self) -> Event {
        let [(hangup, a), (interrupt, b), (quit, c), (terminate, d)] = &mut self.ends;
        tokio::select! {
            Some(()) = hangup.recv() => Event::Ended(*a),
            Some(()) = interrupt.recv() => Event::Ended(*b),
            Some(()) = quit.recv() => Event::Ended(*c),
            Some(()) = terminate.recv() => Event::Ended(*d),
            Some(()) = self.goes_on.recv() => Event::Continued,
            else => pending().await,
        }
    }
}
