use super::*;

fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

fn session(number: usize) -> SessionId {
    SessionId::new(&format!("s{number}")).unwrap()
}

fn least(counts: &[usize]) -> Option<usize> {
    (0..counts.len()).min_by_key(|&shard| counts[shard])
}

/// A directory with room "a" at home on shard 0.
fn with_room() -> Directory {
    let directory = Directory::default();
    directory.place(&room("a"), 1, least);
    directory.settle(&room("a"), 0, true);
    directory
}

fn open(directory: &Directory, shard: usize) -> Opened {
    match directory.door(&room("a"), shard) {
        Door::Closed(opening) => directory.opened(&room("a"), shard, &opening),
        Door::Open | Door::Gone => Opened::Gone,
    }
}

/// Puts a session on a node of three shards with room for two sessions each.
fn join(directory: &Directory, number: usize) -> Place {
    let other = |shards: &[usize]| (0..3).find(|shard| !shards.contains(shard));
    let place = directory.seat(&room("a"), &session(number), 2, other).unwrap();
    open(directory, place.shard);
    directory.settle_session(&room("a"), &session(number), place.shard, true);
    place
}

#[test]
fn rooms_spread_and_stay_where_they_are() {
    let directory = Directory::default();
    for (name, shard) in [("a", 0), ("b", 1), ("a", 0), ("c", 0)] {
        assert_eq!(directory.place(&room(name), 2, least), Some(shard), "{name}");
        directory.settle(&room(name), shard, true);
    }
    assert_eq!((directory.shards(&room("b")), directory.shards(&room("d"))), (Some(vec![1]), None));
}

#[test]
fn a_room_that_was_refused_leaves_nothing_behind() {
    let directory = Directory::default();
    assert_eq!(directory.place(&room("a"), 2, |_| None), None);
    directory.place(&room("a"), 2, least);
    directory.settle(&room("a"), 0, false);
    assert_eq!(directory.len(), 0);
}

#[test]
fn a_room_put_again_while_its_end_is_on_its_way_stays() {
    let directory = with_room();
    // Deleted on the shard; before its end is known here, the next put goes to the same shard.
    assert_eq!(directory.place(&room("a"), 2, |_| Some(1)), Some(0));
    assert_eq!(directory.ended(&room("a"), 0), Ended::Room(vec![]));
    assert_eq!(directory.shards(&room("a")), Some(vec![0]));
    directory.settle(&room("a"), 0, true);
    assert_eq!(directory.shards(&room("a")), Some(vec![0]));
    directory.ended(&room("a"), 0);
    assert_eq!(directory.shards(&room("a")), None);
}

#[test]
fn a_room_spills_when_its_shards_are_full_and_levels_out_when_all_are() {
    let directory = with_room();
    let shards: Vec<_> = (0..8).map(|number| join(&directory, number).shard).collect();
    assert_eq!(shards, [0, 0, 1, 1, 2, 2, 0, 1]);
    assert_eq!(directory.shards(&room("a")), Some(vec![0, 1, 2]));
    assert_eq!(directory.find_session(&room("a"), &session(3)), Some(1));
    assert_eq!(directory.find_session(&room("a"), &session(99)), Some(0), "its home knows better");
    let again = join(&directory, 3);
    assert_eq!(again, Place { shard: 1, closed: false, elsewhere: 5 });
}

#[test]
fn a_branch_is_closed_until_it_was_opened() {
    let directory = with_room();
    for number in 0..2 {
        join(&directory, number);
    }
    let place = directory.seat(&room("a"), &session(2), 2, |_| Some(1)).unwrap();
    assert_eq!(place, Place { shard: 1, closed: true, elsewhere: 2 });
    assert_eq!(directory.shards(&room("a")), Some(vec![0]));
    let Door::Closed(opening) = directory.door(&room("a"), 1) else { panic!("it is closed") };
    assert_eq!(opening.shards, [0]);
    // A new owner came meanwhile: it must be told before the branch counts.
    directory.declare(&room("a"), 9, None);
    assert_eq!(directory.opened(&room("a"), 1, &opening), Opened::Outdated);
    assert_eq!(open(&directory, 1), Opened::Yes);
    assert_eq!(directory.door(&room("a"), 1), Door::Open);
    assert_eq!(directory.shards(&room("a")), Some(vec![0, 1]));
}

#[test]
fn a_branch_that_cannot_be_opened_is_none() {
    let directory = with_room();
    for number in 0..2 {
        join(&directory, number);
    }
    directory.seat(&room("a"), &session(2), 2, |_| Some(1)).unwrap();
    directory.not_opened(&room("a"), 1);
    directory.settle_session(&room("a"), &session(2), 1, false);
    assert_eq!(directory.door(&room("a"), 1), Door::Gone);
    let place = directory.seat(&room("a"), &session(3), 2, |taken| (taken == [0]).then_some(2)).unwrap();
    assert_eq!(place, Place { shard: 2, closed: true, elsewhere: 2 });
}

#[test]
fn a_put_on_a_branch_does_not_count_for_the_room() {
    let directory = with_room();
    directory.place(&room("a"), 2, least);
    directory.settle(&room("a"), 1, true);
    assert_eq!(directory.ended(&room("a"), 0), Ended::Room(vec![]));
    directory.settle(&room("a"), 0, true);
    assert_eq!(directory.shards(&room("a")), Some(vec![0]), "the put that was under way made it anew");
}

#[test]
fn a_session_put_again_while_its_end_is_on_its_way_keeps_its_shard() {
    let directory = with_room();
    for number in 0..3 {
        join(&directory, number);
    }
    directory.seat(&room("a"), &session(2), 2, |_| None);
    directory.session_ended(&room("a"), &session(2), 1);
    directory.settle_session(&room("a"), &session(2), 1, true);
    assert_eq!(directory.find_session(&room("a"), &session(2)), Some(1));
    directory.session_ended(&room("a"), &session(2), 1);
    assert_eq!(join(&directory, 7).shard, 1, "its seat is free");
}

#[test]
fn the_end_of_a_room_ends_its_branches_and_the_end_of_a_branch_its_room() {
    let directory = with_room();
    for number in 0..5 {
        join(&directory, number);
    }
    assert_eq!(directory.ended(&room("a"), 2), Ended::Branch(0));
    assert_eq!(directory.ended(&room("a"), 2), Ended::Known);
    assert_eq!(directory.ended(&room("a"), 0), Ended::Room(vec![1]));
    assert_eq!(directory.ended(&room("a"), 1), Ended::Known);
    assert_eq!(directory.len(), 0);
}

#[test]
fn branches_hear_of_a_newer_owner_once() {
    let directory = with_room();
    assert_eq!(directory.declare(&room("a"), 5, None), Vec::<usize>::new());
    for number in 0..3 {
        join(&directory, number);
    }
    assert_eq!(directory.declare(&room("a"), 5, None), Vec::<usize>::new());
    assert_eq!(directory.declare(&room("a"), 6, None), [1]);
    assert_eq!(directory.declare(&room("a"), 6, Some(&RoomSettings::default())), [1]);
}
