//! Runs a bounded number of tasks at once, so that peers are asked in parallel.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The task of this item panicked; other items are not affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("internal error: the task panicked")]
pub struct Panicked;

/// Applies `task` to all `items`, at most `limit` at a time, and returns the results in the order of the items.
///
/// If the system refuses a thread, it goes on with fewer; the calling thread always works as well.
pub fn bounded_parallel<T, R, F>(items: Vec<T>, limit: usize, task: F) -> Vec<Result<R, Panicked>>
where
    T: Send,
    R: Send,
    F: Fn(T) -> R + Sync,
{
    let workers = limit.min(items.len());
    let mut results: Vec<Result<R, Panicked>> = items.iter().map(|_| Err(Panicked)).collect();
    let queue = Mutex::new(items.into_iter().zip(results.iter_mut()));
    let work = || {
        // The lock is held only while taking the next item, so no task's panic can poison it.
        while let Some((item, slot)) = next(&queue) {
            *slot = catch_unwind(AssertUnwindSafe(|| task(item))).map_err(|_| Panicked);
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers {
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    drop(queue);
    results
}

fn next<I: Iterator>(queue: &Mutex<I>) -> Option<I::Item> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).next()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        let twice = bounded_parallel((0..1000).collect(), 7, |n: u32| n * 2);
        assert_eq!(twice, (0..1000).map(|n| Ok(n * 2)).collect::<Vec<_>>());
        assert_eq!(bounded_parallel(Vec::<u8>::new(), 4, |n| n), vec![]);
        assert_eq!(bounded_parallel(vec![1], 0, |n| n), vec![Ok(1)]);
    }

    #[test]
    fn tasks_run_at_the_same_time_up_to_the_limit() {
        // Each group of four continues only when all four have started.
        let (barrier, running, most) = (Barrier::new(4), AtomicUsize::new(0), AtomicUsize::new(0));
        let done = bounded_parallel((0..16).collect(), 4, |_: u32| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            barrier.wait();
            running.fetch_sub(1, Ordering::SeqCst);
        });
        assert_eq!((done.len(), most.into_inner()), (16, 4));
    }

    #[test]
    fn a_panic_affects_only_its_own_item() {
        let results = bounded_parallel(vec![1, 2, 3], 2, |n: u32| {
            assert_ne!(n, 2, "on purpose");
            n
        });
        assert_eq!(results, vec![Ok(1), Err(Panicked), Ok(3)]);
    }
}
