//! What makes a socket fit for batched calls.

use std::io;
use std::os::fd::AsFd;

use quinn_udp::{UdpSockRef, UdpSocketState};

/// Readies a UDP socket to receive and send in batches.
///
/// Its messages come without the kernel's timestamps. quinn-udp asks for them, nobody here reads them, and the kernel would look at
/// the clock for every packet of the machine, and copy the time out with every message.
///
/// # Errors
/// If the kernel refuses an option that receiving depends on. That it goes on with timestamps is no error.
pub fn batched(socket: &impl AsFd) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(UdpSockRef::from(socket))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};
        if let Err(error) = setsockopt(socket, ReceiveTimestampns, &false) {
            tracing::debug!(%error, "messages come with timestamps");
        }
    }
    Ok(state)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use nix::sys::socket::{getsockopt, sockopt::ReceiveTimestampns};

    use super::*;

    #[test]
    fn nobody_asks_the_kernel_for_timestamps() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let asked = || getsockopt(&socket, ReceiveTimestampns).unwrap();
        let _state = UdpSocketState::new(UdpSockRef::from(&socket)).unwrap();
        assert!(asked(), "quinn-udp no longer asks for them: nothing to undo");
        let _state = batched(&socket).unwrap();
        assert!(!asked());
    }
}
