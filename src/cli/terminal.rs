//! A terminal: whole lines, text that streams, and one line at the end that passes by. Nothing that comes from a model
//! or a process reaches it with its control characters.

use std::io::{self, Write};

/// Longest line that passes by: on the usual 80 columns it does not wrap, for a wrapped line cannot be taken back.
const STATUS_LENGTH_MAX: usize = 76;

/// How a text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
    Notice,
}

impl Tone {
    /// "Select graphic rendition" of ECMA-48.
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Notice => "33",
        }
    }
}

#[derive(Debug)]
pub(super) struct Terminal<W> {
    out: W,
    colours: bool,
    /// A line that passes by is shown.
    status: bool,
    /// Streamed text has not ended its line.
    open: bool,
}

impl<W: Write> Terminal<W> {
    pub(super) const fn new(out: W, colours: bool) -> Self {
        Self { out, colours, status: false, open: false }
    }

    /// A text in a tone, free of control characters.
    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        let text = printable(text);
        if self.colours && tone != Tone::Plain { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text }
    }

    /// A line of painted texts.
    pub(super) fn line(&mut self, painted: &str) -> io::Result<()> {
        self.end_text()?;
        writeln!(self.out, "{painted}")?;
        self.out.flush()
    }

    /// A line that the next one takes the place of.
    pub(super) fn status(&mut self, text: &str) -> io::Result<()> {
        self.end_text()?;
        let text: String = printable(text).replace('\n', " ").chars().take(STATUS_LENGTH_MAX).collect();
        let painted = self.paint(Tone::Faint, &text);
        write!(self.out, "{painted}")?;
        self.status = true;
        self.out.flush()
    }

    pub(super) fn clear_status(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.status) {
            write!(self.out, "\r\x1b[2K")?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// Text that goes on where the last one ended.
    pub(super) fn text(&mut self, tone: Tone, text: &str) -> io::Result<()> {
        self.clear_status()?;
        // The end of an answer's paragraph before a file is no reason for an empty line.
        let text = if self.open { text } else { text.trim_start_matches('\n') };
        if text.is_empty() {
            return Ok(());
        }
        let painted = self.paint(tone, text);
        write!(self.out, "{painted}")?;
        self.open = !text.ends_with('\n');
        self.out.flush()
    }

    fn end_text(&mut self) -> io::Result<()> {
        self.clear_status()?;
        if std::mem::take(&mut self.open) {
            writeln!(self.out)?;
        }
        Ok(())
    }
}

/// Without what a terminal would obey: escape sequences, and characters that reorder or hide others.
fn printable(text: &str) -> String {
    text.chars().filter(|&c| c == '\n' || c == '\t' || !(c.is_control() || is_format(c))).collect()
}

/// Marks of bidirectional text and of invisible formatting.
const fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(draw: impl Fn(&mut Terminal<Vec<u8>>) -> io::Result<()>, colours: bool) -> String {
        let mut terminal = Terminal::new(Vec::new(), colours);
        draw(&mut terminal).expect("memory takes everything");
        String::from_utf8(terminal.out).expect("text")
    }

    #[test]
    fn text_and_lines_don_t_run_into_one_another() {
        let text = shown(
            |terminal| {
                terminal.text(Tone::Plain, "\n\nHere ")?;
                terminal.text(Tone::Plain, "is it.")?;
                terminal.line("a line")?;
                terminal.text(Tone::Plain, "more\n")?;
                terminal.line("b line")
            },
            false,
        );
        assert_eq!(text, "Here is it.\na line\nmore\nb line\n");
    }

    #[test]
    fn a_status_makes_room() {
        let text = shown(
            |terminal| {
                terminal.status(&"x".repeat(200))?;
                terminal.status("y")?;
                terminal.line("z")
            },
            false,
        );
        let gone = "\r\x1b[2K";
        assert_eq!(text, format!("{}{gone}y{gone}z\n", "x".repeat(STATUS_LENGTH_MAX)));
    }

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        let evil = "a\x1b[2Jb\x07\u{202e}c\r\n\td\u{9b}";
        let painted = Terminal::new(Vec::new(), true).paint(Tone::Good, evil);
        assert_eq!(painted, "\x1b[32ma[2Jbc\n\td\x1b[0m");
        assert_eq!(Terminal::new(Vec::new(), false).paint(Tone::Good, evil), "a[2Jbc\n\td");
    }
}
