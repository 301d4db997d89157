//! Notices that the wall clock was set, or that the machine has slept.
//!
//! A timer at the end of time, which the kernel cancels whenever the wall clock
//! is set; it does the same when it resumes from a suspend (`timerfd_resume`).
//! Nothing is awake meanwhile.

use std::io;

use rustix::{
    fd::OwnedFd,
    io::Errno,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use tokio::io::{Interest, unix::AsyncFd};

/// Sees each jump of the wall clock after it was made.
#[derive(Debug)]
pub struct ClockWatch {
    timer: AsyncFd<OwnedFd>,
}

impl ClockWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// If the kernel gives no timer.
    #[expect(
        unsafe_code,
        reason = "tokio trusts that a descriptor stays what it is"
    )]
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        arm(&timer)?;
        // SAFETY: an `OwnedFd` names the same open descriptor until it is
        // dropped, and it is never taken out of the `AsyncFd`.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self { timer })
    }

    /// Waits for the next jump. None is lost between two calls.
    ///
    /// # Errors
    /// If the timer fails.
    pub async fn jumped(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable_mut().await?;
            let mut expirations = [0; 8];
            match rustix::io::read(ready.get_inner(), &mut expirations) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(Errno::CANCELED) => {
                    ready.clear_ready();
                    arm(ready.get_inner())?;
                    return Ok(());
                }
                // The end of time has come: as good a reason to look.
                Ok(_) => {
                    arm(ready.get_inner())?;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A jump that comes meanwhile is told by the setting of the timer itself, which
/// takes place all the same.
fn arm(timer: &OwnedFd) -> io::Result<()> {
    let never = Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec {
            tv_sec: i64::MAX,
            tv_nsec: 0,
        },
    };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    match timerfd_settime(timer, flags, &never) {
        Ok(_) | Err(Errno::CANCELED) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// That a jump is told cannot be tried without setting the clock of the
    /// machine; that nothing is told without one can.
    #[tokio::test]
    async fn nothing_is_told_while_the_clock_goes_on() {
        let mut watch = ClockWatch::new().unwrap();
        let told = tokio::time::timeout(Duration::from_millis(50), watch.jumped());
        assert!(told.await.is_err());
    }
}
