use std::net::UdpSocket as StdSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
/// Looks like RTP: version 2 (RFC 3550), and no payload type of RTCP.
const RTP: &[u8] = &[0x80, 96, 1];
const HANDSHAKE: &[u8] = &[22, 254, 253];
/// RTP that the listener does not survive.
const PANIC: &[u8] = &[0x80, 96, 9];

/// Takes media once it has keys, and answers what it takes.
#[derive(Clone, Default)]
struct Ears {
    keys: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Something is due there.
    due: Arc<Mutex<Option<SocketAddr>>>,
    /// What it says when it is asked.
    again: Arc<Mutex<Option<Instant>>>,
    /// What the kernel did not take of it.
    unsent: Arc<Mutex<u64>>,
}

impl Ears {
    fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().clone()
    }
}

impl Listener for Ears {
    fn hear(&mut self, train: Train<'_>, exit: &dyn Exit, leave: &mut dyn FnMut(&[u8])) {
        for datagram in train.bytes.chunks(train.stride) {
            if self.keys.load(Ordering::SeqCst) && is_media(datagram) {
                assert_ne!(datagram, PANIC, "asked to");
                self.heard.lock().unwrap().push(datagram.to_vec());
                assert!(exit.send(train.from, b"answer", None));
            } else {
                leave(datagram);
            }
        }
    }

    fn look(&mut self, _: Instant, exit: &dyn Exit) -> Option<Instant> {
        if let Some(due) = self.due.lock().unwrap().take() {
            assert!(exit.send(due, b"due", None));
        }
        *self.again.lock().unwrap()
    }

    fn unsent(&mut self, datagrams: u64) {
        *self.unsent.lock().unwrap() += datagrams;
    }
}

fn server() -> StdSocket {
    let server = StdSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    server
}

async fn seat(sockets: &SharedSockets) -> (Seat, Ears) {
    let ears = Ears::default();
    (sockets.seat(Box::new(ears.clone())).await.unwrap(), ears)
}

/// What the seat's task gets, once there is something.
async fn waiting(seat: &Seat) -> Vec<Vec<u8>> {
    let readable = std::future::poll_fn(|context| seat.poll_readable(context));
    tokio::time::timeout(PATIENCE, readable).await.unwrap().unwrap();
    let mut got = Vec::new();
    seat.receive(|_, datagram| {
        got.push(datagram.to_vec());
        Ok(())
    })
    .unwrap();
    got
}

async fn until(holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it does not come to hold");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_has_an_address_of_its_own_and_hears_what_is_sent_there() {
    let (sockets, server) = (SharedSockets::default(), server());
    let ((one, one_hears), (other, other_hears)) = (seat(&sockets).await, seat(&sockets).await);
    assert_eq!(one.local().port(), other.local().port());
    assert_ne!(one.local().ip(), other.local().ip());
    for ears in [&one_hears, &other_hears] {
        ears.keys.store(true, Ordering::SeqCst);
    }
    server.send_to(RTP, other.local()).unwrap();
    until(|| !other_hears.heard().is_empty()).await;
    let mut answer = [0; 16];
    let (size, from) = server.recv_from(&mut answer).unwrap();
    assert_eq!((&answer[..size], from), (&b"answer"[..], other.local()), "from the address that was asked");
    server.send_to(HANDSHAKE, one.local()).unwrap();
    assert_eq!(waiting(&one).await, [HANDSHAKE]);
    assert!(one.send(server.local_addr().unwrap(), b"sent", None));
    let (size, from) = server.recv_from(&mut answer).unwrap();
    assert_eq!((&answer[..size], from), (&b"sent"[..], one.local()));
    assert_eq!((one_hears.heard().len(), other_hears.heard().len()), (0, 1));
}

#[tokio::test]
async fn media_does_not_overtake_what_waits_for_the_task() {
    let (sockets, server) = (SharedSockets::default(), server());
    let (seat, ears) = seat(&sockets).await;
    server.send_to(HANDSHAKE, seat.local()).unwrap();
    server.send_to(RTP, seat.local()).unwrap();
    until(|| seat.waiting.lock().datagrams.len() == 2).await;
    // The keys are known, but the first packet has not been heard yet.
    ears.keys.store(true, Ordering::SeqCst);
    server.send_to(RTP, seat.local()).unwrap();
    until(|| seat.waiting.lock().datagrams.len() == 3).await;
    assert_eq!(waiting(&seat).await, [HANDSHAKE, RTP, RTP]);
    server.send_to(RTP, seat.local()).unwrap();
    until(|| ears.heard().len() == 1).await;
}

#[tokio::test]
async fn an_address_rests_before_it_is_given_anew_and_the_last_one_closes_the_socket() {
    let sockets = SharedSockets::default();
    let (one, _) = seat(&sockets).await;
    let (other, _) = seat(&sockets).await;
    let (first, port) = (one.local(), Arc::downgrade(&one.socket.port));
    drop(one);
    let left_at = Instant::now();
    let (third, _) = seat(&sockets).await;
    assert_ne!(third.local(), first);
    let free = |at| other.socket.port.free(at).map(address);
    assert_ne!(free(left_at), Some(first.ip()));
    assert_eq!(free(left_at + REST), Some(first.ip()));
    drop((other, third));
    until(|| port.strong_count() == 0).await;
}

#[tokio::test]
async fn another_socket_is_opened_when_one_is_full() {
    let sockets = SharedSockets::default();
    let mut seats = vec![seat(&sockets).await.0];
    let places = seats[0].socket.port.places().len();
    while seats.len() <= places {
        seats.push(seat(&sockets).await.0);
    }
    let port = |seat: &Seat| seat.local().port();
    assert!(seats[..places].iter().all(|seat| port(seat) == port(&seats[0])));
    assert_ne!(port(&seats[places]), port(&seats[0]));
}

#[tokio::test]
async fn what_waits_is_bounded_and_what_is_dropped_is_counted() {
    let sockets = SharedSockets::default();
    let (seat, _) = seat(&sockets).await;
    let from = seat.local();
    for _ in 0..MOST_WAITING + 3 {
        seat.waiting.push(from, HANDSHAKE);
    }
    let mut taken = 0;
    let dropped = seat.receive(|_, _| {
        taken += 1;
        Ok(())
    });
    assert_eq!((taken, dropped.unwrap()), (MOST_WAITING, 3));
    assert_eq!(seat.receive(|_, _| Ok(())).unwrap(), 0);
}

#[tokio::test]
async fn who_listens_is_asked_what_is_due_though_nothing_comes() {
    let (sockets, server) = (SharedSockets::default(), server());
    let (seat, ears) = seat(&sockets).await;
    *ears.due.lock().unwrap() = Some(server.local_addr().unwrap());
    until(|| ears.due.lock().unwrap().is_none()).await;
    let (size, from) = server.recv_from(&mut [0; 16]).unwrap();
    assert_eq!((size, from), (b"due".len(), seat.local()));
}

#[tokio::test]
async fn who_said_what_the_kernel_does_not_take_is_told() {
    let sockets = SharedSockets::default();
    let (seat, ears) = seat(&sockets).await;
    // No port has this number.
    *ears.due.lock().unwrap() = Some((Ipv4Addr::LOCALHOST, 0).into());
    until(|| *ears.unsent.lock().unwrap() == 1).await;
    drop(seat);
}

#[tokio::test]
async fn who_has_nothing_to_say_yet_is_not_asked() {
    let (sockets, server) = (SharedSockets::default(), server());
    let ((busy, busy_ears), (_quiet, quiet_ears)) = (seat(&sockets).await, seat(&sockets).await);
    let port = busy.socket.port.clone();
    let look_at = |at| port.places()[busy.index].place().unwrap().next_look = at;
    look_at(Instant::now() + PATIENCE);
    for ears in [&busy_ears, &quiet_ears] {
        *ears.due.lock().unwrap() = Some(server.local_addr().unwrap());
    }
    until(|| quiet_ears.due.lock().unwrap().is_none()).await;
    port.look(&Outbox::default());
    assert!(busy_ears.due.lock().unwrap().is_some());
    look_at(Instant::now());
    until(|| busy_ears.due.lock().unwrap().is_none()).await;
}

#[tokio::test]
async fn who_is_asked_says_when_to_ask_again_and_is_not_asked_all_the_time() {
    let sockets = SharedSockets::default();
    let (seat, ears) = seat(&sockets).await;
    let port = &seat.socket.port;
    let later = Instant::now() + PATIENCE;
    for (again, soonest) in [(Some(later), later), (Some(later - 2 * PATIENCE), Instant::now() + LOOKS)] {
        *ears.again.lock().unwrap() = again;
        port.places()[seat.index].place().unwrap().next_look = Instant::now();
        port.look(&Outbox::default());
        let next = port.places()[seat.index].place().unwrap().next_look;
        assert!(next >= soonest && next <= later, "{:?}", next.saturating_duration_since(soonest));
    }
}

#[tokio::test]
async fn nobody_waits_at_a_socket_that_is_no_longer_read() {
    let (sockets, server) = (SharedSockets::default(), server());
    let ((one, hears), (other, _)) = (seat(&sockets).await, seat(&sockets).await);
    hears.keys.store(true, Ordering::SeqCst);
    server.send_to(PANIC, one.local()).unwrap();
    for seat in [&one, &other] {
        let readable = std::future::poll_fn(|context| seat.poll_readable(context));
        assert!(tokio::time::timeout(PATIENCE, readable).await.unwrap().is_err());
    }
    let (third, _) = seat(&sockets).await;
    assert_ne!(third.local().port(), one.local().port(), "a new one is opened");
}

#[test]
fn only_loopback_has_addresses_enough() {
    let serves = |ip: &str| SharedSockets::serve(ip.parse().unwrap());
    assert_eq!(serves("127.0.0.1"), cfg!(target_os = "linux"));
    assert!(!serves("192.0.2.1") && !serves("::1"));
}
