//! What the kernel dropped before anybody read it.

use std::net::{IpAddr, SocketAddr};

/// Datagrams that found the receive buffer of the socket bound to `local` full, since it was bound.
///
/// Linux tells this in `/proc/net/udp` and `udp6` (the last column). Answers `None` elsewhere, or if the socket is not
/// listed. It reads a line for each UDP socket of the machine: call it every few seconds, not on a media thread.
pub fn kernel_drops(local: SocketAddr) -> Option<u64> {
    let table = if local.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
    drops_in(&std::fs::read_to_string(table).ok()?, local)
}

fn drops_in(table: &str, local: SocketAddr) -> Option<u64> {
    let wanted = hexadecimal(local);
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let address = columns.nth(1)?;
        if address != wanted {
            return None;
        }
        columns.next_back()?.parse().ok()
    })
}

/// As the kernel prints it: each 32-bit word of the address as a number of the machine's own byte order, then the port.
fn hexadecimal(address: SocketAddr) -> String {
    let words: Vec<[u8; 4]> = match address.ip() {
        IpAddr::V4(ip) => vec![ip.octets()],
        IpAddr::V6(ip) => ip.octets().as_chunks::<4>().0.to_vec(),
    };
    let mut text: String =
        words.into_iter().map(|word| format!("{:08X}", u32::from_ne_bytes(word))).collect();
    text.push_str(&format!(":{:04X}", address.port()));
    text
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::{BufferSizes, ReceiveBuffer, UdpSocket};

    #[test]
    fn a_flood_that_nobody_reads_is_counted() {
        let buffers = BufferSizes { receive: 4 << 10, send: 64 << 10 };
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), buffers).unwrap();
        assert_eq!(kernel_drops(socket.local_address()), Some(0));
        let flood = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..200 {
            flood.send_to(&[0; 1_000], socket.local_address()).unwrap();
        }
        let mut read = 0;
        while let Ok(taken) = socket.receive(&mut ReceiveBuffer::default(), |_| {}) {
            read += taken.datagrams as u64;
        }
        assert!(read < 200);
        assert_eq!(kernel_drops(socket.local_address()), Some(200 - read));
    }

    #[test]
    fn a_socket_that_is_not_there_has_no_drops() {
        assert_eq!(kernel_drops("203.0.113.1:9".parse().unwrap()), None);
    }

    #[test]
    fn ipv6_sockets_are_found_too() {
        let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else { return };
        assert_eq!(kernel_drops(socket.local_addr().unwrap()), Some(0));
    }
}
