//! The picture of a running load, a few lines at the bottom of the terminal: what was there before
//! stays, and the report comes below.

use std::{
    env,
    io::{self, Stdout},
    time::Duration,
};

use fib_client::report::Latency;
use ratatui::{
    Frame, Terminal, TerminalOptions, Viewport,
    crossterm::{
        cursor::MoveToColumn,
        event::{self, Event, KeyCode, KeyEvent, KeyModifiers},
        execute,
        terminal::{disable_raw_mode, enable_raw_mode, size},
    },
    layout::{Constraint, Layout},
    prelude::CrosstermBackend,
    style::{Color, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Gauge, Paragraph, Sparkline},
};

use crate::cmd::perf::seen::Seen;

/// How many lines the picture has.
const HEIGHT: u16 = 11;

/// A smaller terminal is written to in lines.
const SMALLEST: (u16, u16) = (40, HEIGHT + 1);

/// The terminal while it is drawn on. Dropping it gives it back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    colours: bool,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> io::Result<Self> {
        let (columns, rows) = size()?;
        if columns < SMALLEST.0 || rows < SMALLEST.1 {
            return Err(io::Error::other("the terminal is too small"));
        }
        enable_raw_mode()?;
        let options = TerminalOptions { viewport: Viewport::Inline(HEIGHT) };
        match Terminal::with_options(CrosstermBackend::new(io::stdout()), options) {
            Ok(terminal) => {
                let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                Ok(Self { terminal, colours: !no_color })
            }
            Err(error) => {
                disable_raw_mode()?;
                Err(error)
            }
        }
    }

    pub(super) fn draw(&mut self, seen: &Seen) -> io::Result<()> {
        let colours = self.colours;
        self.terminal.draw(|frame| draw(frame, seen, colours)).map(|_| ())
    }
}

/// Whether somebody has pressed Ctrl-C, which is no signal while a screen is open, or q, or Esc.
pub(super) fn wants_stop() -> bool {
    let mut wants_stop = false;
    while event::poll(Duration::ZERO).unwrap_or(false) {
        wants_stop |= matches!(event::read(), Ok(Event::Key(key)) if ends(key));
    }
    wants_stop
}

fn ends(key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        KeyCode::Char('q') | KeyCode::Esc => true,
        _ => false,
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.terminal.clear();
        let _ = self.terminal.show_cursor();
        let _ = execute!(io::stdout(), MoveToColumn(0));
        let _ = disable_raw_mode();
    }
}

fn draw(frame: &mut Frame<'_>, seen: &Seen, colours: bool) {
    let style = |colour| if colours { Style::new().fg(colour) } else { Style::new() };
    let [title, gauge, rate, spark, table, hint] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Length(4),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(seen.title.as_str().bold()), title);
    let (done, phase) = seen.phase();
    let bar = Gauge::default().ratio(done.clamp(0.0, 1.0)).label(phase);
    frame.render_widget(bar.gauge_style(style(Color::Blue)), gauge);
    let errors = format!("errors {}", seen.errors);
    let errors = if seen.errors > 0 {
        Span::styled(errors, style(Color::Red).bold())
    } else {
        errors.into()
    };
    let rate_told = format!("{:>10.0} reqs/s   ", seen.rate);
    frame.render_widget(Line::from(vec![rate_told.bold(), errors]), rate);
    let width = usize::from(spark.width);
    let rates: Vec<u64> = seen.rates.iter().rev().take(width).rev().copied().collect();
    let sparkline = Sparkline::default().data(rates).style(style(Color::Cyan));
    frame.render_widget(sparkline.block(Block::default()), spark);
    let header = Line::from(header()).dim();
    let rows = [("now", &seen.last.response), ("so far", &seen.all)];
    let rows = rows.map(|(name, samples)| Line::from(row(name, &Latency::of(samples))));
    let [now, so_far] = rows;
    frame.render_widget(Paragraph::new(vec![Line::default(), header, now, so_far]), table);
    frame.render_widget(Line::from("Ctrl-C or q ends it, and reports").dim(), hint);
}

fn header() -> String {
    let names = ["p50", "p90", "p99", "p99.9", "max"].map(|name| format!("{name:>11}"));
    format!("{:<9}{}", "response", names.concat())
}

fn row(name: &str, latency: &Latency) -> String {
    let Latency { p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns, .. } = *latency;
    let told = |nanos| format!("{:>11}", fib_client::report::Nanos(nanos).to_string());
    let values = [p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns].map(told);
    format!("{name:<9}{}", values.concat())
}

#[cfg(test)]
mod tests {
    use ratatui::{backend::TestBackend, buffer::Cell};

    use super::*;
    use crate::cmd::perf::seen::tests::seen;

    fn drawn(width: u16, colours: bool) -> (String, bool) {
        let mut terminal = Terminal::new(TestBackend::new(width, HEIGHT)).expect("it has room");
        terminal.draw(|frame| draw(frame, &seen(), colours)).expect("it can be drawn");
        let buffer = terminal.backend().buffer();
        let cells = buffer.content();
        let rows = cells.chunks(usize::from(width));
        let text = rows.map(|row| row.iter().map(Cell::symbol).collect::<String>() + "\n");
        (text.collect(), cells.iter().any(|it| it.fg != Color::Reset))
    }

    #[test]
    fn the_picture_tells_what_matters() {
        let (text, coloured) = drawn(80, true);
        for part in ["fib(1) on 127.0.0.1:25000", "65302 reqs/s", "errors 3", "s left", "so far"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(coloured);
    }

    #[test]
    fn no_color_is_respected_and_narrow_terminals_do_not_break_it() {
        let (text, coloured) = drawn(40, false);
        assert!(text.contains("65302 reqs/s") && !coloured, "{text}");
    }
}
