//! Answers that are kept for seconds, and asked for once however many want them at the same time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync, time::Instant};

/// So many answers are kept. One is some hundred bytes, so this is a few megabytes.
const MAX: usize = 10_000;

/// What is known for a while. A question that is being asked is waited for, not asked again.
#[derive(Debug)]
pub(super) struct Fresh<K, V> {
    slots: Mutex<HashMap<K, Slot<V>>>,
    max: usize,
}

/// Locked while its answer is asked for.
type Slot<V> = Arc<sync::Mutex<Option<Known<V>>>>;

#[derive(Debug)]
struct Known<V> {
    value: V,
    until: Instant,
}

impl<K: Eq + Hash + Clone, V: Clone> Fresh<K, V> {
    pub(super) fn new() -> Self {
        Self { slots: Mutex::default(), max: MAX }
    }

    /// The answer that is known, or else what `ask` brings and how long that is good for. A failure is not kept.
    pub(super) async fn get<E>(&self, key: K, ask: impl Future<Output = Result<(V, Duration), E>>) -> Result<V, E> {
        let slot = self.slot(key);
        let mut known = slot.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.until > Instant::now()) {
            return Ok(known.value.clone());
        }
        // If the caller goes away meanwhile, the lock is released, and the next one asks.
        let asked = Instant::now();
        let (value, good_for) = ask.await?;
        *known = Some(Known { value: value.clone(), until: asked + good_for });
        Ok(value)
    }

    fn slot(&self, key: K) -> Slot<V> {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(&key) {
            return slot.clone();
        }
        if slots.len() >= self.max {
            let now = Instant::now();
            // One that is locked is being asked for.
            slots.retain(|_, slot| {
                slot.try_lock().map_or(true, |known| known.as_ref().is_some_and(|known| known.until > now))
            });
        }
        let slot = Slot::default();
        // With the cache full of fresh answers, this one is not kept.
        if slots.len() < self.max {
            slots.insert(key, slot.clone());
        }
        slot
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<K, Slot<V>>> {
        // Nobody panics while holding it.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicU32, Ordering},
    };

    use tokio::time::{advance, sleep, timeout};

    use super::*;

    /// Counts how often it is asked; an answer takes a second, and is good for ten.
    #[derive(Default)]
    struct Oracle(AtomicU32);

    impl Oracle {
        async fn ask(&self) -> Result<(u32, Duration), Infallible> {
            sleep(Duration::from_secs(1)).await;
            Ok((self.0.fetch_add(1, Ordering::SeqCst) + 1, Duration::from_secs(10)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_at_the_same_time_ask_once_until_the_answer_is_too_old() {
        let (fresh, oracle) = (Fresh::new(), Oracle::default());
        let all = futures::future::join_all((0..100).map(|_| fresh.get("a", oracle.ask()))).await;
        assert!(all.into_iter().all(|answer| answer == Ok(1)));
        // It was asked for a second ago.
        advance(Duration::from_millis(8999)).await;
        assert_eq!(fresh.get("a", oracle.ask()).await, Ok(1));
        advance(Duration::from_millis(1)).await;
        assert_eq!(fresh.get("a", oracle.ask()).await, Ok(2));
        assert_eq!(fresh.get("b", oracle.ask()).await, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_while_asking_leaves_it_to_the_next() {
        let (fresh, oracle) = (Fresh::new(), Oracle::default());
        tokio::select! {
            _ = fresh.get("a", oracle.ask()) => panic!("it was to take longer"),
            () = sleep(Duration::from_millis(500)) => {}
        }
        assert_eq!(fresh.get("a", oracle.ask()).await, Ok(1));
    }

    /// As whoever asks Kubernetes does it.
    #[tokio::test(start_paused = true)]
    async fn while_nobody_answers_each_waits_no_longer_than_one_question_takes() {
        let (fresh, begun) = (Fresh::<_, u32>::new(), Instant::now());
        let within = Duration::from_secs(10);
        let ask = || async {
            sleep(within).await;
            Err("no answer")
        };
        let all = futures::future::join_all((0..100).map(|_| timeout(within, fresh.get("a", ask())))).await;
        assert!(all.into_iter().all(|answer| !matches!(answer, Ok(Ok(_)))));
        assert!(begun.elapsed() <= within + Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_kept() {
        let fresh = Fresh::<_, u32>::new();
        assert_eq!(fresh.get("a", async { Err("away") }).await, Err("away"));
        assert_eq!(fresh.get("a", async { Ok::<_, &str>((7, Duration::from_secs(1))) }).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn it_holds_a_bounded_number_of_answers() {
        let fresh = Fresh { slots: Mutex::default(), max: 10 };
        let oracle = Oracle::default();
        for key in 0..50 {
            fresh.get(key, oracle.ask()).await.unwrap();
            assert!(fresh.slots().len() <= 10);
        }
        // Old ones made room for new ones.
        assert_eq!(fresh.get(49, oracle.ask()).await, Ok(50));
    }
}
