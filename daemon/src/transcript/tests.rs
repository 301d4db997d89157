use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::prelude::*;

use super::{segment, *};
use crate::task::id::Timestamp;

const NOW: Timestamp = Timestamp(1_767_323_045_678);

fn place() -> (tempfile::TempDir, PathBuf) {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("transcript");
    (base, dir)
}

/// Every record, read in pages of `max` bytes.
fn all(dir: &Path, max: usize) -> Vec<Record> {
    let reader = Reader::open(dir).unwrap();
    let mut records = Vec::new();
    let mut offset = 0;
    loop {
        let page = reader.read(offset, max).unwrap();
        if page.records.is_empty() {
            assert_eq!(page.next_offset, offset);
            return records;
        }
        assert!(page.next_offset > offset);
        offset = page.next_offset;
        records.extend(page.records);
    }
}

/// What a stream's records add up to.
fn joined(records: &[Record], stream: Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records.iter().filter(|record| record.stream == stream) {
        bytes.extend_from_slice(&record.data);
        if !record.partial {
            bytes.push(b'\n');
        }
    }
    bytes
}

fn size(dir: &Path) -> u64 {
    let sizes = fs::read_dir(dir).unwrap();
    sizes.map(|e| e.unwrap().metadata().unwrap().len()).sum()
}

fn texts(records: &[Record]) -> Vec<String> {
    let text = |r: &Record| String::from_utf8_lossy(&r.data).into_owned();
    records.iter().map(text).collect()
}

#[test]
fn a_record_is_a_line_with_time_stream_and_flag() {
    let (_base, dir) = place();
    let mut writer = Writer::new(dir.clone(), 1 << 20);
    writer.output(Source::Output, NOW, b"one\ntw");
    writer.output(Source::Errors, NOW, b"bad\n");
    writer.output(Source::Output, NOW, b"o\nthr");
    writer.note(NOW, "stop\nnow");
    writer.finish(NOW);
    let text = fs::read_to_string(segment::path(&dir, 0)).unwrap();
    assert_eq!(
        text,
        "2026-01-02T03:04:05.678Z O F one\n\
         2026-01-02T03:04:05.678Z E F bad\n\
         2026-01-02T03:04:05.678Z O F two\n\
         2026-01-02T03:04:05.678Z N F stop now\n\
         2026-01-02T03:04:05.678Z O P thr\n"
    );
    assert_eq!(writer.end(), text.len() as u64);
    let records = all(&dir, 1);
    assert_eq!(records.len(), 5);
    assert_eq!(records[0].at, NOW);
    assert!(records[4].partial);
}

#[test]
fn a_transcript_that_is_not_there_is_empty() {
    let (_base, dir) = place();
    let reader = Reader::open(&dir).unwrap();
    assert_eq!(reader.read(77, 10).unwrap(), Page::default());
    assert_eq!(reader.tail(3).unwrap(), 0);
}

#[test]
fn a_begun_line_is_held_back_until_it_is_flushed() {
    let (_base, dir) = place();
    let mut writer = Writer::new(dir.clone(), 1 << 20);
    writer.output(Source::Output, NOW, b"50 %");
    assert!(writer.has_begun_line());
    assert!(all(&dir, 100).is_empty());
    writer.flush(NOW);
    assert!(!writer.has_begun_line());
    writer.output(Source::Output, NOW, b" done\n");
    assert_eq!(joined(&all(&dir, 100), Stream::Output), b"50 % done\n");
}

#[test]
fn head_and_newest_tail_are_kept_within_the_limit() {
    let (_base, dir) = place();
    let mut writer = Writer::new(dir.clone(), MIN_LIMIT);
    for number in 0..20_000 {
        writer.output(Source::Output, NOW, format!("line {number}\n").as_bytes());
        if number % 1000 == 0 {
            assert!(size(&dir) <= MIN_LIMIT);
        }
    }
    let records = all(&dir, 5000);
    let texts = texts(&records);
    let gap = records.iter().position(|r| r.stream == Stream::Note);
    let gap = gap.expect("a note about the gap");
    assert!(texts[gap].ends_with("bytes of output dropped …"));
    assert_eq!(records[gap].at, NOW);
    for (number, text) in texts[..gap].iter().enumerate() {
        assert_eq!(*text, format!("line {number}"));
    }
    let after = &texts[gap + 1..];
    for (number, text) in after.iter().rev().enumerate() {
        assert_eq!(*text, format!("line {}", 19_999 - number));
    }
    assert!(gap > 500 && after.len() > 500, "{gap} {}", after.len());
    // Offsets go on counting.
    let end = Reader::open(&dir).unwrap().read(u64::MAX, 1).unwrap();
    assert_eq!(end.next_offset, writer.end());
    assert!(writer.end() > 20_000 * 30);
}

#[test]
fn the_gap_is_told_however_the_pages_fall() {
    let (_base, dir) = place();
    let mut writer = Writer::new(dir.clone(), MIN_LIMIT);
    for number in 0..5000 {
        writer.output(Source::Output, NOW, format!("line {number}\n").as_bytes());
    }
    let whole = all(&dir, 1 << 20);
    for max in [1, 37, 100, 8192, 8200] {
        assert_eq!(all(&dir, max), whole, "pages of {max}");
    }
}

#[test]
fn the_last_lines_are_found_from_behind() {
    let (_base, dir) = place();
    let mut writer = Writer::new(dir.clone(), 8 << 20);
    let long = vec![b'x'; 100_000];
    for number in 0..3000 {
        writer.output(Source::Output, NOW, format!("{number}\n").as_bytes());
        if number % 1000 == 0 {
            writer.output(Source::Output, NOW, &long);
            writer.output(Source::Output, NOW, b"\n");
        }
    }
    let reader = Reader::open(&dir).unwrap();
    for lines in [0, 1, 2, 999, 1000, 1001, 2003] {
        let page = reader.read(reader.tail(lines).unwrap(), 1 << 30).unwrap();
        let ends = page.records.iter().filter(|r| !r.partial).count();
        assert_eq!(ends, lines);
        if (1..=1000).contains(&lines) {
            let first = String::from_utf8_lossy(&page.records[0].data);
            assert_eq!(first.len().min(9), if lines == 1000 { 9 } else { 4 });
        }
    }
    assert_eq!(reader.tail(5000).unwrap(), 0);
    writer.output(Source::Output, NOW, b"open");
    writer.flush(NOW);
    let page = reader.read(reader.tail(2).unwrap(), 1 << 20).unwrap();
    assert_eq!(texts(&page.records), ["2999", "open"]);
}

#[test]
fn foreign_bytes_are_skipped_with_a_note() {
    let (_base, dir) = place();
    let mut writer = Writer::new(dir.clone(), 1 << 20);
    writer.output(Source::Output, NOW, b"before\n");
    let path = segment::path(&dir, 0);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(&[0xff; 200_000]);
    bytes.extend_from_slice(b"\n\n2026-13-02T03:04:05.678Z O F x\n");
    bytes.extend_from_slice(b"2026-01-02T03:04:05.678Z O F after\n");
    bytes.extend_from_slice(b"2026-01-02T03:04:05.678Z O F to");
    fs::write(&path, &bytes).unwrap();
    fs::write(dir.join("99999999999999999999.log"), b"too much").unwrap();
    fs::write(dir.join("notes.txt"), b"foreign").unwrap();
    let notes = ["before", "… damaged bytes skipped …", "after"];
    assert_eq!(texts(&all(&dir, 1 << 20)), notes);
    let reader = Reader::open(&dir).unwrap();
    let page = reader.read(reader.tail(1).unwrap(), 1000).unwrap();
    assert_eq!(texts(&page.records), ["after"]);
    // A writer goes on behind it, and what was torn is then known to be.
    let mut writer = Writer::new(dir.clone(), 1 << 20);
    writer.output(Source::Output, NOW, b"more\n");
    assert_eq!(texts(&all(&dir, 1 << 20))[2..], ["after", notes[1], "more"]);
}

#[test]
fn what_cannot_be_written_is_counted_and_told_later() {
    let (_base, dir) = place();
    fs::write(&dir, b"in the way").unwrap();
    let mut writer = Writer::new(dir.clone(), 1 << 20);
    writer.output(Source::Output, NOW, b"lost\n");
    writer.output(Source::Errors, NOW, b"also lost\n");
    assert_eq!(writer.end(), 0);
    fs::remove_file(&dir).unwrap();
    writer.output(Source::Output, NOW, b"kept\n");
    let texts = texts(&all(&dir, 1000));
    assert!(
        texts[0].starts_with("… 15 bytes of output lost: "),
        "{texts:?}"
    );
    assert_eq!(texts[1..], ["kept"]);
}

/// A file system of one page: a write that does not fit is cut short.
#[test]
fn a_full_disk_tears_no_record() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    use nix::sys::signal::{SigHandler, Signal, signal};
    // The limit is the process's, so this test runs in one of its own.
    if std::env::var_os("TRANSCRIPT_TEST_ALONE").is_none() {
        let name = "transcript::tests::a_full_disk_tears_no_record";
        #[expect(clippy::disallowed_methods, reason = "runs this very test again")]
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env("TRANSCRIPT_TEST_ALONE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stdout);
        assert!(
            alone.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    let (_base, dir) = place();
    let mut writer = Writer::new(dir.clone(), 1 << 20);
    writer.output(Source::Output, NOW, b"first\n");
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    #[expect(unsafe_code, reason = "the limit is told by a signal otherwise")]
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 1000, hard).unwrap();
    for number in 0..40 {
        let line = format!("number {number}\n");
        writer.output(Source::Output, NOW, line.repeat(7).as_bytes());
    }
    let kept = all(&dir, 1 << 20);
    assert!(size(&dir) <= 1000 && size(&dir) > 900);
    setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    writer.finish(NOW);
    let records = all(&dir, 1 << 20);
    assert_eq!(records[..kept.len()], kept);
    let whole: usize = (0..40).map(|n| 7 * format!("number {n}\n").len()).sum();
    let lost = whole + "first\n".len() - joined(&records, Stream::Output).len();
    let note = texts(&records).pop().unwrap();
    assert!(
        note.starts_with(&format!("… {lost} bytes of output lost: ")),
        "{note}"
    );
}

#[tokio::test]
async fn a_follower_wakes_when_something_was_written() {
    let (_base, dir) = place();
    let mut follower = Follower::new(&dir).unwrap();
    let wait = Duration::from_secs(10);
    let mut writer = Writer::new(dir.clone(), 1 << 20);
    for _ in 0..3 {
        writer.output(Source::Output, NOW, b"x\n");
        writer.output(Source::Output, NOW, b"y\n");
        let woken = tokio::time::timeout(wait, follower.changed()).await;
        woken.unwrap().unwrap();
    }
    let idle = tokio::time::timeout(Duration::ZERO, follower.changed()).await;
    assert!(idle.is_err(), "nothing was written");
}

fn writes() -> impl Strategy<Value = Vec<(bool, bool, Vec<u8>)>> {
    let byte = prop_oneof![3 => Just(b'\n'), 5 => any::<u8>()];
    let short = proptest::collection::vec(byte, 0..60);
    let long = (any::<u8>(), 4000..40_000_usize).prop_map(|(byte, len)| vec![byte; len]);
    let bytes = prop_oneof![8 => short, 1 => long];
    proptest::collection::vec((any::<bool>(), any::<bool>(), bytes), 0..40)
}

fn write(writer: &mut Writer, writes: &[(bool, bool, Vec<u8>)]) -> [Vec<u8>; 2] {
    let mut written = [Vec::new(), Vec::new()];
    for (errors, flush, bytes) in writes {
        let source = if *errors {
            Source::Errors
        } else {
            Source::Output
        };
        writer.output(source, NOW, bytes);
        written[usize::from(*errors)].extend_from_slice(bytes);
        if *flush {
            writer.flush(NOW);
        }
    }
    writer.finish(NOW);
    written
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_byte_comes_back(writes in writes(), max in 1..100_000_usize) {
        let (_base, dir) = place();
        let mut writer = Writer::new(dir.clone(), 64 << 20);
        let written = write(&mut writer, &writes);
        let records = all(&dir, max);
        // A stream that does not end with a newline ends with a partial record.
        prop_assert_eq!(&joined(&records, Stream::Output), &written[0]);
        prop_assert_eq!(&joined(&records, Stream::Errors), &written[1]);
    }

    #[test]
    fn the_limit_holds(writes in writes()) {
        let (_base, dir) = place();
        let mut writer = Writer::new(dir.clone(), MIN_LIMIT);
        for (source, bytes) in [Source::Output, Source::Errors].into_iter().zip(write(&mut writer, &writes)) {
            writer.output(source, NOW, &bytes);
        }
        prop_assert!(!dir.exists() || size(&dir) <= MIN_LIMIT);
        for record in all(&dir, 1000) {
            prop_assert!(!String::from_utf8_lossy(&record.data).contains("damaged"));
        }
    }

    #[test]
    fn a_cut_transcript_reads_as_a_prefix(writes in writes(), cut in 0.0..1.0_f64) {
        let (_base, dir) = place();
        let mut writer = Writer::new(dir.clone(), 1 << 20);
        write(&mut writer, &writes);
        let whole = all(&dir, 10_000);
        let Some(last) = segment::list(&dir).unwrap().pop() else { return Ok(()) };
        let path = segment::path(&dir, last);
        let length = fs::metadata(&path).unwrap().len();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "any place will do")]
        let keep = (length as f64 * cut) as u64;
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(keep).unwrap();
        let rest = all(&dir, 10_000);
        prop_assert!(whole.starts_with(&rest));
        for lines in 0..5 {
            let reader = Reader::open(&dir).unwrap();
            let offset = reader.tail(lines).unwrap();
            let page = reader.read(offset, 1 << 20).unwrap();
            prop_assert!(rest.ends_with(&page.records));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        segments in proptest::collection::vec((0..3000_u64, proptest::collection::vec(any::<u8>(), 0..2000)), 0..4),
        offset in 0..5000_u64,
        max in 0..5000_usize,
        lines in 0..20_usize,
    ) {
        let (_base, dir) = place();
        fs::create_dir(&dir).unwrap();
        for (start, bytes) in segments {
            fs::write(segment::path(&dir, start), bytes).unwrap();
        }
        let reader = Reader::open(&dir).unwrap();
        reader.read(offset, max).unwrap();
        reader.tail(lines).unwrap();
        all(&dir, max);
    }
}
