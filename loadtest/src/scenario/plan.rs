//! Who joins which room, and when.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::file::{Group, Scenario};

/// One participant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seat {
    pub(crate) room: usize,
    /// Index into the scenario's groups.
    pub(crate) group: usize,
    /// Within its group and room.
    pub(crate) member: usize,
    /// After the start.
    pub(crate) join_at: Duration,
}

impl Seat {
    /// Where in their interval this one's frames are made, from 0 to 1: a group's members are spread evenly, however many there are,
    /// for a run in which several tick as one by chance tells another latency than the next.
    pub(crate) fn phase(&self, group: &Group) -> f64 {
        // The fractions of its multiples are spread evenly, wherever one stops.
        const GOLDEN: f64 = 0.618_033_988_749_895;
        let number = self.room * group.members() + self.member;
        // Other groups lie elsewhere.
        (number as f64 * GOLDEN + self.group as f64 * std::f64::consts::SQRT_2).fract()
    }
}

/// All seats, room by room, with the time at which each joins.
pub(crate) fn plan(scenario: &Scenario) -> Vec<Seat> {
    let mut seats = Vec::with_capacity(scenario.total());
    for room in 0..scenario.rooms {
        for (group, settings) in scenario.groups.iter().enumerate() {
            let seat = |member| Seat { room, group, member, join_at: Duration::ZERO };
            seats.extend((0..settings.members()).map(seat));
        }
    }
    let paced = |group: usize| scenario.groups[group].join_rate;
    let spread = seats.iter().filter(|seat| paced(seat.group).is_none()).count().max(1);
    let mut turn = 0;
    let mut turns = vec![0_u32; scenario.groups.len()];
    for seat in &mut seats {
        let Group { join_after, .. } = scenario.groups[seat.group];
        let within = match paced(seat.group) {
            Some(rate) => {
                let at = Duration::from_secs_f64(f64::from(turns[seat.group]) / rate);
                turns[seat.group] += 1;
                at
            }
            None => {
                let at = scenario.ramp.mul_f64(f64::from(turn) / spread as f64);
                turn += 1;
                at
            }
        };
        seat.join_at = join_after + within;
    }
    seats
}

/// Divides seats among workers: whole rooms if there are enough, or if two people call each other; else participants in turn.
pub(crate) fn divide(seats: &[Seat], scenario: &Scenario, workers: usize) -> Vec<Vec<Seat>> {
    let mut shares = vec![Vec::new(); workers.max(1)];
    let count = shares.len();
    let whole = scenario.rooms >= count || scenario.calls.is_some();
    for (index, seat) in seats.iter().enumerate() {
        let turn = if whole { seat.room } else { index };
        shares[turn % count].push(*seat);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(text: &str) -> Scenario {
        Scenario::parse(&format!("duration = \"10s\"\nramp = \"4s\"\n{text}")).unwrap()
    }

    #[test]
    fn the_ramp_spreads_everybody_evenly_room_by_room() {
        let seats = plan(&scenario("rooms = 2\n[[groups]]\nname = \"a\"\ncount = 2\n"));
        let at: Vec<_> = seats.iter().map(|seat| (seat.room, seat.member, seat.join_at.as_secs())).collect();
        assert_eq!(at, [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3)]);
    }

    #[test]
    fn a_group_with_a_rate_joins_at_that_rate_and_after_its_time() {
        let seats = plan(&scenario(
            "[[groups]]\nname = \"a\"\ncount = 1\n[[groups]]\nname = \"b\"\ncount = 3\njoin_rate = 2.0\njoin_after = \"10s\"\n",
        ));
        let at: Vec<_> = seats.iter().map(|seat| seat.join_at.as_millis()).collect();
        assert_eq!(at, [0, 10_000, 10_500, 11_000]);
    }

    #[test]
    fn rooms_stay_whole_where_there_are_enough_of_them() {
        let four = scenario("rooms = 4\n[[groups]]\nname = \"a\"\ncount = 2\n");
        let seats = plan(&four);
        let shares = divide(&seats, &four, 2);
        assert!(shares.iter().all(|share| share.len() == 4));
        assert!(shares[0].iter().all(|seat| seat.room % 2 == 0));
        // One large room is shared.
        let one = scenario("[[groups]]\nname = \"a\"\ncount = 5\n");
        let sizes: Vec<_> = divide(&plan(&one), &one, 2).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 2]);
        // But for two who call each other.
        let pair =
            "rooms = 1\n[calls]\n[[groups]]\nname = \"a\"\ncount = 1\n[[groups]]\nname = \"b\"\ncount = 1\n";
        let pair = scenario(pair);
        let sizes: Vec<_> = divide(&plan(&pair), &pair, 2).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 0]);
    }

    #[test]
    fn the_frames_of_a_group_are_spread_over_their_interval() {
        let scenario =
            scenario("rooms = 4\n[[groups]]\nname = \"a\"\ncount = 2\n[[groups]]\nname = \"b\"\ncount = 7\n");
        for (group, count) in [(0, 8.0), (1, 28.0)] {
            let seats = plan(&scenario).into_iter().filter(|seat| seat.group == group);
            let mut phases: Vec<f64> = seats.map(|seat| seat.phase(&scenario.groups[group])).collect();
            phases.sort_by(f64::total_cmp);
            assert!(phases.iter().all(|phase| (0.0..1.0).contains(phase)), "{phases:?}");
            let closest = phases.windows(2).map(|pair| pair[1] - pair[0]).fold(1.0, f64::min);
            assert!(closest > 1.0 / count / 3.0, "{phases:?}");
        }
    }
}
