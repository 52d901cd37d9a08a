//! The sockets of media: UDP for each shard, TCP for all.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};

use sluice_engine::{LocalAddress, Protocol};
use sluice_net::{BufferSizes, UdpSocket};

use crate::addresses::{self, AddressMap, BindPlan};
use crate::node::StartError;
use crate::settings::{InvalidSetting, Settings};
use crate::tcp;

/// All bound sockets with what is advertised for each.
pub(crate) struct MediaSockets {
    /// One list per shard.
    pub(crate) udp: Vec<Vec<(UdpSocket, AddressMap)>>,
    pub(crate) tcp: Vec<(std::net::TcpListener, AddressMap)>,
}

impl MediaSockets {
    pub(crate) fn open(settings: &Settings) -> Result<Self, StartError> {
        let plans = plans(settings)?;
        let media = &settings.media;
        let mut udp = Vec::new();
        for shard in 0..settings.shard_count() {
            let port = match media.first_udp_port {
                0 => 0,
                // Checked by the settings: it stays below 65,536.
                first => first + shard as u16,
            };
            let bind = |plan: &BindPlan| bind_udp(plan, port, settings.buffers());
            udp.push(plans.iter().map(bind).collect::<Result<_, _>>()?);
        }
        warn_of_small_buffers(settings.buffers(), udp.iter().flatten());
        let bind = |plan: &BindPlan| media.tcp_port.map(|port| bind_tcp(plan, port));
        let tcp = plans.iter().filter_map(bind).collect::<Result<_, _>>()?;
        Ok(MediaSockets { udp, tcp })
    }

    /// Everything that is advertised.
    pub(crate) fn addresses(&self) -> Vec<LocalAddress> {
        let udp = self.udp.iter().flatten().flat_map(|(_, map)| local_addresses(Protocol::Udp, map));
        udp.chain(self.tcp_addresses()).collect()
    }

    pub(crate) fn tcp_addresses(&self) -> Vec<LocalAddress> {
        self.tcp.iter().flat_map(|(_, map)| local_addresses(Protocol::Tcp, map)).collect()
    }

    /// Where the UDP sockets of each shard are bound.
    pub(crate) fn udp_sockets(&self) -> Vec<Vec<SocketAddr>> {
        self.udp
            .iter()
            .map(|shard| shard.iter().map(|(socket, _)| socket.local_address()).collect())
            .collect()
    }
}

/// What a socket is advertised as.
pub(crate) fn local_addresses(
    protocol: Protocol,
    map: &AddressMap,
) -> impl Iterator<Item = LocalAddress> + '_ {
    map.advertised().map(move |advertised| LocalAddress { protocol, advertised })
}

fn plans(settings: &Settings) -> Result<Vec<BindPlan>, StartError> {
    let machine = addresses::machine_ips();
    let machine =
        machine.map_err(|error| StartError::System { what: "list the machine's addresses", error })?;
    let mut binds = settings.media.bind_ips.clone();
    if !has_ipv6() {
        let before = binds.len();
        binds.retain(|ip| *ip != Ipv6Addr::UNSPECIFIED);
        if binds.len() < before {
            tracing::info!("this machine has no IPv6; going on with IPv4 alone");
        }
    }
    let plans = addresses::plan(&binds, &settings.media.advertise_ips, &machine)?;
    if plans.is_empty() {
        let problem = "the machine has no address of these families that peers could use";
        return Err(InvalidSetting::new("media.bind_ips", problem).into());
    }
    Ok(plans)
}

fn has_ipv6() -> bool {
    std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

fn bind_udp(plan: &BindPlan, port: u16, wanted: BufferSizes) -> Result<(UdpSocket, AddressMap), StartError> {
    let address = SocketAddr::new(plan.bind, port);
    let bound = UdpSocket::bind(address, wanted);
    let socket =
        bound.map_err(|error| StartError::Bind { what: "a UDP socket for media", address, error })?;
    let map = AddressMap::new(plan, socket.local_address());
    Ok((socket, map))
}

fn warn_of_small_buffers<'a>(
    wanted: BufferSizes,
    sockets: impl Iterator<Item = &'a (UdpSocket, AddressMap)>,
) {
    let smaller = |granted: &BufferSizes| granted.receive < wanted.receive || granted.send < wanted.send;
    if let Some(granted) = sockets.map(|(socket, _)| socket.buffers()).find(smaller) {
        tracing::warn!(
            ?wanted,
            ?granted,
            "the kernel grants smaller socket buffers: raise net.core.rmem_max and net.core.wmem_max"
        );
    }
}

fn bind_tcp(plan: &BindPlan, port: u16) -> Result<(std::net::TcpListener, AddressMap), StartError> {
    let address = SocketAddr::new(plan.bind, port);
    let bound = tcp::bind(address).and_then(|listener| listener.local_addr().map(|local| (listener, local)));
    let refused = |error: io::Error| StartError::Bind { what: "a TCP listener for media", address, error };
    let (listener, local) = bound.map_err(refused)?;
    Ok((listener, AddressMap::new(plan, local)))
}
