//! How the machine is: what proc(5) says of load, memory and pressure.
//!
//! Nothing is decided by it; it is shown. What the kernel does not say is not
//! known: pressure is there from Linux 4.20 on, if it was built in.

use std::{fs, path::Path};

/// How the machine is now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Host {
    /// Processes that run or wait for the disk, the mean of 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// All memory, and what could be had without swapping, bytes.
    pub memory: Option<(u64, u64)>,
    /// What is waited for.
    pub cpu: Option<Pressure>,
    /// The same of memory.
    pub memory_pressure: Option<Pressure>,
    /// The same of the disks.
    pub io: Option<Pressure>,
}

/// How much of the time is lost by waiting, per cent (`Documentation/accounting/psi`).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    /// Somebody waited, of the last 10 seconds.
    pub some10: f64,
    /// The same of the last minute.
    pub some60: f64,
    /// All who could have run waited, of the last 10 seconds; 0 for the CPU,
    /// of which that cannot be.
    pub full10: f64,
}

impl Host {
    /// Looks at the machine.
    #[must_use]
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(Path::new("/proc").join(path)).ok();
        let pressure = |of: &str| pressure(&read(&format!("pressure/{of}"))?);
        Self {
            load: read("loadavg").as_deref().and_then(load),
            memory: read("meminfo").as_deref().and_then(memory),
            cpu: pressure("cpu"),
            memory_pressure: pressure("memory"),
            io: pressure("io"),
        }
    }
}

/// What the machine is called; empty if it does not say.
#[must_use]
pub fn name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

fn load(text: &str) -> Option<[f64; 3]> {
    let mut means = text.split_whitespace().map(share);
    Some([means.next()??, means.next()??, means.next()??])
}

/// A number that is one, and not below 0.
fn share(word: &str) -> Option<f64> {
    let number: f64 = word.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn memory(text: &str) -> Option<(u64, u64)> {
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    };
    Some((of("MemTotal:")?, of("MemAvailable:")?))
}

fn pressure(text: &str) -> Option<Pressure> {
    let of = |kind: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let mut words = line.split_whitespace();
        words.find_map(|word| share(word.strip_prefix(name)?))
    };
    Some(Pressure {
        some10: of("some ", "avg10=")?,
        some60: of("some ", "avg60=")?,
        full10: of("full ", "avg10=").unwrap_or(0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_understood() {
        let some = "some avg10=1.25 avg60=0.40 avg300=0.10 total=123\n";
        let full = "full avg10=0.50 avg60=0.20 avg300=0.00 total=12\n";
        let expected = Pressure {
            some10: 1.25,
            some60: 0.4,
            full10: 0.5,
        };
        assert_eq!(pressure(&format!("{some}{full}")), Some(expected));
        let cpu = pressure(some).unwrap();
        assert_eq!((cpu.some10, cpu.full10), (1.25, 0.0));
        assert_eq!(load("0.50 1.00 2.25 3/456 789\n"), Some([0.5, 1.0, 2.25]));
        let text = "MemTotal:        2000 kB\nMemFree: 5 kB\nMemAvailable:    1000 kB\n";
        assert_eq!(memory(text), Some((2_048_000, 1_024_000)));
    }

    #[test]
    fn this_machine_says_something() {
        let host = Host::look();
        assert!(host.load.is_some(), "{host:?}");
        assert!(
            host.memory.is_some_and(|(all, there)| there <= all),
            "{host:?}"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_mistaken(text in "((some|full|MemTotal:|MemAvailable:|avg10=|avg60=|[0-9.]{1,20}|nan|inf|kB|\\PC)[ \n]?){0,12}") {
            let shares = load(&text).into_iter().flatten();
            let told = pressure(&text);
            let told = told.into_iter().flat_map(|p| [p.some10, p.some60, p.full10]);
            proptest::prop_assert!(shares.chain(told).all(|share| share.is_finite() && share >= 0.0));
            let _memory = memory(&text);
        }
    }
}
