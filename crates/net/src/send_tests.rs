use std::time::{Duration, Instant};

use super::*;
use crate::{BufferSizes, ReceiveBuffer};

const BUFFERS: BufferSizes = BufferSizes { receive: 1 << 20, send: 1 << 20 };
const QUEUE: usize = 1 << 20;

fn bind(address: &str) -> UdpSocket {
    UdpSocket::bind(address.parse().unwrap(), BUFFERS).unwrap()
}

/// Reads until `count` datagrams have come, or panics after two seconds.
fn read(socket: &UdpSocket, count: usize) -> Vec<(SocketAddr, Option<IpAddr>, Vec<u8>)> {
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut buffer = ReceiveBuffer::default();
    let mut seen = Vec::new();
    while seen.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} datagrams came", seen.len());
        match socket.receive(&mut buffer, |datagram| {
            seen.push((datagram.source, datagram.destination_ip, datagram.contents.to_vec()));
        }) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    seen
}

/// Datagrams that tell their number by their contents.
fn numbered(sizes: &[usize]) -> Vec<Vec<u8>> {
    sizes.iter().enumerate().map(|(number, &size)| vec![number as u8; size]).collect()
}

fn send_all(from: &UdpSocket, to: SocketAddr, datagrams: &[Vec<u8>]) -> SendCounters {
    let mut sender = Sender::new(from, QUEUE);
    for datagram in datagrams {
        sender.push(from, None, to, datagram);
    }
    sender.flush(from);
    sender.counters()
}

#[test]
fn a_train_of_equal_datagrams_leaves_in_one_send_and_arrives_as_it_was() {
    let (from, to) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let train = numbered(&[1_200, 1_200, 1_200, 1_200, 1_200, 1_200, 1_200, 700]);
    let counters = send_all(&from, to.local_address(), &train);
    assert_eq!((counters.datagrams, counters.bytes), (8, 7 * 1_200 + 700));
    if from.max_segments() > 1 {
        assert_eq!(counters.calls, 1);
    }
    let seen = read(&to, 8);
    assert!(seen.iter().all(|(source, ip, _)| {
        *source == from.local_address() && *ip == Some("127.0.0.1".parse().unwrap())
    }));
    assert_eq!(seen.into_iter().map(|(_, _, contents)| contents).collect::<Vec<_>>(), train);
}

#[test]
fn a_longer_datagram_or_one_behind_a_shorter_one_begins_a_new_send() {
    let (from, to) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    // 100 100 50 | 100 | 120 120 | 130
    let train = numbered(&[100, 100, 50, 100, 120, 120, 130]);
    let counters = send_all(&from, to.local_address(), &train);
    assert_eq!(counters.datagrams, 7);
    if from.max_segments() > 1 {
        assert_eq!(counters.calls, 4);
    }
    assert_eq!(read(&to, 7).into_iter().map(|(_, _, contents)| contents).collect::<Vec<_>>(), train);
}

#[test]
fn a_send_never_exceeds_what_the_kernel_takes_at_once() {
    let (from, to) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    // Three times too many segments, and three times too many bytes.
    for sizes in [vec![20; 192], vec![1_400; 140]] {
        let train = numbered(&sizes);
        let counters = send_all(&from, to.local_address(), &train);
        assert_eq!(counters.datagrams, train.len() as u64, "{counters:?}");
        let seen = read(&to, train.len());
        assert_eq!(seen.into_iter().map(|(_, _, contents)| contents).collect::<Vec<_>>(), train);
    }
}

#[test]
fn destinations_in_turn_get_their_own_datagrams() {
    let from = bind("127.0.0.1:0");
    let (one, two) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let mut sender = Sender::new(&from, QUEUE);
    for (to, contents) in [(&one, 1), (&one, 2), (&two, 3), (&one, 4)] {
        sender.push(&from, None, to.local_address(), &[contents; 10]);
    }
    sender.flush(&from);
    let contents = |socket, count| read(socket, count).iter().map(|(_, _, c)| c[0]).collect::<Vec<_>>();
    assert_eq!(contents(&one, 3), [1, 2, 4]);
    assert_eq!(contents(&two, 1), [3]);
}

#[test]
fn ipv6_carries_the_same() {
    let Ok(from) = UdpSocket::bind("[::1]:0".parse().unwrap(), BUFFERS) else { return };
    let to = bind("[::1]:0");
    let train = numbered(&[900, 900, 900, 10]);
    send_all(&from, to.local_address(), &train);
    let seen = read(&to, 4);
    assert_eq!(seen[0].1, Some("::1".parse().unwrap()));
    assert_eq!(seen.into_iter().map(|(_, _, contents)| contents).collect::<Vec<_>>(), train);
}

#[test]
fn one_of_several_own_addresses_can_be_chosen() {
    let (from, to) = (bind("0.0.0.0:0"), bind("127.0.0.1:0"));
    let mut sender = Sender::new(&from, QUEUE);
    sender.push(&from, Some("127.0.0.9".parse().unwrap()), to.local_address(), b"hello");
    sender.flush(&from);
    assert_eq!(read(&to, 1)[0].0.ip().to_string(), "127.0.0.9");
}

#[test]
fn datagrams_to_nowhere_are_counted_and_never_reach_the_kernel() {
    let from = bind("0.0.0.0:0");
    let mut sender = Sender::new(&from, QUEUE);
    for nowhere in ["127.0.0.1:0", "224.0.0.1:9", "0.0.0.0:9", "255.255.255.255:9"] {
        sender.push(&from, None, nowhere.parse().unwrap(), b"x");
    }
    sender.flush(&from);
    assert_eq!(sender.counters(), SendCounters { nowhere: 4, ..SendCounters::default() });
}

#[test]
fn a_datagram_over_the_path_s_size_is_counted_and_the_next_one_goes_out() {
    let (from, to) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let mut sender = Sender::new(&from, QUEUE);
    // More than any UDP payload; then what loopback (MTU 65,536) takes.
    sender.push(&from, None, to.local_address(), &vec![1; 65_508]);
    sender.push(&from, None, to.local_address(), &[2; 100]);
    sender.flush(&from);
    assert_eq!((sender.counters().too_large, sender.counters().datagrams), (1, 1));
    assert_eq!(read(&to, 1)[0].2, [2; 100]);
}

#[test]
fn a_refused_destination_stops_neither_the_sender_nor_segmentation() {
    let (from, to) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let mut sender = Sender::new(&from, QUEUE);
    let before = sender.segments;
    // A socket bound to loopback has no way to the world: Linux answers EINVAL, as it does where it cannot segment.
    for _ in 0..3 * REFUSALS {
        for _ in 0..4 {
            sender.push(&from, None, "192.0.2.1:9".parse().unwrap(), &[0; 100]);
        }
        sender.flush(&from);
    }
    let refused = sender.counters();
    assert_eq!(refused.datagrams, 0, "{refused:?}");
    assert_eq!(refused.failed + refused.unreachable, u64::from(12 * REFUSALS), "{refused:?}");
    assert_eq!(sender.segments, before);

    let train = numbered(&[300; 6]);
    for datagram in &train {
        sender.push(&from, None, to.local_address(), datagram);
    }
    sender.flush(&from);
    assert_eq!(read(&to, 6).into_iter().map(|(_, _, contents)| contents).collect::<Vec<_>>(), train);
    if before > 1 {
        assert_eq!(sender.counters().calls, 1);
    }
}

/// A sender whose socket has no room is hard to arrange on loopback, which always takes: so the queue is filled by hand.
#[test]
fn what_waits_goes_first_and_in_order_once_there_is_room() {
    let (from, to) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let mut sender = Sender::new(&from, QUEUE);
    sender.enqueue(Batch {
        source_ip: None,
        destination: to.local_address(),
        segment: 4,
        datagrams: 2,
        bytes: b"onetwo".to_vec(),
    });
    sender.push(&from, None, to.local_address(), b"three");
    sender.flush(&from);
    assert_eq!(sender.counters().datagrams, 0, "nothing overtakes");
    assert_eq!(sender.queued_bytes(), 11);
    sender.resume(&from);
    assert_eq!(sender.queued_bytes(), 0);
    let seen: Vec<_> = read(&to, 3).into_iter().map(|(_, _, contents)| contents).collect();
    assert_eq!(seen, [b"onet".to_vec(), b"wo".to_vec(), b"three".to_vec()]);
}

#[test]
fn a_full_queue_drops_the_oldest_and_counts() {
    let from = bind("127.0.0.1:0");
    let mut sender = Sender::new(&from, 1_000);
    let batch = |number: u8| Batch {
        source_ip: None,
        destination: from.local_address(),
        segment: 200,
        datagrams: 2,
        bytes: vec![number; 400],
    };
    for number in 0..5 {
        sender.enqueue(batch(number));
    }
    assert_eq!(sender.counters().dropped, 6);
    assert_eq!(sender.queued_bytes(), 800);
    assert_eq!(sender.queue.iter().map(|batch| batch.bytes[0]).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn a_batch_that_went_out_in_part_keeps_the_rest() {
    let mut batch = Batch {
        source_ip: None,
        destination: "127.0.0.1:9".parse().unwrap(),
        segment: 3,
        datagrams: 3,
        bytes: b"aaabbbc".to_vec(),
    };
    batch.advance(2);
    assert_eq!((batch.datagrams, batch.bytes.as_slice()), (1, b"c".as_slice()));
}
