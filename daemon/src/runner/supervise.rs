//! The loop: waits for one thing, lets the state machine decide, does it.

mod conclude;
mod start;

use std::{
    collections::VecDeque,
    future::pending,
    time::{Duration, Instant},
};

use rustix::process::{Pid, kill_process_group};
use tokio::{
    signal::unix::{Signal as SignalStream, SignalKind, signal},
    time::sleep_until,
};

use self::conclude::Unstored;
use super::{
    activity::{Activity, IdleLimits},
    agent,
    eviction::{Eviction, Evictions},
    link::Link,
    log,
    machine::{Action, Event, Leave, Machine, Order},
    news::Told,
    output::Output,
    scope,
    setup::{Ready, SetupError},
    wire::{Heartbeat, Registrant, Started},
};
use crate::{
    process::{self, Leaf, Signal},
    spool::{AttemptDir, Launch},
    task::moment::Boot,
    transcript::Source,
};

/// Shortest time between heartbeats, whatever the launch file says.
const MIN_HEARTBEAT: Duration = Duration::from_millis(10);
/// A year is as good as for ever, and can be added to any time.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the loop can wait for.
enum Input {
    /// First: it says what an end means that comes with it.
    Evicted(Eviction),
    Order(Order),
    /// A child has ended.
    Child,
    Output(Source),
    /// Something is due.
    Time,
}

/// What may follow an agent that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another one without its session, if it did not know that.
    Afresh,
    /// Nothing: its end is asked for.
    Nothing,
}

/// What came of an action.
enum Done {
    Nothing,
    Event(Event),
    Leave(Leave),
}

struct Supervisor {
    dir: AttemptDir,
    launch: Launch,
    machine: Machine,
    link: Link,
    output: Output,
    children: SignalStream,
    evictions: Evictions,
    /// The main process that was started last.
    main: Option<u32>,
    /// The agent, once started.
    agent: Option<Started>,
    boot: Boot,
    activity: Activity,
    told: Told,
    /// Its control group, if it has one.
    leaf: Option<Leaf>,
    unstored: Option<Unstored>,
}

/// Supervises one attempt until the runner may leave.
pub(super) async fn supervise(ready: Ready) -> Result<Leave, SetupError> {
    let Ready {
        dir,
        launch,
        identity,
    } = ready;
    let children = signal(SignalKind::child())
        .map_err(SetupError::system("cannot listen for ended children"))?;
    let evictions = Evictions::listen().map_err(SetupError::system("cannot listen for signals"))?;
    let boot = Boot::of(&identity.boot_id);
    let registrant = Registrant {
        dir: dir.path().to_owned(),
        attempt: launch.attempt,
        nonce: launch.nonce,
        runner: identity,
    };
    let now = Instant::now();
    let [start, kill_grace, result_grace] =
        [launch.start_timeout, launch.kill_grace, launch.result_grace]
            .map(|millis| Duration::from_millis(millis).min(LONGEST));
    let idle_limits = IdleLimits::of(&launch, LONGEST);
    let heartbeat = Duration::from_millis(launch.heartbeat).max(MIN_HEARTBEAT);
    let mut machine = Machine::new(now + start, kill_grace, result_grace);
    if let Some(setup) = &launch.setup {
        machine = machine.setting_up(Duration::from_millis(setup.limit).min(LONGEST));
    }
    let mut supervisor = Supervisor {
        machine,
        link: Link::new(registrant, dir.clone(), launch.socket.clone()),
        output: Output::new(
            dir.transcript(),
            launch.transcript_limit,
            launch.reads.clone(),
        ),
        dir,
        launch,
        children,
        evictions,
        main: None,
        agent: None,
        boot,
        activity: Activity::new(heartbeat, idle_limits, now),
        told: Told::default(),
        leaf: None,
        unstored: None,
    };
    loop {
        let input = supervisor.next().await;
        if let Some(leave) = supervisor.take(input) {
            return Ok(leave);
        }
    }
}

impl Supervisor {
    /// The next thing that happens.
    async fn next(&mut self) -> Input {
        let due = self.due();
        tokio::select! {
            biased;
            evicted = self.evictions.next() => Input::Evicted(evicted),
            order = self.link.order() => Input::Order(order),
            Some(()) = self.children.recv() => Input::Child,
            () = wait_until(due) => Input::Time,
            // Last: there is no end of it.
            source = self.output.readable() => Input::Output(source),
        }
    }

    /// When something is due.
    fn due(&self) -> Option<Instant> {
        let store = self.unstored.as_ref().map(|unstored| unstored.again);
        let flush = self.output.flush_at();
        let told = self.told.at();
        let all = [self.machine.deadline(), store, flush, told];
        all.into_iter().flatten().chain([self.tell_at()]).min()
    }

    fn take(&mut self, input: Input) -> Option<Leave> {
        let leave = self.take_one(input);
        let may_leave = self.machine.may_leave() && self.unstored.is_none();
        leave.or(may_leave.then_some(Leave::Evicted))
    }

    fn take_one(&mut self, input: Input) -> Option<Leave> {
        match input {
            Input::Evicted(eviction) => self.evict(eviction),
            Input::Order(order) => {
                // An agent that has ended by now has not ended of a stop.
                if matches!(order, Order::Stop { .. })
                    && let Some(event) = self.reap(Next::Nothing)
                    && let Some(leave) = self.act(event)
                {
                    return Some(leave);
                }
                self.act(Event::Order(order))
            }
            Input::Child => self.reap(Next::Afresh).and_then(|event| self.act(event)),
            Input::Output(source) => {
                let over = self.output.seen().over;
                self.output.read(source);
                self.tell_news(Instant::now());
                let seen = self.output.seen();
                let now_over = seen.over;
                self.activity.waits_for_tool(seen.tool);
                let changed = over != now_over;
                changed.then(|| self.act(Event::LastWord(now_over)))?
            }
            Input::Time => self.do_what_is_due(),
        }
    }

    /// The service manager ends whatever is here.
    fn evict(&mut self, eviction: Eviction) -> Option<Leave> {
        let grace = Duration::from_millis(scope::grace(&self.launch));
        // An agent that has ended by now and was not told has ended by itself.
        if eviction == Eviction::OfScope
            && let Some(event) = self.reap(Next::Nothing)
            && let Some(leave) = self.act(event)
        {
            return Some(leave);
        }
        self.act(Event::Evicted { grace })
    }

    fn do_what_is_due(&mut self) -> Option<Leave> {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.output.flush_at()) {
            self.output.flush();
        }
        if due(self.unstored.as_ref().map(|unstored| unstored.again)) {
            self.store();
        }
        if due(self.told.at()) {
            self.tell_news(now);
        }
        if due(Some(self.tell_at())) {
            self.tell(now);
            if !self.machine.has_tree() && self.is_abandoned() {
                return Some(Leave::Abandoned);
            }
        }
        if due(self.machine.deadline()) {
            return self.act(Event::Deadline);
        }
        None
    }

    /// The result is not held by us alone, and its directory is gone.
    fn is_abandoned(&self) -> bool {
        self.unstored.is_none() && matches!(self.dir.path().try_exists(), Ok(false))
    }

    /// Lets the machine decide, does what it says, and lets it decide about
    /// what came of that.
    fn act(&mut self, event: Event) -> Option<Leave> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.machine.handle(event, Instant::now()) {
                match self.perform(action) {
                    Done::Nothing => {}
                    Done::Event(event) => events.push_back(event),
                    Done::Leave(leave) => return Some(leave),
                }
            }
        }
        None
    }

    fn perform(&mut self, action: Action) -> Done {
        match action {
            Action::Spawn(stage) => return Done::Event(self.spawn(stage)),
            Action::Note(text) => self.output.note(&text),
            Action::AskPolitely => {
                if self.machine.lingered() {
                    // What it says of being interrupted is not its result.
                    self.output.read_no_more();
                }
                self.ask_politely();
            }
            Action::Terminate => self.signal_tree(Signal::TERM),
            Action::Sweep => {
                crashpoint!("runner.signal.kill");
                if let Some(Err(error)) = self.leaf.as_ref().map(Leaf::kill) {
                    log("cannot kill the agent's control group", &error);
                }
                // Also what has left the group.
                if let Err(error) = process::sweep(std::process::id()) {
                    log("cannot look at the agent's processes", &error);
                }
                let reaped = self.reap(Next::Afresh);
                return reaped.map_or(Done::Nothing, Done::Event);
            }
            Action::Conclude(end) => self.conclude(end),
            Action::Leave(leave) => {
                if leave == Leave::Evicted {
                    self.say_evicted();
                }
                crashpoint!("runner.leave");
                self.close_leaf();
                return Done::Leave(leave);
            }
        }
        Done::Nothing
    }

    /// The main process has not been waited for: its pid, which is also its
    /// process group's, is still its own.
    fn ask_politely(&self) {
        let group = self.main.and_then(|pid| i32::try_from(pid).ok());
        let Some(group) = group.and_then(Pid::from_raw) else {
            return;
        };
        crashpoint!("runner.signal.polite");
        let agents = Signal::from_named_raw(self.launch.polite_signal);
        let polite = agents.filter(|_| !self.machine.sets_up());
        let polite = polite.unwrap_or(Signal::TERM);
        // One that was stopped gets the signal when it goes on.
        for signal in [polite, Signal::CONT] {
            if let Err(error) = kill_process_group(group, signal) {
                log("cannot signal the agent", &error);
            }
        }
    }

    fn signal_tree(&self, signal: Signal) {
        crashpoint!("runner.signal.tree");
        for signal in [signal, Signal::CONT] {
            match process::signal_tree(std::process::id(), signal) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => log("cannot look at the agent's processes", &error),
            }
        }
    }

    /// Lets the daemon know what the agent has printed of itself.
    fn tell_news(&mut self, now: Instant) {
        if let Some(observed) = self.told.news(&self.output.seen().observed, now) {
            self.link.observed(observed);
        }
    }

    /// When to give the next sign of life, or to see whether anybody can still
    /// want one.
    fn tell_at(&self) -> Instant {
        self.activity.tell_at(self.output.printed())
    }

    /// Looks at the tree if that is due, and gives a sign of life.
    fn tell(&mut self, now: Instant) {
        let printed = self.output.printed();
        let has_tree = self.machine.has_tree();
        if !has_tree {
            self.activity.look(None, printed, now);
        } else if self.activity.look_at(printed) <= now {
            let figures = process::figures(std::process::id()).map(|mut figures| {
                figures.cpu += agent::reaped_cpu();
                figures
            });
            self.activity.look(figures.ok(), printed, now);
        }
        self.activity.told(now);
        if has_tree {
            self.link.heartbeat(Heartbeat {
                output: self.output.written(),
                figures: self.activity.figures(),
                silent: now.saturating_duration_since(printed),
                // A setup has a limit of its own.
                idle: match self.machine.sets_up() {
                    true => Duration::ZERO,
                    false => self.activity.idle(),
                },
                tool: self.output.seen().tool,
            });
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => pending().await,
    }
}
