//! Says when sessions have ended and there is time to clear up after them.

/// A thread that is busier than this keeps its time for media: clearing up looks at all that the thread holds.
const BUSY: f32 = 0.5;

/// So often after a departure: other threads let go of what a session leaves behind a little later.
const TIMES: u8 = 5;

/// Watches the number of sessions.
pub(super) struct Departures {
    ended: fn(),
    sessions: u64,
    due: u8,
}

impl Departures {
    /// `ended` is called when sessions have ended.
    pub(super) fn new(ended: fn()) -> Self {
        Departures { ended, sessions: 0, due: 0 }
    }

    /// To be called now and then, with the number of sessions and how busy the thread was, 0 to 1.
    pub(super) fn look(&mut self, sessions: u64, busy: f32) {
        if sessions < self.sessions {
            self.due = TIMES;
        }
        self.sessions = sessions;
        if self.due > 0 && busy < BUSY {
            self.due -= 1;
            (self.ended)();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static CALLED: Cell<u32> = const { Cell::new(0) };
    }

    #[test]
    fn clears_up_a_few_times_when_there_is_time() {
        let mut departures = Departures::new(|| CALLED.set(CALLED.get() + 1));
        let mut called_after = |sessions, busy| {
            departures.look(sessions, busy);
            CALLED.get()
        };
        assert_eq!(called_after(10, 0.1), 0, "nobody left");
        assert_eq!(called_after(4, 0.9), 0, "no time");
        assert_eq!(called_after(6, 0.9), 0, "still none, though others came");
        for time in 1..=u32::from(TIMES) {
            assert_eq!(called_after(6, 0.2), time);
        }
        assert_eq!(called_after(6, 0.2), u32::from(TIMES), "often enough");
        assert_eq!(called_after(0, 0.2), u32::from(TIMES) + 1);
    }
}
