//! A process and everything below it.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read as _},
};

use rustix::process::Signal;

use super::{
    identity::Pinned,
    stat::{self, Stat, is_gone},
};

/// Rounds of stopping before the kill. Each finds what was forked during the
/// one before; in a stopped tree there is nothing to find.
const ROUNDS: usize = 32;

/// What a tree uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// CPU time of the living processes and of the children that they waited
    /// for, milliseconds.
    pub cpu: u64,
    /// Resident memory, bytes; what processes share is counted for each. The
    /// kernel's own figure, which may be some hundred KiB off for each.
    pub memory: u64,
    /// Living processes.
    pub processes: u32,
    /// Which processes these are: another number, if one came or went.
    pub set: u64,
}

/// The pids of the living processes below `root`, without itself.
///
/// A process whose parent dies during the look may be missed; the next look
/// finds it, if `root` is its subreaper.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn descendants(root: u32) -> io::Result<Vec<u32>> {
    Ok(living(root)?.iter().map(|stat| stat.pid).collect())
}

/// What the processes below `root` use, without itself.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn figures(root: u32) -> io::Result<Figures> {
    let tick = 1000 / rustix::param::clock_ticks_per_second().max(1);
    let page = rustix::param::page_size() as u64;
    let mut sum = Figures::default();
    for stat in living(root)? {
        let cpu = stat.cpu_ticks.saturating_mul(tick);
        sum.cpu = sum.cpu.saturating_add(cpu);
        let memory = stat.resident.saturating_mul(page);
        sum.memory = sum.memory.saturating_add(memory);
        sum.processes += 1;
        // In whatever order they are met; spread, so that sums differ.
        let name = u64::from(stat.pid) << 32 ^ stat.start_ticks;
        sum.set = sum
            .set
            .wrapping_add(name.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
    Ok(sum)
}

/// Sends a signal to every process below `root`; how many there were.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn signal_tree(root: u32, signal: Signal) -> io::Result<u32> {
    let mut met = 0;
    for stat in living(root)? {
        send(&stat, signal);
        met += 1;
    }
    Ok(met)
}

/// Kills every process below `root`; how many there were.
///
/// The tree is stopped first, so that one which forks faster than it is looked
/// at cannot outrun the kill. One sweep need not be enough: only a parent
/// without children is proof.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn sweep(root: u32) -> io::Result<u32> {
    strike(|| living(root))
}

/// Stops all that is found until nothing new is, then kills it.
pub(super) fn strike(mut find: impl FnMut() -> io::Result<Vec<Stat>>) -> io::Result<u32> {
    let mut met = HashSet::new();
    let mut targets = Vec::new();
    let mut failed = None;
    for _ in 0..ROUNDS {
        let before = targets.len();
        // A look that fails does not spare what was found before.
        let found = find().unwrap_or_else(|error| {
            failed = Some(error);
            Vec::new()
        });
        for stat in found {
            if met.insert((stat.pid, stat.start_ticks)) {
                send(&stat, Signal::STOP);
                targets.push(stat);
            }
        }
        if targets.len() == before {
            break;
        }
    }
    for stat in &targets {
        send(stat, Signal::KILL);
    }
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(u32::try_from(targets.len()).unwrap_or(u32::MAX))
}

/// Sends a signal if the process is still the one that was seen. One that may
/// not be signalled is left to the proof that it is gone.
fn send(stat: &Stat, signal: Signal) {
    if let Ok(Some(process)) = Pinned::of(stat.pid, stat.start_ticks) {
        process.signal(signal).ok();
    }
}

fn living(root: u32) -> io::Result<Vec<Stat>> {
    let mut found = match by_children(root)? {
        Some(found) => found,
        None => below(stat::all()?, |stat| stat.parent == root),
    };
    found.retain(|stat| stat.alive);
    Ok(found)
}

/// The processes for which `is_top` holds, and all below them.
pub(super) fn below(all: Vec<Stat>, is_top: impl Fn(&Stat) -> bool) -> Vec<Stat> {
    let mut children: HashMap<u32, Vec<Stat>> = HashMap::new();
    let mut found = Vec::new();
    for stat in all {
        if is_top(&stat) {
            found.push(stat);
        } else {
            children.entry(stat.parent).or_default().push(stat);
        }
    }
    let mut next = 0;
    while let Some(stat) = found.get(next) {
        found.extend(children.remove(&stat.pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// Walks the kernel's own lists of children, which costs nothing for the rest
/// of the machine; `None` if this kernel has no such lists.
fn by_children(root: u32) -> io::Result<Option<Vec<Stat>>> {
    let Some(top) = Stat::read(root)? else {
        return Ok(Some(Vec::new()));
    };
    let Some(mut pids) = children(&top)? else {
        return Ok(None);
    };
    let mut found = Vec::new();
    let mut seen: HashSet<u32> = pids.iter().copied().collect();
    while let Some(pid) = pids.pop() {
        let Some(stat) = Stat::read(pid)? else {
            continue;
        };
        found.push(stat);
        if stat.alive {
            let more = children(&stat)?.unwrap_or_default();
            pids.extend(more.into_iter().filter(|pid| seen.insert(*pid)));
        }
    }
    Ok(Some(found))
}

/// The children of all threads of a process; `None` if no thread has a list.
fn children(of: &Stat) -> io::Result<Option<Vec<u32>>> {
    let mut found = Vec::new();
    if of.threads == 1 {
        let listed = children_of_thread(of.pid, of.pid, &mut found)?;
        return Ok(listed.then_some(found));
    }
    let threads = match fs::read_dir(format!("/proc/{}/task", of.pid)) {
        Ok(threads) => threads,
        Err(error) if is_gone(&error) => return Ok(Some(found)),
        Err(error) => return Err(error),
    };
    let mut listed = false;
    for thread in threads {
        let name = match thread {
            Ok(thread) => thread.file_name(),
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        if let Some(thread) = name.to_str().and_then(|name| name.parse().ok()) {
            listed |= children_of_thread(of.pid, thread, &mut found)?;
        }
    }
    Ok(listed.then_some(found))
}

/// Adds the children of one thread; false if there is no list of them: the
/// thread is gone, or the kernel does not have such lists.
fn children_of_thread(pid: u32, thread: u32, found: &mut Vec<u32>) -> io::Result<bool> {
    let path = format!("/proc/{pid}/task/{thread}/children");
    let mut list = String::with_capacity(1024);
    match File::open(path).and_then(|mut file| file.read_to_string(&mut list)) {
        Ok(_) => {
            let pids = list.split_ascii_whitespace();
            found.extend(pids.filter_map(|pid| pid.parse::<u32>().ok()));
            Ok(true)
        }
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}
