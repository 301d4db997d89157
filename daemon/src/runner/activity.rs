//! Whether the agent does anything, when to look, and when to say so.
//!
//! Output is seen when it comes. CPU time and processes are looked at now and
//! then; what changed since the look before counts as done at the look, so that
//! an agent is never taken for idle sooner than it is. A look that fails counts
//! as a change, and so does one that comes late because the runner was stopped or
//! starved: what was not seen is not held against the agent.
//!
//! A look at a tree costs more than all else that a runner does while its agent
//! waits. So a tree in which nothing changes is looked at ever less often, until
//! something is printed; and the signs of life become fewer, too.

use std::time::{Duration, Instant};

use crate::{process::Figures, spool::Launch, task::limits::QUIET_BEATS};

/// By how much the time between two looks grows at the most.
const RAREST_LOOK: u32 = 12;

/// CPU time by which an agent does nothing, as a part of the time between two
/// looks, and at least: a program that waits has timers that go off, and what
/// they take is told in whole ticks.
const TIMERS: u32 = 100;
const TIMERS_LEAST: Duration = Duration::from_millis(20);

/// A look that comes so much later than it should says nothing about the time
/// before it.
const LATE: Duration = Duration::from_secs(5);

/// How long the agent may do nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct IdleLimits {
    pub(super) usual: Option<Duration>,
    /// While it waits for a tool.
    pub(super) tool: Option<Duration>,
}

impl IdleLimits {
    /// What the launch file says, up to the `longest` that can be waited for.
    pub(super) fn of(launch: &Launch, longest: Duration) -> Self {
        let limit = |millis: Option<u64>| millis.map(|ms| Duration::from_millis(ms).min(longest));
        Self {
            usual: limit(launch.idle_timeout),
            tool: limit(launch.tool_idle_timeout.or(launch.idle_timeout)),
        }
    }
}

/// What is known of the agent's doings.
#[derive(Debug)]
pub(super) struct Activity {
    every: Duration,
    /// The limits of which the daemon wants to know at once when they are
    /// reached.
    limits: IdleLimits,
    /// The agent waits for a tool.
    tool: bool,
    seen: Option<Figures>,
    /// The last sign that it does something.
    last: Instant,
    /// The last look.
    looked: Instant,
    /// From it to the next.
    pause: Duration,
    /// The last sign of life.
    told: Instant,
}

impl Activity {
    /// Of an agent that is started `now`; `every` is the time between two
    /// heartbeats while it does something.
    pub(super) fn new(every: Duration, limits: IdleLimits, now: Instant) -> Self {
        Self {
            every,
            limits,
            tool: false,
            seen: None,
            last: now,
            looked: now,
            pause: every,
            told: now,
        }
    }

    /// Something else is run from `now` on.
    pub(super) fn begin(&mut self, now: Instant) {
        *self = Self::new(self.every, self.limits, now);
    }

    /// Takes note of a look at the tree; `printed` is when it last printed.
    pub(super) fn look(&mut self, figures: Option<Figures>, printed: Instant, now: Instant) {
        let before = self.last;
        let late = now > self.look_at(printed) + LATE;
        let still = match (&figures, &self.seen) {
            (Some(figures), Some(then)) => {
                let passed = now.saturating_duration_since(self.looked);
                let timers = (passed / TIMERS).max(TIMERS_LEAST);
                let used = Duration::from_millis(figures.cpu.abs_diff(then.cpu));
                !late && used <= timers && figures.set == then.set
            }
            (None, _) | (_, None) => false,
        };
        self.last = match still {
            true => before.max(printed),
            false => now,
        };
        self.pause = match self.last == before {
            true => (self.pause * 2).min(self.every * RAREST_LOOK),
            false => self.every,
        };
        self.seen = figures;
        self.looked = now;
    }

    /// The agent waits for a tool that it has started, or for none any more.
    pub(super) fn waits_for_tool(&mut self, tool: bool) {
        self.tool = tool;
    }

    /// A sign of life was given.
    pub(super) fn told(&mut self, now: Instant) {
        self.told = now;
    }

    /// What the last look found.
    pub(super) fn figures(&self) -> Figures {
        // Without figures a heartbeat is still a sign of life.
        self.seen.unwrap_or_default()
    }

    /// How long it has done nothing, as of the last look.
    pub(super) fn idle(&self) -> Duration {
        self.looked.saturating_duration_since(self.last)
    }

    /// When to look next. `printed` as in [`Activity::look`].
    pub(super) fn look_at(&self, printed: Instant) -> Instant {
        let pause = match printed > self.looked {
            true => self.every,
            false => self.pause,
        };
        let regular = self.looked + pause;
        let limit = match self.tool {
            true => self.limits.tool,
            false => self.limits.usual,
        };
        let limit = limit.map(|limit| self.last.max(printed) + limit);
        let limit = limit.filter(|limit| *limit > self.looked);
        limit.map_or(regular, |limit| regular.min(limit))
    }

    /// When to give the next sign of life: with every look, and in between.
    pub(super) fn tell_at(&self, printed: Instant) -> Instant {
        let quiet = self.pause > self.every && printed <= self.told;
        let wait = match quiet {
            true => self.every * QUIET_BEATS,
            false => self.every,
        };
        self.look_at(printed).min(self.told + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(5);
    /// The limit while it waits for a tool.
    const LONG: Duration = Duration::from_secs(1000);

    #[test]
    fn a_tool_has_a_limit_of_its_own() {
        let start = Instant::now();
        let limits = IdleLimits {
            usual: Some(Duration::from_secs(1)),
            tool: Some(Duration::from_secs(3)),
        };
        let mut activity = Activity::new(EVERY, limits, start);
        assert_eq!(activity.look_at(start), start + Duration::from_secs(1));
        activity.waits_for_tool(true);
        assert_eq!(activity.look_at(start), start + Duration::from_secs(3));
        activity.waits_for_tool(false);
        assert_eq!(activity.look_at(start), start + Duration::from_secs(1));
    }

    fn figures(cpu: u64, set: u64) -> Option<Figures> {
        Some(Figures {
            cpu,
            set,
            ..Figures::default()
        })
    }

    #[test]
    fn output_cpu_time_and_processes_are_signs_and_memory_is_none() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut activity = Activity::new(EVERY, IdleLimits::default(), start);
        activity.look(figures(1, 1), start, at(0));
        activity.look(figures(1, 1), start, at(5));
        assert_eq!(activity.idle(), EVERY);
        let more_memory = figures(1, 1).map(|figures| Figures {
            memory: 9,
            ..figures
        });
        activity.look(more_memory, start, at(15));
        assert_eq!(activity.idle(), 3 * EVERY);
        // Timers of a program that waits.
        activity.look(figures(50, 1), start, at(20));
        assert_eq!(activity.idle(), 4 * EVERY);
        activity.look(figures(151, 1), start, at(30));
        assert_eq!(activity.idle(), Duration::ZERO);
        activity.look(figures(151, 2), start, at(31));
        assert_eq!(activity.idle(), Duration::ZERO);
        activity.look(figures(151, 2), at(33), at(35));
        assert_eq!(activity.idle(), Duration::from_secs(2));
        // What cannot be seen is no silence, and neither is the next look.
        activity.look(None, at(33), at(45));
        assert_eq!(activity.idle(), Duration::ZERO);
        activity.look(figures(151, 2), at(33), at(50));
        assert_eq!(activity.idle(), Duration::ZERO);
        // The runner was stopped for an hour; who knows what the agent did.
        activity.look(figures(151, 2), at(33), at(3_650));
        assert_eq!(activity.idle(), Duration::ZERO);
    }

    /// The seconds at which it looks, and those at which it tells, of an agent
    /// that prints at `printed` and does nothing else.
    fn seconds(limit: Option<u64>, printed: Option<u64>, until: u64) -> (Vec<u64>, Vec<u64>) {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let limits = IdleLimits {
            usual: limit.map(Duration::from_secs),
            tool: Some(LONG),
        };
        let mut activity = Activity::new(EVERY, limits, start);
        let (mut looks, mut tells) = (Vec::new(), Vec::new());
        for second in 1..=until {
            let now = at(second);
            let printed = printed.filter(|p| *p <= second).map_or(start, at);
            if activity.tell_at(printed) > now {
                continue;
            }
            if activity.look_at(printed) <= now {
                activity.look(figures(1, 1), printed, now);
                looks.push(second);
            }
            activity.told(now);
            tells.push(second);
        }
        (looks, tells)
    }

    #[test]
    fn a_quiet_tree_is_looked_at_less_often_until_it_prints() {
        let (looks, tells) = seconds(None, None, 200);
        assert_eq!(looks, [5, 10, 20, 40, 80, 140, 200]);
        let between = [35, 55, 70, 95, 110, 125, 155, 170, 185];
        let mut all = [&looks[..], &between].concat();
        all.sort_unstable();
        assert_eq!(tells, all);
        // What ends the quiet is told at once.
        let (looks, tells) = seconds(None, Some(93), 120);
        assert_eq!(looks, [5, 10, 20, 40, 80, 93, 98, 108]);
        assert_eq!(tells[8..], [93, 98, 108]);
    }

    #[test]
    fn the_limit_is_looked_at_when_it_is_reached() {
        // The first look is the first that there is to compare with.
        let (looks, _) = seconds(Some(63), None, 180);
        assert_eq!(looks, [5, 10, 20, 40, 68, 128]);
        let (looks, _) = seconds(Some(63), Some(50), 180);
        assert_eq!(looks[4..6], [50, 55]);
        assert!(looks.contains(&113), "{looks:?}");
    }
}
