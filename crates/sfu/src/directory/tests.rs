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
    directory.settle(&room("a"), true);
    directory
}

/// Puts a session on a node of three shards with room for two sessions each.
fn join(directory: &Directory, number: usize) -> Place {
    let other = |shards: &[usize]| (0..3).find(|shard| !shards.contains(shard));
    let place = directory.seat(&room("a"), &session(number), 2, other).unwrap();
    directory.opened(&room("a"), place.shard);
    directory.settle_session(&room("a"), &session(number), true);
    place
}

#[test]
fn rooms_spread_and_stay_where_they_are() {
    let directory = Directory::default();
    for (name, shard) in [("a", 0), ("b", 1), ("a", 0), ("c", 0)] {
        assert_eq!(directory.place(&room(name), 2, least), Some(shard), "{name}");
        directory.settle(&room(name), true);
    }
    assert_eq!((directory.shards(&room("b")), directory.shards(&room("d"))), (Some(vec![1]), None));
}

#[test]
fn a_room_that_was_refused_leaves_nothing_behind() {
    let directory = Directory::default();
    assert_eq!(directory.place(&room("a"), 2, |_| None), None);
    directory.place(&room("a"), 2, least);
    directory.settle(&room("a"), false);
    assert_eq!(directory.len(), 0);
}

#[test]
fn a_room_put_again_while_its_end_is_on_its_way_stays() {
    let directory = with_room();
    // Deleted on the shard; before its end is known here, the next put goes to the same shard.
    assert_eq!(directory.place(&room("a"), 2, |_| Some(1)), Some(0));
    assert_eq!(directory.ended(&room("a"), 0), Ended::Room(vec![]));
    assert_eq!(directory.shards(&room("a")), Some(vec![0]));
    directory.settle(&room("a"), true);
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
    assert_eq!(directory.opening(&room("a"), 1).unwrap().shards, [0, 1]);
    assert!(directory.opened(&room("a"), 1));
    assert_eq!(directory.opening(&room("a"), 1), None);
    assert_eq!(directory.shards(&room("a")), Some(vec![0, 1]));
}

#[test]
fn a_session_put_again_while_its_end_is_on_its_way_keeps_its_shard() {
    let directory = with_room();
    for number in 0..3 {
        join(&directory, number);
    }
    directory.seat(&room("a"), &session(2), 2, |_| None);
    directory.session_ended(&room("a"), &session(2), 1);
    directory.settle_session(&room("a"), &session(2), true);
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
