//! The metrics of a node, as an exporter shows them. In a process of its own: there is one recorder in each.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use sluice_api::sfu::v1 as api;
use sluice_api::sfu::v1::sfu_client::SfuClient;
use sluice_sfu::{Node, Settings};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_node_shows_its_figures_and_says_what_each_means() {
    let prometheus = PrometheusBuilder::new().install_recorder().unwrap();
    let node = Node::start(Settings::loopback()).await.unwrap();
    let mut client = SfuClient::connect(format!("http://{}", node.grpc_address())).await.unwrap();
    let cancel = CancellationToken::new();
    let running = tokio::spawn(node.run_until(cancel.clone()));
    let request = api::PutRoomRequest { room_id: "r".into(), owner_epoch: 1, ..Default::default() };
    client.put_room(request).await.unwrap();

    // Figures are renewed about once a second.
    let deadline = Instant::now() + Duration::from_secs(10);
    let text = loop {
        let text = prometheus.render();
        if text.contains("sluice_node_rooms{shard=\"0\"} 1") {
            break text;
        }
        assert!(Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for figure in [
        "sluice_node_commands_total{command=\"PutRoom\",code=\"OK\"} 1",
        "sluice_node_command_seconds_count{command=\"PutRoom\"} 1",
        "sluice_node_event_watchers 0",
        "sluice_node_shard_busy{shard=\"0\"}",
        "sluice_node_send_errors_total{shard=\"0\",reason=\"queue_full\"} 0",
        "sluice_node_tcp_connections{shard=\"0\"} 0",
    ] {
        assert!(text.contains(figure), "no {figure} in:\n{text}");
    }
    if cfg!(target_os = "linux") {
        assert!(text.contains("sluice_node_socket_drops_total{shard=\"0\"} 0"), "{text}");
    }

    let names = |prefix: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    let (shown, explained) = (names("# TYPE "), names("# HELP "));
    assert!(shown.iter().all(|name| name.starts_with("sluice_node_")), "{shown:?}");
    assert_eq!(shown, explained);

    cancel.cancel();
    running.await.unwrap().unwrap();
}
