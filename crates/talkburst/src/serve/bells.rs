//! For a thread that waits for many things: each of them has a bell, and only what has rung is looked at.
//!
//! Asking all that a shard waits for, sockets and queues, whenever one of them has something would cost more than what is done with
//! a packet of speech.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Bells that there can be.
pub(crate) const BELLS_MAX: usize = 64;

/// Bells of one task.
pub(crate) struct Bells {
    rung: Arc<Rung>,
    wakers: Vec<Waker>,
    /// Which is answered first: one that never stops ringing keeps no other from being answered.
    turn: u32,
}

/// Those that have rung.
struct Rung {
    mask: AtomicU64,
    /// Whom they wake.
    task: AtomicWaker,
}

struct Bell {
    mask: u64,
    rung: Arc<Rung>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.mask.fetch_or(self.mask, Ordering::AcqRel);
        self.rung.task.wake();
    }
}

impl Bells {
    /// All are answered at first, so that who is behind them knows whom to wake.
    pub(crate) fn new() -> Self {
        let rung = Arc::new(Rung { mask: AtomicU64::new(u64::MAX), task: AtomicWaker::new() });
        let bell = |number| Waker::from(Arc::new(Bell { mask: 1_u64 << number, rung: Arc::clone(&rung) }));
        Self { wakers: (0..BELLS_MAX).map(bell).collect(), rung, turn: 0 }
    }

    /// Has this bell answered the next time.
    pub(crate) fn ring(&self, number: usize) {
        self.rung.mask.fetch_or(1 << (number % BELLS_MAX), Ordering::AcqRel);
    }

    /// Answers what has rung, until there is something. What is there at a bell may not be all: it is answered again.
    pub(crate) fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut answer: impl FnMut(usize, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.rung.task.register(context.waker());
        // Those that ring from now on wake the task, and are answered then.
        let mut rung = self.rung.mask.load(Ordering::Acquire).rotate_right(self.turn);
        while rung != 0 {
            let number = (rung.trailing_zeros() + self.turn) % u64::BITS;
            rung &= rung - 1;
            // Before it is answered: it may ring again meanwhile.
            self.rung.mask.fetch_and(!(1 << number), Ordering::AcqRel);
            let waker = &self.wakers[number as usize];
            if let Poll::Ready(ready) = answer(number as usize, &mut Context::from_waker(waker)) {
                self.ring(number as usize);
                self.turn = (number + 1) % u64::BITS;
                return Poll::Ready(ready);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Who is answered, of those at whom there is something for as long as `has` says so.
    fn answered(bells: &mut Bells, task: &Waker, has: impl Fn(usize) -> bool) -> (Vec<usize>, Option<usize>) {
        let mut answered = Vec::new();
        let ready = bells.poll(&mut Context::from_waker(task), |number, _| {
            answered.push(number);
            if has(number) { Poll::Ready(number) } else { Poll::Pending }
        });
        (answered, if let Poll::Ready(number) = ready { Some(number) } else { None })
    }

    #[test]
    fn all_are_answered_at_first_and_then_only_what_has_rung() {
        let (mut bells, task) = (Bells::new(), Arc::new(Task::default()));
        let waker = Waker::from(Arc::clone(&task));
        let (first, none) = answered(&mut bells, &waker, |_| false);
        assert_eq!((first.len(), none), (BELLS_MAX, None));
        assert_eq!(answered(&mut bells, &waker, |_| true), (vec![], None));

        let mut sources = Vec::new();
        (0..2).for_each(|number| bells.ring(7 * number));
        let poll = bells.poll(&mut Context::from_waker(&waker), |number, context| {
            sources.push((number, context.waker().clone()));
            Poll::<()>::Pending
        });
        assert!(poll.is_pending());
        assert_eq!(task.0.load(Ordering::Relaxed), 0, "nobody outside has rung");
        sources[1].1.wake_by_ref();
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
        assert_eq!(answered(&mut bells, &waker, |_| false), (vec![sources[1].0], None));
    }

    #[test]
    fn a_bell_that_never_stops_ringing_keeps_no_other_from_being_answered() {
        let (mut bells, waker) = (Bells::new(), Waker::noop());
        answered(&mut bells, waker, |_| false);
        [3, 40, 63].into_iter().for_each(|number| bells.ring(number));
        let turns: Vec<_> = (0..6).map(|_| answered(&mut bells, waker, |_| true).1.unwrap()).collect();
        assert_eq!(turns, [3, 40, 63, 3, 40, 63]);
    }

    #[test]
    fn what_rings_while_it_is_answered_is_answered_again() {
        let (mut bells, waker) = (Bells::new(), Waker::noop());
        answered(&mut bells, waker, |_| false);
        bells.ring(5);
        let poll = bells.poll(&mut Context::from_waker(waker), |_, context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(poll.is_pending());
        assert_eq!(answered(&mut bells, waker, |_| false).0, [5]);
    }

    #[test]
    fn the_task_that_waited_last_is_woken() {
        let (mut bells, tasks) = (Bells::new(), [Arc::new(Task::default()), Arc::new(Task::default())]);
        let wakers = tasks.clone().map(Waker::from);
        answered(&mut bells, &wakers[0], |_| false);
        bells.ring(0);
        let mut source = None;
        let poll = bells.poll(&mut Context::from_waker(&wakers[0]), |_, context| {
            source = Some(context.waker().clone());
            Poll::<()>::Pending
        });
        assert!(poll.is_pending());
        answered(&mut bells, &wakers[1], |_| false);
        source.unwrap().wake();
        assert_eq!(tasks.map(|task| task.0.load(Ordering::Relaxed)), [0, 1]);
    }
}
