//! Where the story is told: bars and lines on a terminal, lines alone on a pipe.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    observation::Name,
    teller::{Bar, Bars},
};

const OVERALL: &str = "{prefix:>37.bold}  [{bar:20}] {pos} of {len} have left";
const WITH_STEPS: &str = "{prefix:>37}  [{bar:20}] {wide_msg}";
const WITHOUT_STEPS: &str = "{prefix:>37}  {spinner} {wide_msg}";
const TICK: Duration = Duration::from_millis(120);

/// Where the story is told.
#[derive(Debug)]
pub(super) enum Stage {
    Terminal(Box<Terminal>),
    Pipe,
}

/// A terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    all: MultiProgress,
    overall: Option<ProgressBar>,
    workloads: BTreeMap<Name, ProgressBar>,
}

impl Stage {
    /// What stdout is.
    pub(super) fn on_stdout() -> Self {
        if io::stdout().is_terminal() {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
            Self::Terminal(Box::new(Terminal { all, overall: None, workloads: BTreeMap::new() }))
        } else {
            Self::Pipe
        }
    }

    /// Says something, once.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        match self {
            // Line by line: of several at once, an empty one at the end would be left out.
            Self::Terminal(terminal) => text.split('\n').try_for_each(|line| terminal.all.println(line)),
            Self::Pipe => writeln!(io::stdout(), "{text}"),
        }
    }

    /// Shows what goes on; nothing, if nothing does.
    pub(super) fn show(&mut self, bars: &Bars, node: &str) {
        if bars.workloads.is_empty() {
            self.clear();
        } else if let Self::Terminal(terminal) = self {
            terminal.show(bars, node);
        }
    }

    /// Takes the bars away.
    pub(super) fn clear(&mut self) {
        if let Self::Terminal(terminal) = self {
            terminal.clear();
        }
    }
}

/// A story that is broken off leaves no bars behind.
impl Drop for Terminal {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Terminal {
    fn clear(&mut self) {
        self.workloads.clear();
        self.overall = None;
        // A terminal that cannot be written to any more is told of by whoever says something there.
        self.all.clear().ok();
    }

    fn show(&mut self, bars: &Bars, node: &str) {
        let Self { all, overall, workloads } = self;
        let overall = overall.get_or_insert_with(|| {
            let bar = all.add(ProgressBar::new(0)).with_prefix(format!("node {node}"));
            bar.with_style(style(OVERALL))
        });
        overall.set_length(bars.had_to_leave as u64);
        overall.set_position(bars.left as u64);
        workloads.retain(|name, bar| {
            let stays = bars.workloads.contains_key(name);
            if !stays {
                all.remove(bar);
            }
            stays
        });
        for (name, bar) in &bars.workloads {
            let shown = workloads.entry(name.clone()).or_insert_with(|| {
                let shown = all.insert_before(overall, ProgressBar::new(1)).with_prefix(name.to_string());
                shown.enable_steady_tick(TICK);
                shown
            });
            draw(shown, bar);
        }
    }
}

fn draw(shown: &ProgressBar, bar: &Bar) {
    shown.set_style(style(if bar.steps.is_some() { WITH_STEPS } else { WITHOUT_STEPS }));
    if let Some((done, of)) = bar.steps {
        shown.set_length(of);
        shown.set_position(done);
    }
    shown.set_message(bar.doing.clone());
}

/// The templates are constants, and a test tries them.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_sound() {
        for template in [OVERALL, WITH_STEPS, WITHOUT_STEPS] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
