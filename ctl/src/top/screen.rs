//! The terminal: taken over, and given back as it was, however the program
//! ends.

use std::{
    io::{self, BufWriter, Stdout, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use crossterm::{
    cursor::Show,
    event::{DisableBracketedPaste, EnableBracketedPaste},
    execute,
    style::force_color_output,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    layout::{Position, Rect},
};

use super::{
    draw::{Theme, draw},
    model::Model,
};

/// Whether the terminal is ours: it is given back once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, as long as it is ours.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    theme: Theme,
}

impl Screen {
    /// Takes it over.
    ///
    /// # Errors
    /// It cannot be set up; then it is as it was.
    pub(super) fn take(color: bool) -> io::Result<Self> {
        // What was chosen on the command line counts more than the environment.
        force_color_output(color);
        give_back_on_panic();
        take()?;
        let backend = CrosstermBackend::new(BufWriter::new(io::stdout()));
        let terminal = Terminal::new(backend).inspect_err(|_| give_back())?;
        let mut screen = Self {
            terminal,
            theme: Theme { color },
        };
        screen.clear()?;
        Ok(screen)
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// There is no terminal any more.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Shows how things are: what has changed of it is written.
    ///
    /// # Errors
    /// There is no terminal any more.
    pub(super) fn draw(&mut self, model: &Model) -> io::Result<()> {
        let theme = self.theme;
        self.terminal.draw(|frame| draw(frame, model, theme))?;
        Ok(())
    }

    /// Has the next drawing write everything.
    ///
    /// # Errors
    /// There is no terminal any more.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        // After a stop by others, the shell has set the terminal as it likes it.
        if TAKEN.swap(false, Ordering::SeqCst) {
            disable_raw_mode()?;
        }
        take()?;
        self.clear()
    }

    /// Clears the terminal; the next drawing writes every cell. `Terminal::clear`
    /// would ask the terminal where its cursor is, and the answer is taken for
    /// something that was typed.
    fn clear(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// Gives the terminal back, stops with all that the shell has started along,
    /// and takes it again once the shell lets them go on.
    ///
    /// # Errors
    /// The terminal cannot be set up again.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        // Who is nobody's job is not stopped by it: then this goes on at once.
        kill(Pid::from_raw(0), Signal::SIGTSTP)?;
        take()?;
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste).inspect_err(|_| give_back())
}

/// The terminal is as it was before. If it is gone, there is nothing to be done.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let left = execute!(out, DisableBracketedPaste, LeaveAlternateScreen, Show);
    let flushed = out.flush();
    let cooked = disable_raw_mode();
    drop((left, flushed, cooked));
}

/// What a panic says is to be read on the screen of before.
fn give_back_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        before(panic);
    }));
}
