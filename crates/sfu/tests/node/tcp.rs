//! Strangers on the TCP port.
