//! How far something is that takes its time: one line on a terminal, which the
//! next one, or whatever else is said, takes the place of. Elsewhere nothing.

use std::{future::Future, io::Write as _, pin::pin, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    Output,
    style::{DIM, paint},
    table::{cut, one_line},
};

/// What takes no longer needs no word.
const TICK: Duration = Duration::from_secs(1);

/// To the start of the line, and nothing on it.
const CLEAR: &str = "\r\u{1b}[K";

impl Output {
    /// How far it is; once for as long as it is the same.
    pub(crate) fn progress(&mut self, text: &str) {
        let Some(width) = self.live else {
            return;
        };
        // One that reaches the last column would begin the next line.
        let text = cut(&one_line(text), width.saturating_sub(1));
        if self.in_place.as_ref() == Some(&text) {
            return;
        }
        let line = paint(DIM, &text, self.color_err);
        let flushed = self.stdout.flush();
        let said = write!(self.stderr, "{CLEAR}{line}").and_then(|()| self.stderr.flush());
        self.in_place = Some(text);
        // Who has closed it does not want to see it.
        drop((flushed, said));
    }

    /// Takes away what is to be written over.
    pub(super) fn clear(&mut self) {
        if self.in_place.take().is_some() {
            drop(write!(self.stderr, "{CLEAR}").and_then(|()| self.stderr.flush()));
        }
    }

    /// Does it. From the second second on, `what` is done is said, and for how
    /// long.
    pub(crate) async fn patiently<T>(&mut self, what: &str, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let mut work = pin!(work);
        loop {
            match timeout(TICK, &mut work).await {
                Ok(done) => {
                    self.clear();
                    return done;
                }
                Err(_) => self.progress(&format!("{what}: {} s", begun.elapsed().as_secs())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::output::tests::{Memory, now};

    fn on_a_terminal(columns: Option<usize>) -> (Output, Memory) {
        let memory = Memory::default();
        let mut out = Output::into(Box::new(memory.clone()), Box::new(memory.clone()), now());
        out.live = columns;
        (out, memory)
    }

    #[test]
    fn whatever_is_said_takes_its_place() {
        let (mut out, memory) = on_a_terminal(Some(20));
        out.progress("copying: 1 %");
        out.progress("copying: 1 %");
        out.progress("a text that is longer than the terminal");
        out.line("data").unwrap();
        out.message("said");
        out.progress("again\nand again");
        out.note("noted");
        let text = memory.text().replace(CLEAR, "<");
        assert_eq!(
            text,
            "<copying: 1 %<a text that is lon…<data\nsaid\n<again and again<noted\n"
        );
        // There is nothing left to be taken away.
        out.clear();
        assert_eq!(memory.text().replace(CLEAR, "<"), text);
    }

    #[test]
    fn where_nobody_looks_nothing_is_written() {
        let mut out = Output::into(Box::new(io::sink()), Box::new(Memory::default()), now());
        let memory = Memory::default();
        out.stderr = Box::new(memory.clone());
        out.progress("copying: 1 %");
        out.clear();
        assert_eq!(memory.text(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_said_and_how_long() {
        let (mut out, memory) = on_a_terminal(Some(40));
        let after = tokio::time::sleep;
        out.patiently("looking", after(Duration::from_millis(900)))
            .await;
        assert_eq!(memory.text(), "");
        out.patiently("looking", after(Duration::from_millis(2_500)))
            .await;
        let text = memory.text().replace(CLEAR, "<");
        assert_eq!(text, "<looking: 1 s<looking: 2 s<");
    }
}
