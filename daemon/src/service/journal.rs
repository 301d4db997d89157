//! The journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): each fact of
//! an event is a field, so that `journalctl -u agentd TASK=42` is the story of
//! one task.
//!
//! Why not the crate tracing-journald: its messages are without the facts, and a
//! person who reads the journal would see "retry" and not of what.

use std::{
    fmt::{Debug, Write as _},
    fs::{self, File},
    io,
    os::{
        fd::AsFd as _,
        unix::{fs::MetadataExt as _, net::UnixDatagram},
    },
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Longest value of a field, bytes: an entry fits into one datagram.
const LONGEST: usize = 16 * 1024;
/// Most fields of an entry; more are in the message only.
const FIELDS: usize = 24;
/// How long a journal that takes nothing may hold us up.
const SEND: Duration = Duration::from_secs(1);
/// How long it is then left alone. The loop that decides writes lines, too: held
/// up at each of them it would be taken for one that hangs.
const REST: Duration = Duration::from_secs(10);

/// Whether standard error is the journal, as `variable` (`JOURNAL_STREAM`:
/// device and inode) says. It may be something else although the variable is
/// there, which is inherited.
#[must_use]
pub fn is_standard_error(variable: Option<&str>) -> bool {
    let Ok(stream) = io::stderr().as_fd().try_clone_to_owned() else {
        return false;
    };
    is_stream(variable, &File::from(stream))
}

fn is_stream(variable: Option<&str>, stream: &File) -> bool {
    let named = variable.and_then(|text| {
        let (device, inode) = text.split_once(':')?;
        Some((device.parse().ok()?, inode.parse().ok()?))
    });
    let there = stream.metadata();
    named.is_some_and(|named: (u64, u64)| there.is_ok_and(|meta| (meta.dev(), meta.ino()) == named))
}

/// Sends events to the journal. Those that it does not take are lost; how many
/// is said once it takes some again.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    rest: Duration,
    lost: Mutex<Lost>,
}

/// Lines that the journal has not taken.
#[derive(Debug, Default)]
struct Lost {
    lines: u64,
    /// Until then it is not tried.
    until: Option<Instant>,
}

impl Journal {
    /// To the machine's journal.
    ///
    /// # Errors
    /// If there is none.
    pub fn connect() -> io::Result<Self> {
        Self::connect_to(Path::new(SOCKET), REST)
    }

    fn connect_to(path: &Path, rest: Duration) -> io::Result<Self> {
        // A link would lead to the wrong one just as well; it is root's to make.
        fs::metadata(path)?;
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(SEND))?;
        Ok(Self {
            socket,
            rest,
            lost: Mutex::default(),
        })
    }

    /// Sends an entry, and before it, if need be, how many others were lost.
    fn send(&self, entry: &[u8]) {
        let lost = {
            let mut lost = self.lost();
            if lost.until.is_some_and(|until| Instant::now() < until) {
                lost.lines += 1;
                return;
            }
            std::mem::take(&mut lost.lines)
        };
        let told = lost == 0 || self.try_send(&lost_lines(lost));
        if !told {
            self.lost().lines += lost;
        }
        if !told || !self.try_send(entry) {
            self.lost().lines += 1;
        }
    }

    /// Whether it was taken.
    fn try_send(&self, entry: &[u8]) -> bool {
        match self.socket.send(entry) {
            Ok(_) => true,
            Err(error) => {
                // Its queue is full, and stays so.
                if error.kind() == io::ErrorKind::WouldBlock {
                    self.lost().until = Some(Instant::now() + self.rest);
                }
                false
            }
        }
    }

    /// Not held while it is sent: others are not to wait for that.
    fn lost(&self) -> MutexGuard<'_, Lost> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry that says that lines are missing.
fn lost_lines(lines: u64) -> Vec<u8> {
    let facts = Facts {
        message: "the journal did not take lines of the log".to_owned(),
        fields: vec![("lost", lines.to_string())],
    };
    facts.entry(Level::WARN, module_path!())
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut facts = Facts::default();
        event.record(&mut facts);
        let entry = facts.entry(*event.metadata().level(), event.metadata().target());
        self.send(&entry);
    }
}

/// What an event says.
#[derive(Debug, Default)]
struct Facts {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Facts {
    fn keep(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.fields.push((name, value)),
        }
    }

    fn entry(self, level: Level, target: &str) -> Vec<u8> {
        let mut message = self.message;
        for (name, value) in &self.fields {
            // Text can always be made longer.
            write!(message, " {name}={value}").ok();
        }
        let mut entry = Vec::with_capacity(512);
        put(&mut entry, "MESSAGE", &message);
        put(&mut entry, "PRIORITY", priority(level));
        put(&mut entry, "SYSLOG_IDENTIFIER", "agentd");
        put(&mut entry, "TARGET", target);
        for (name, value) in self.fields.iter().take(FIELDS) {
            if let Some(name) = journal_name(name) {
                put(&mut entry, &name, value);
            }
        }
        entry
    }
}

impl Visit for Facts {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.keep(field, format!("{value:?}"));
    }

    // Without the quotes of Debug: fields are to be matched.
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned());
    }
}

/// syslog(3)'s numbers.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

/// The journal's form of a name. `None`: it takes no such name, or gives it
/// another meaning.
fn journal_name(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase().replace('.', "_");
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let begins = upper.starts_with(|c: char| c.is_ascii_uppercase());
    let taken = ["MESSAGE", "PRIORITY", "TARGET", "ERRNO"].contains(&upper.as_str());
    let good = begins && upper.len() <= 64 && upper.chars().all(fits) && !taken;
    good.then_some(upper)
}

fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let value = crate::task::limits::clip(value, LONGEST);
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn an_event_is_a_message_for_people_and_fields_to_match() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = UnixDatagram::bind(&path).unwrap();
        let layer = Journal::connect_to(&path, REST).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let why = "first\nsecond";
            tracing::warn!(task = 42, attempt = 2, agent = "claude", why, "retry");
        });
        let mut bytes = [0; 4096];
        let length = journal.recv(&mut bytes).unwrap();
        let entry = &bytes[..length];
        let holds = |part: &[u8]| entry.windows(part.len()).any(|window| window == part);
        for line in [
            "PRIORITY=4\n",
            "\nTASK=42\n",
            "\nATTEMPT=2\n",
            "\nAGENT=claude\n",
        ] {
            assert!(holds(line.as_bytes()), "{line}: {entry:?}");
        }
        let message = b"retry task=42 attempt=2 agent=claude why=first\nsecond";
        let length = u64::try_from(message.len()).unwrap().to_le_bytes();
        assert!(holds(&[b"MESSAGE\n", &length[..], message, b"\n"].concat()));
        assert!(holds(b"\nWHY\n\x0c\0\0\0\0\0\0\0first\nsecond\n"));
    }

    #[test]
    fn a_journal_that_takes_nothing_holds_up_one_line_and_is_told_of_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = UnixDatagram::bind(&path).unwrap();
        journal.set_nonblocking(true).unwrap();
        let layer = Journal::connect_to(&path, REST).unwrap();
        let begin = Instant::now();
        // More than any queue of datagrams takes.
        for _ in 0..3_000 {
            layer.send(b"MESSAGE=x\n");
        }
        assert!(begin.elapsed() < 2 * REST, "{:?}", begin.elapsed());
        let lost = layer.lost().lines;
        assert!(lost > 100, "{lost}");
        // It takes some again, and the rest is over.
        let mut bytes = [0; 4096];
        while journal.recv(&mut bytes).is_ok() {}
        layer.lost().until = Some(begin);
        layer.send(b"MESSAGE=y\n");
        let length = journal.recv(&mut bytes).unwrap();
        let said = String::from_utf8_lossy(&bytes[..length]).into_owned();
        assert!(said.contains(&format!("\nLOST={lost}\n")), "{said}");
        let length = journal.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"MESSAGE=y\n");
        assert_eq!(layer.lost().lines, 0);
    }

    #[test]
    fn the_stream_is_known_by_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let meta = file.metadata().unwrap();
        let same = format!("{}:{}", meta.dev(), meta.ino());
        assert!(is_stream(Some(&same), &file));
        let other = format!("{}:{}", meta.dev(), meta.ino() + 1);
        for wrong in [None, Some(""), Some("7"), Some("a:b"), Some(other.as_str())] {
            assert!(!is_stream(wrong, &file), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_the_journals_or_none() {
        assert_eq!(journal_name("task"), Some("TASK".to_owned()));
        assert_eq!(journal_name("log.target"), Some("LOG_TARGET".to_owned()));
        for bad in ["", "_pid", "9x", "é", "priority"] {
            assert_eq!(journal_name(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_value_makes_another_field(value in "(\\PC|\n|=|TASK=1){0,40}") {
            let mut entry = Vec::new();
            put(&mut entry, "ERROR", &value);
            let expected = if value.contains('\n') { 6 + 8 } else { 6 } + value.len() + 1;
            proptest::prop_assert_eq!(entry.len(), expected);
            proptest::prop_assert_eq!(entry.iter().filter(|byte| **byte == b'\n').count() == 1,
                !value.contains('\n'));
        }
    }
}
