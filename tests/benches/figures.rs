//! How fast agentd is, beside what the machine itself can do in the same run.
//!
//! `cargo build --release --locked && cargo bench -p agentd-tests`
//!
//! The figures are medians; compare the ratios, not the times: machines differ
//! and are busy. Nothing here passes or fails.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use agentd_proto::v1::{PauseRequest, SubmitRequest, WaitRequest};
use agentd_tests::TestDaemon;
use tokio::task::JoinSet;

/// Runs of each latency figure.
const RUNS: usize = 100;
/// Tasks of the throughput figure.
const TASKS: usize = 1_000;
/// Submits of the durability figures.
const SUBMITS: usize = 500;
/// Tasks that there are when they are listed, and runs of that.
const MANY: usize = 100_000;
const LISTS: usize = 20;
/// Attempts at the same time.
const SLOTS: u32 = 16;
/// Submitters at the same time.
const CLIENTS: usize = 64;

fn main() {
    let daemon = TestDaemon::with(&format!("[daemon]\nmax_running = {SLOTS}\n"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    say("| figure | agentd | beside it | ratio |");
    say("|---|---|---|---|");
    first_instruction(&daemon);
    runtime.block_on(whole_lives(&daemon));
    runtime.block_on(durable_submits(&daemon));
    runtime.block_on(lists(&daemon));
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("somebody reads the figures");
}

fn row(figure: &str, ours: &str, theirs: &str, ratio: f64) {
    say(&format!("| {figure} | {ours} | {theirs} | {ratio:.2} |"));
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn median(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// From the start of `agentctl submit` to the agent's first instruction, beside
/// a bare `sh -c` of the same script.
fn first_instruction(daemon: &TestDaemon) {
    let fifo = daemon.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    // Open for both, so that opening never waits.
    let mut signal = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .expect("the fifo");
    let script = format!("echo > {}", fifo.display());
    let mut wait = || {
        let mut byte = [0];
        signal.read_exact(&mut byte).expect("the agent's sign");
    };
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let start = Instant::now();
        let mut child = shell(&script);
        wait();
        bare.push(start.elapsed());
        child.wait().expect("a bare shell");

        let mut submit = daemon
            .agentctl()
            .command(&["submit", "-q", "--", "sh", "-c", &script]);
        let start = Instant::now();
        let mut child = submit.stdout(Stdio::null()).spawn().expect("agentctl");
        wait();
        ours.push(start.elapsed());
        child.wait().expect("agentctl");
    }
    let ((ours, ours_p99), (bare, _)) = (median(&mut ours), median(&mut bare));
    row(
        "submit → first instruction, median",
        &millis(ours),
        &format!("bare `sh -c`: {}", millis(bare)),
        ours.as_secs_f64() / bare.as_secs_f64(),
    );
    row(
        "the same, 99th of 100",
        &millis(ours_p99),
        &format!("its median: {}", millis(ours)),
        ours_p99.as_secs_f64() / ours.as_secs_f64(),
    );
}

#[expect(clippy::disallowed_methods, reason = "the measure of all things here")]
fn shell(script: &str) -> std::process::Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).spawn().expect("sh")
}

/// No-op tasks through their whole life, beside bare `true` in as many threads.
async fn whole_lives(daemon: &TestDaemon) {
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = daemon.client().await;
        clients.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..TASKS / CLIENTS {
                let request = SubmitRequest {
                    command: vec!["true".to_owned()],
                    ..SubmitRequest::default()
                };
                let answer = client.submit(request).await.expect("a submit").into_inner();
                ids.push(answer.task.expect("a task").id);
            }
            ids
        });
    }
    let ids: Vec<u64> = clients.join_all().await.concat();
    let count = ids.len();
    let wait = WaitRequest {
        ids,
        ..WaitRequest::default()
    };
    daemon.client().await.wait(wait).await.expect("their end");
    let ours = rate(count, start.elapsed());

    let left = Arc::new(AtomicU32::new(u32::try_from(count).expect("a count")));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..SLOTS {
            scope.spawn(|| {
                let taken = |n: u32| n.checked_sub(1);
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
                    .is_ok()
                {
                    shell("exec true").wait().expect("a bare shell");
                }
            });
        }
    });
    let bare = rate(count, start.elapsed());
    row(
        "no-op tasks, whole life, 16 slots",
        &format!("{ours:.0}/s"),
        &format!("bare spawn and wait, 16 threads: {bare:.0}/s"),
        ours / bare,
    );
}

/// Durable submits, beside the machine's own append and `fdatasync` of 4 KiB.
async fn durable_submits(daemon: &TestDaemon) {
    let mut client = daemon.client().await;
    client
        .pause(PauseRequest::default())
        .await
        .expect("a pause");
    let synced = syncs(&daemon.path("appended"));
    let request = || SubmitRequest {
        command: vec!["true".to_owned()],
        ..SubmitRequest::default()
    };
    let start = Instant::now();
    for _ in 0..SUBMITS {
        client.submit(request()).await.expect("a submit");
    }
    let one = rate(SUBMITS, start.elapsed());
    let beside = format!("4 KiB append + fdatasync: {synced:.0}/s");
    row(
        "durable submits, one after the other",
        &format!("{one:.0}/s"),
        &beside,
        one / synced,
    );

    let start = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = daemon.client().await;
        clients.spawn(async move {
            for _ in 0..SUBMITS / 10 {
                client.submit(request()).await.expect("a submit");
            }
        });
    }
    clients.join_all().await;
    let many = rate(CLIENTS * (SUBMITS / 10), start.elapsed());
    row(
        "durable submits, 64 at once",
        &format!("{many:.0}/s"),
        &beside,
        many / synced,
    );
}

/// `agentctl` from its start to its end, with many tasks in the store, beside the
/// start and end of a program that does nothing.
async fn lists(daemon: &TestDaemon) {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = daemon.client().await;
        clients.spawn(async move {
            for _ in 0..MANY / CLIENTS {
                let request = SubmitRequest {
                    command: vec!["true".to_owned()],
                    ..SubmitRequest::default()
                };
                // Those before count as well; at the limit there are enough.
                if client.submit(request).await.is_err() {
                    return;
                }
            }
        });
    }
    clients.join_all().await;
    let bare = times(|| {
        #[expect(clippy::disallowed_methods, reason = "what is compared with")]
        let done = Command::new("true").status();
        assert!(done.expect("a program that does nothing").success());
    });
    for args in [&["ls"][..], &["ls", "--failed"], &[]] {
        let ours = times(|| assert_eq!(daemon.ctl(args).code, 0));
        row(
            &format!("agentctl {}, 100,000 tasks", args.join(" ")),
            &millis(ours),
            &format!("true: {}", millis(bare)),
            ours.as_secs_f64() / bare.as_secs_f64(),
        );
    }
}

fn times(mut act: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..LISTS)
        .map(|_| {
            let start = Instant::now();
            act();
            start.elapsed()
        })
        .collect();
    median(&mut times).0
}

fn syncs(path: &Path) -> f64 {
    let mut file = File::create(path).expect("a file");
    let start = Instant::now();
    for _ in 0..SUBMITS {
        file.write_all(&[7; 4096]).expect("an append");
        file.sync_data().expect("a sync");
    }
    rate(SUBMITS, start.elapsed())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts here are far below the precision's end"
)]
fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
