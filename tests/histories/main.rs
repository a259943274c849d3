//! Random histories: clusters in memory on which nodes go into maintenance and come back, with the real engine, under
//! virtual time. A seed decides everything.
//!
//! ```sh
//! cargo test -p careen-tests --test histories                          # as many as a usual run has time for
//! SEEDS=1000 TWICE=50 cargo test -p careen-tests --test histories -- --nocapture
//! SEED=42 cargo test -p careen-tests --test histories -- --nocapture    # that one, with all that happened
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `plan`, `workloads` | what a history is to be: pure, from a seed |
//! | `life` | the cluster, and what happens on it |
//! | `careen` | Careen, on a connection that is written down |
//! | `story` | what happened |
//! | `promises` | what holds in every history |

mod careen;
mod life;
mod plan;
mod promises;
mod story;
mod workloads;

use std::{ops::Range, time::Instant};

use plan::Plan;
use story::Story;

/// So many in a usual run, which takes 20 s with them. `tests/run` has more.
const SEEDS: u64 = 20;
/// So many are lived twice.
const TWICE: u64 = 6;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Lets two threads do it, each half of the seeds.
fn on_two_threads<T: Send>(seeds: Range<u64>, of_seed: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let (of_seed, half) = (&of_seed, seeds.start.midpoint(seeds.end));
    std::thread::scope(|scope| {
        let halves = [seeds.start..half, half..seeds.end];
        let threads = halves.map(|seeds| scope.spawn(move || seeds.map(of_seed).collect::<Vec<T>>()));
        threads.into_iter().flat_map(|thread| thread.join().expect("a history panicked: see above")).collect()
    })
}

fn lived(seed: u64) -> Story {
    let plan = Plan::of(seed);
    let described = format!("{plan:#?}");
    let outcome = std::panic::catch_unwind(|| life::live(plan));
    outcome.unwrap_or_else(|_| panic!("seed {seed} panicked: see above\n{described}"))
}

#[test]
fn every_history_keeps_all_promises() {
    let started = Instant::now();
    if let Some(seed) = number("SEED") {
        let story = lived(seed);
        println!("{:#?}\n{}", story.plan.happenings, story.trace());
        let broken = promises::broken(&story);
        assert!(broken.is_empty(), "seed {seed}:\n{}", broken.join("\n"));
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let stories = on_two_threads(0..seeds, |seed| {
        let story = lived(seed);
        let broken = promises::broken(&story);
        let first = broken.first().map(|first| first.chars().take(600).collect::<String>());
        (seed, story.moments.len(), story.sent.len(), first.map(|first| (first, story.trace())))
    });
    let took = started.elapsed();
    let written: usize = stories.iter().map(|(_, moments, ..)| moments).sum();
    let sent: usize = stories.iter().map(|(_, _, sent, _)| sent).sum();
    println!("{seeds} histories in {took:.1?}: {written} requests written down, {sent} of them Careen's");
    let broken: Vec<_> = stories.into_iter().filter_map(|(seed, .., broken)| Some((seed, broken?))).collect();
    for (seed, (first, _)) in &broken {
        println!("seed {seed}: {first}");
    }
    if let Some((seed, (first, trace))) = broken.first() {
        panic!("{} of {seeds} histories break a promise; SEED={seed}:\n{trace}\n{first}", broken.len());
    }
}

#[test]
fn a_seed_lived_twice_gives_the_same_history() {
    let twice = number("TWICE").unwrap_or(TWICE);
    let started = Instant::now();
    let differences = on_two_threads(0..twice, |seed| {
        let (first, second) = (lived(seed), lived(seed));
        assert!(first.moments.len() > 100, "seed {seed}: too few to say anything");
        if first.hash() == second.hash() {
            return None;
        }
        let lines = |story: &Story| story.moments.iter().map(story::line_of).collect::<Vec<_>>();
        let (first, second) = (lines(&first), lines(&second));
        let index =
            first.iter().zip(&second).position(|(one, other)| one != other).unwrap_or(first.len().min(second.len()));
        let line = |lines: &[String]| lines.get(index).cloned().unwrap_or_default();
        Some(format!("seed {seed}, request {index}:\n  {}\n  {}", line(&first), line(&second)))
    });
    let differences: Vec<String> = differences.into_iter().flatten().collect();
    println!("{twice} histories lived twice in {:.1?}", started.elapsed());
    assert!(differences.is_empty(), "{} of {twice}:\n{}", differences.len(), differences.join("\n"));
}
