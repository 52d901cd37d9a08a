use std::net::Ipv4Addr;

use super::*;

/// A client whose handshake has not begun, without a server.
async fn unconnected(now: Instant) -> Task {
    let options = Options::default();
    let (stats, _) = watch::channel(Stats::joined(now, &proto::JoinResponse::default()));
    let bind = Ipv4Addr::LOCALHOST.into();
    let publisher =
        Peer::new(proto::SignalTarget::Publisher, bind, &options, None, &stats, now).await.unwrap();
    let (_, inbox) = mpsc::channel(1);
    Task {
        signal: None,
        options,
        me: proto::ParticipantInfo::default(),
        peers: vec![publisher],
        network: None,
        publications: Vec::new(),
        pending: HashMap::new(),
        waiting: VecDeque::new(),
        next_cid: 0,
        data_sequence: 0,
        ping_interval: Duration::ZERO,
        next_ping: now,
        heard: now,
        stats,
        inbox,
    }
}

#[tokio::test]
async fn media_that_cannot_leave_yet_does_not_keep_the_task_awake() {
    let now = Instant::now();
    let mut task = unconnected(now).await;
    task.poll(now).unwrap();
    let idle = task.next_wake().unwrap();
    let (mid, shape) = ("0".into(), AudioShape::default());
    task.publications.push(Publication::audio("TR_1".into(), mid, shape, now));
    let due = task.publications[0].due().unwrap();
    assert!(due < idle, "a frame is due before the connection is");
    assert!(task.next_wake().unwrap() >= idle);
    task.peers[0].connected = true;
    assert_eq!(task.next_wake().unwrap(), due);
}
