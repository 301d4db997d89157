//! What holds for any bytes in a transcript's directory, and for anything that
//! an agent writes.

use std::{fs, path::Path};

use super::{
    MIN_LIMIT, Page, Reader, Record, Source, Stream, Writer,
    record::{HEADER, MAX_DATA},
    segment,
};
use crate::task::id::Timestamp;

/// More than any page of these tests needs.
const WHOLE: usize = 1 << 30;
/// Bytes at the front of the data of [`read`] that say how to read the rest.
const HOW: usize = 9;
/// Output with which [`write`] has long passed the smallest limit, bytes.
const ENOUGH: usize = 192 * 1024;

/// A directory for one run.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a place for temporary files")
}

/// Whatever the segments hold: reading ends, no page is longer than was asked
/// for, and the same records come whatever the size of the pages.
///
/// The first bytes are offset, size of a page, lines, and the places where the
/// rest is cut into two segments with a gap between.
pub fn read(data: &[u8]) {
    let Some((how, bytes)) = data.split_first_chunk::<HOW>() else {
        return;
    };
    let two = |at: usize| usize::from(u16::from_le_bytes([how[at], how[at + 1]]));
    let (offset, max, lines) = (two(0), two(2), usize::from(how[4]));
    let cut = two(5).min(bytes.len());
    let gap = two(7);
    let base = directory();
    let dir = base.path();
    let put = |start: usize, bytes: &[u8]| {
        fs::write(segment::path(dir, start as u64), bytes).expect("a file of the test");
    };
    put(0, &bytes[..cut]);
    if gap > 0 {
        put(cut + gap, &bytes[cut..]);
    }
    let end = if gap > 0 { bytes.len() + gap } else { cut };

    let reader = Reader::open(dir).expect("it can be listed");
    let mut seen = Vec::new();
    for size in [max, WHOLE] {
        seen.push(pages(&reader, offset as u64, size, end as u64));
    }
    assert_eq!(written(&seen[0]), written(&seen[1]), "pages of {max} bytes");
    let from = reader.tail(lines).expect("it can be read");
    assert!(
        from <= end as u64,
        "the tail begins at {from}, behind {end}"
    );
    pages(&reader, from, WHOLE, end as u64);
}

/// Everything from `offset` on, a page after the other.
fn pages(reader: &Reader, offset: u64, max: usize, end: u64) -> Vec<Record> {
    let mut place = offset;
    let mut records = Vec::new();
    loop {
        let Page {
            records: more,
            next_offset,
        } = reader.read(place, max).expect("it can be read");
        let most = max.max(HEADER + MAX_DATA + 1) + super::reader::BLOCK;
        let held: usize = written(&more).iter().map(|r| HEADER + r.data.len()).sum();
        assert!(held <= most, "{held} bytes for {max}");
        assert!(next_offset <= end, "{next_offset} is behind {end}");
        if next_offset <= place {
            return records;
        }
        records.extend(more);
        place = next_offset;
    }
}

/// Without the notes: a reader adds some of its own.
fn written(records: &[Record]) -> Vec<&Record> {
    let agents = |record: &&Record| record.stream != Stream::Note;
    records.iter().filter(agents).collect()
}

/// Whatever an agent writes comes back byte for byte; under a small limit the
/// limit holds; a cut file reads as a prefix; and another writer goes on where
/// the first was killed.
///
/// The data are writes: a byte that says how, one that says how much, and the
/// bytes, which a flag makes a long line of.
pub fn write(data: &[u8]) {
    const NOW: Timestamp = Timestamp(1_767_323_045_678);
    let base = directory();
    let (wide, narrow) = (base.path().join("wide"), base.path().join("narrow"));
    let mut writers = [
        Writer::new(wide.clone(), 64 << 20),
        Writer::new(narrow.clone(), MIN_LIMIT),
    ];
    let mut said = [Vec::new(), Vec::new()];
    let mut rest = data;
    while let Some(([how, count], behind)) = rest.split_first_chunk::<2>() {
        let (bytes, behind) = behind.split_at(usize::from(*count).min(behind.len()));
        rest = behind;
        let long = how & 8 != 0 && !bytes.contains(&b'\n');
        let times = if long { 100 } else { 1 };
        let mut bytes = bytes.repeat(times);
        bytes.truncate(ENOUGH.saturating_sub(said[0].len() + said[1].len()));
        let source = if how & 1 == 0 {
            Source::Output
        } else {
            Source::Errors
        };
        said[source as usize].extend_from_slice(&bytes);
        for writer in &mut writers {
            writer.output(source, NOW, &bytes);
            if how & 2 != 0 {
                writer.note(NOW, &String::from_utf8_lossy(&bytes));
            }
            if how & 4 != 0 {
                writer.flush(NOW);
            }
        }
    }
    for writer in &mut writers {
        writer.finish(NOW);
    }
    let whole = all(&wide);
    assert_eq!(joined(&whole, Stream::Output), said[0]);
    assert_eq!(joined(&whole, Stream::Errors), said[1]);
    assert!(whole.iter().all(|record| record.at == NOW));
    sound(&narrow);
    cut_short(&wide, &whole, data.len());
    let mut next = Writer::new(wide.clone(), 64 << 20);
    next.output(Source::Output, NOW, b"after the fall\n");
    let last = all(&wide).pop().expect("it was written");
    assert_eq!(last.data, b"after the fall");
}

/// Within its limit and undamaged.
fn sound(dir: &Path) {
    let starts = segment::list(dir).expect("it can be listed");
    let length = |start: &u64| {
        let meta = fs::metadata(segment::path(dir, *start));
        meta.expect("it is there").len()
    };
    let size: u64 = starts.iter().map(length).sum();
    assert!(size <= MIN_LIMIT, "{size} bytes");
    for record in all(dir) {
        let note = record.stream == Stream::Note && record.data.starts_with("…".as_bytes());
        let damage = note && record.data.ends_with("skipped …".as_bytes());
        assert!(!damage, "the writer damaged its own file");
    }
}

/// The power went while the last segment was written.
fn cut_short(dir: &Path, whole: &[Record], seed: usize) {
    let starts = segment::list(dir).expect("it can be listed");
    let Some(last) = starts.last() else {
        return;
    };
    let path = segment::path(dir, *last);
    let bytes = fs::read(&path).expect("it is there");
    let keep = bytes.len() - seed % (bytes.len() + 1);
    fs::write(&path, &bytes[..keep]).expect("a file of the test");
    assert!(whole.starts_with(&all(dir)), "more than was written");
}

fn all(dir: &Path) -> Vec<Record> {
    let reader = Reader::open(dir).expect("it can be listed");
    reader.read(0, WHOLE).expect("it can be read").records
}

fn joined(records: &[Record], stream: Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records.iter().filter(|record| record.stream == stream) {
        bytes.extend_from_slice(&record.data);
        bytes.extend((!record.partial).then_some(b'\n'));
    }
    bytes
}
