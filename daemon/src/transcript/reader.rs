//! The reading side: pages by offset, and the last lines. Blocking.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{
    record::{HEADER, MAX_DATA, Page, Record, ends_a_line},
    segment,
};
use crate::task::id::Timestamp;

/// Bytes that are read at once; more than the longest record.
pub(super) const BLOCK: usize = 64 * 1024;
const _: () = assert!(BLOCK > HEADER + MAX_DATA + 1);
/// How often a read starts again because the writer dropped the segment that
/// it wanted.
const TRIES: usize = 8;

/// Reads a transcript, also while it is written.
#[derive(Debug, Clone)]
pub struct Reader {
    dir: PathBuf,
}

/// Why the reading of a segment stopped.
enum Stopped {
    /// The page is full.
    Full,
    /// There is no further complete record; so many bytes of one are there.
    End { torn: usize },
}

impl Reader {
    /// The transcript in `dir`. A directory that is not there yet reads as
    /// empty.
    ///
    /// # Errors
    /// If the directory is there and cannot be listed.
    pub fn open(dir: &Path) -> io::Result<Self> {
        segment::list(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// The records from `offset` on, as many as fit into `max_bytes` with
    /// their headers, but at least one if there is one. Notes tell of what was
    /// dropped or damaged. An offset beyond the end is taken for the end.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(&self, offset: u64, max_bytes: usize) -> io::Result<Page> {
        self.with_segments(|starts| {
            let mut page = Page {
                records: Vec::new(),
                next_offset: offset,
            };
            match self.fill(starts, &mut page, max_bytes) {
                // Dropped while we read: what came before it is good.
                Err(error) if is_missing(&error) && !page.records.is_empty() => Ok(page),
                Err(error) => Err(error),
                Ok(()) => Ok(page),
            }
        })
    }

    /// The offset from which on there are the last `lines` lines. The pieces
    /// of a line that was cut count as one, unless the other output
    /// came between them.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn tail(&self, lines: usize) -> io::Result<u64> {
        self.with_segments(|starts| {
            let mut tail = Tail {
                wanted: lines,
                seen: 0,
                any: false,
            };
            for (index, start) in starts.iter().enumerate().rev() {
                let (file, length) = self.segment(starts, index)?;
                let found = tail.search(&file, length)?;
                if let Some(place) = found {
                    return Ok(start + place);
                }
            }
            Ok(starts.first().copied().unwrap_or(0))
        })
    }

    fn with_segments<T>(&self, act: impl Fn(&[u64]) -> io::Result<T>) -> io::Result<T> {
        let mut tries = 0;
        loop {
            let starts = segment::list(&self.dir)?;
            match act(&starts) {
                Err(error) if is_missing(&error) && tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    /// A segment's file and the length that counts: one that reaches into the
    /// next is cut there.
    fn segment(&self, starts: &[u64], index: usize) -> io::Result<(File, u64)> {
        let file = File::open(segment::path(&self.dir, starts[index]))?;
        let length = file.metadata()?.len();
        let most = starts
            .get(index + 1)
            .map_or(u64::MAX, |next| next - starts[index]);
        Ok((file, length.min(most)))
    }

    fn fill(&self, starts: &[u64], page: &mut Page, max: usize) -> io::Result<()> {
        let Some(first) = starts.first() else {
            page.next_offset = 0;
            return Ok(());
        };
        let mut filling = Filling {
            page,
            left: max,
            gap: 0,
            damaged: false,
        };
        filling.skip_to(*first);
        let mut index = starts.partition_point(|start| *start <= filling.page.next_offset) - 1;
        loop {
            let (file, length) = self.segment(starts, index)?;
            let torn = match filling.segment(&file, starts[index], length)? {
                Stopped::Full => {
                    filling.leave_gap();
                    return Ok(());
                }
                Stopped::End { torn } => torn,
            };
            index += 1;
            let Some(next) = starts.get(index) else {
                let end = starts[index - 1].saturating_add(length);
                filling.page.next_offset = filling.page.next_offset.min(end);
                filling.leave_gap();
                return Ok(());
            };
            if torn > 0 {
                filling.page.next_offset += torn as u64;
                filling.damage();
            }
            filling.skip_to(*next);
        }
    }
}

/// A page on its way.
struct Filling<'a> {
    page: &'a mut Page,
    /// Bytes that still fit.
    left: usize,
    /// Dropped bytes that no note tells of yet.
    gap: u64,
    /// The last thing was damaged; one note is enough.
    damaged: bool,
}

impl Filling<'_> {
    fn skip_to(&mut self, start: u64) {
        self.gap += start.saturating_sub(self.page.next_offset);
        self.page.next_offset = self.page.next_offset.max(start);
    }

    /// Leaves a gap that no note tells of yet to the next page.
    fn leave_gap(&mut self) {
        self.page.next_offset -= self.gap;
    }

    /// The time for a note: that of the record before it.
    fn time(&self) -> Timestamp {
        self.page
            .records
            .last()
            .map_or(Timestamp(0), |last| last.at)
    }

    fn damage(&mut self) {
        self.note_gap(self.time());
        if !self.damaged {
            let note = Record::note(self.time(), "… damaged bytes skipped …");
            self.page.records.push(note);
        }
        self.damaged = true;
    }

    fn note_gap(&mut self, at: Timestamp) {
        if self.gap > 0 {
            let text = format!("… {} bytes of output dropped …", self.gap);
            self.page.records.push(Record::note(at, &text));
            self.gap = 0;
        }
    }

    /// Takes a line without its newline; false if the page has no room for it.
    fn take(&mut self, line: &[u8]) -> bool {
        if line.len() >= self.left && !self.page.records.is_empty() {
            return false;
        }
        self.left = self.left.saturating_sub(line.len() + 1);
        match Record::parse(line) {
            Some(record) => {
                self.note_gap(record.at);
                self.page.records.push(record);
                self.damaged = false;
            }
            None => self.damage(),
        }
        true
    }

    fn segment(&mut self, file: &File, start: u64, length: u64) -> io::Result<Stopped> {
        let size = usize::try_from(length).map_or(BLOCK, |length| length.min(BLOCK));
        let mut block = vec![0; size];
        loop {
            let at = self.page.next_offset - start;
            let want = usize::try_from(length.saturating_sub(at)).unwrap_or(BLOCK);
            let want = want.min(block.len());
            let got = read_at(file, &mut block[..want], at)?;
            let mut used = 0;
            for newline in memchr::memchr_iter(b'\n', &block[..got]) {
                if !self.take(&block[used..newline]) {
                    return Ok(Stopped::Full);
                }
                self.page.next_offset += (newline + 1 - used) as u64;
                used = newline + 1;
            }
            if used == 0 && got < BLOCK {
                return Ok(Stopped::End { torn: got });
            }
            if used == 0 {
                // No record is that long.
                self.page.next_offset += got as u64;
                self.damage();
            }
        }
    }
}

/// The search for the beginning of the last lines.
struct Tail {
    wanted: usize,
    /// Lines that lie behind the place where we are.
    seen: usize,
    /// A record was seen.
    any: bool,
}

impl Tail {
    /// Where in this segment the lines begin; `None` if they begin before it.
    fn search(&mut self, file: &File, length: u64) -> io::Result<Option<u64>> {
        let mut block = vec![0; BLOCK];
        let mut high = length;
        while high > 0 {
            let low = high.saturating_sub(BLOCK as u64);
            let want = usize::try_from(high - low).unwrap_or(BLOCK);
            let got = read_at(file, &mut block[..want], low)?;
            let mut newlines = memchr::memrchr_iter(b'\n', &block[..got]);
            let Some(mut newline) = newlines.next() else {
                high = low;
                continue;
            };
            loop {
                let before = newlines.next();
                if before.is_none() && low > 0 {
                    break;
                }
                let begin = before.map_or(0, |before| before + 1);
                if self.found(&block[begin..newline]) {
                    return Ok(Some(low + newline as u64 + 1));
                }
                match before {
                    Some(before) => newline = before,
                    None => return Ok(None),
                }
            }
            // The line that ends here began before this block, unless it is
            // longer than any record can be.
            let next = low + newline as u64 + 1;
            high = if next < high { next } else { low };
        }
        Ok(None)
    }

    /// Counts a line; whether the wanted lines begin behind it.
    fn found(&mut self, line: &[u8]) -> bool {
        let ends = ends_a_line(line);
        if !ends && !self.any && self.wanted > 0 {
            self.seen = 1;
        }
        self.any = true;
        if self.wanted == 0 || ends && self.seen == self.wanted {
            return true;
        }
        self.seen += usize::from(ends);
        false
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
