//! What happens in a room by the passing of time alone.

use std::time::{Duration, Instant};

use crate::model::{CloseReason, RoomEndReason, SessionState};
use crate::room::RoomKey;
use crate::shard::Shard;
use crate::timers::Timer;

/// How often a room with media is looked after: the resolution of repeated key-frame requests and speaker changes.
const LIVELY: Duration = Duration::from_millis(100);
/// How often a quiet room is looked after: the resolution of its timeouts. A room without media must cost almost nothing.
const QUIET: Duration = Duration::from_secs(1);
/// Sessions whose allocation is older than this get a new one: costs of layers drift without an event.
const REALLOCATE: Duration = Duration::from_secs(1);

impl Shard {
    /// Looks after a room.
    pub(crate) fn keep_house(&mut self, now: Instant, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        if now.saturating_duration_since(room.owner_seen) > room.settings.orphan_timeout {
            return self.end_room(key, RoomEndReason::Orphaned);
        }
        let lively = std::mem::take(&mut room.lively);
        let sessions: Vec<_> = room.sessions.values().copied().collect();
        for session in sessions {
            let state = &self.sessions[session];
            let patience = state.settings.connect_timeout.unwrap_or(self.config.connect_timeout);
            let down = now.saturating_duration_since(state.down_since);
            if state.state != SessionState::Connected && down > patience {
                self.close_session(session, CloseReason::Timeout);
                continue;
            }
            if self.sessions[session].data.waits() {
                self.touch(session);
            }
            if now.saturating_duration_since(self.sessions[session].path.allocated_at) > REALLOCATE {
                self.allocate(now, session);
            }
        }
        self.emit_speakers(key, now);
        let publications: Vec<_> = self.rooms[key].publications.iter().map(|(k, _)| k).collect();
        for publication in publications {
            if self.rooms[key].publications[publication].notice_silence(now) {
                self.on_publication_changed(now, key, publication);
            }
            self.collect_waiters(key, publication);
            self.ask_for_key_frames(now, key, publication);
            self.report_wanted(key, publication);
        }
        self.timers.set(Timer::Room(key), now + if lively { LIVELY } else { QUIET });
    }
}
