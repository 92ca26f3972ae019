//! Progress of long work: a bar with samples/s on a terminal, a plain line now and then elsewhere, nothing when quiet.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal::Terminal;

/// Time between plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// The progress of one piece of work at a time.
pub(crate) struct Progress {
    terminal: Terminal,
    title: String,
    begun: Instant,
    said: Instant,
    done: usize,
    total: usize,
    unit: &'static str,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(terminal: &Terminal) -> Self {
        let now = Instant::now();
        Self { terminal: *terminal, title: String::new(), begun: now, said: now, done: 0, total: 0, unit: "", bar: None }
    }

    /// Begins a piece of work.
    pub(crate) fn begin(&mut self, title: &str) {
        self.end();
        title.clone_into(&mut self.title);
        self.begun = Instant::now();
        self.said = self.begun;
        (self.done, self.total) = (0, 0);
    }

    /// `done` of `total` units are through.
    pub(crate) fn set(&mut self, done: usize, total: usize, unit: &'static str) {
        (self.done, self.total, self.unit) = (done, total, unit);
        if self.terminal.is_quiet() {
            return;
        }
        if self.terminal.is_interactive() {
            let bar = self.bar.get_or_insert_with(|| bar(&self.title, unit));
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        } else if self.said.elapsed() >= PLAIN_INTERVAL {
            self.said = Instant::now();
            self.terminal.line(&format!("{}: {done} of {total} {unit}, {:.0} {unit}/s", self.title, self.rate()));
        }
    }

    /// Ends the work; says how much there was, and how fast, if it counted anything.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.done > 0 {
            let (title, done, unit) = (&self.title, self.done, self.unit);
            self.terminal.line(&format!("{title}: {done} {unit}, {:.0} {unit}/s", self.rate()));
            self.done = 0;
        }
    }

    /// Lets `f` write to the terminal without tearing the bar.
    pub(crate) fn suspend(&self, f: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(f),
            None => f(),
        }
    }

    fn rate(&self) -> f64 {
        self.done as f64 / self.begun.elapsed().as_secs_f64().max(1e-9)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(title: &str, unit: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let template = format!("{{prefix}} [{{bar:30}}] {{pos}}/{{len}} {unit} {{per_sec}} {{eta}}");
    // The template is a constant of ours; if it were wrong, the default style would do.
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("=> ").with_key("per_sec", per_second));
    }
    bar.set_prefix(title.to_owned());
    bar
}

fn per_second(state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write) {
    let _ = write!(out, "{:.0}/s", state.per_sec());
}
