//! What is not measured: the source of the packets, and the receiver that throws them away.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sluice_net::{BufferSizes, ReceiveBuffer, Sender, UdpSocket};
use sluice_srtp::{Profile, Role, Sealer, association};

use crate::{Media, Options, Rate, Shared};

/// An RTP header without extensions.
pub(crate) const HEADER: usize = 12;
/// Where a packet says when it was sent: nanoseconds since [`Shared::epoch`].
pub(crate) const STAMP: Range<usize> = HEADER..HEADER + 8;
const OVERHEAD: usize = Profile::Aes128Gcm.rtp_overhead();
/// Header, stamp and tag.
pub(crate) const SMALLEST: usize = STAMP.end + OVERHEAD;
/// What a path of 1,500 bytes takes.
pub(crate) const LARGEST: usize = 1_472;

const BUFFERS: BufferSizes = BufferSizes { receive: 8 << 20, send: 4 << 20 };
/// Packets on their way to the forwarder: enough that it never waits, few enough that its socket's buffer holds them.
const AHEAD: u64 = 512;
/// When the forwarder took nothing for this long, some packets were lost.
const STUCK: Duration = Duration::from_millis(20);
/// How long the load or the receiver sleeps when there is nothing to do.
const NAP: Duration = Duration::from_micros(50);

/// Keying material of an association: 0 is the publishers', the others are subscribers'.
pub(crate) fn key(number: usize) -> Vec<u8> {
    let number = number.to_be_bytes();
    (0..Profile::Aes128Gcm.material_len()).map(|at| at as u8 ^ number[at % number.len()]).collect()
}

/// Makes packets.
pub(crate) struct Load {
    socket: UdpSocket,
    sender: Sender,
    entrance: SocketAddr,
    sealer: Sealer,
    packet: Vec<u8>,
    /// The next frame of each stream, and its next sequence number.
    streams: Vec<(u32, u16)>,
    offered: u64,
}

impl Load {
    pub(crate) fn new(options: &Options, entrance: SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into(), BUFFERS)?;
        let (sealer, _) = association(Profile::Aes128Gcm, &key(0), Role::Client)?;
        Ok(Load {
            sender: Sender::new(&socket, 1 << 20),
            socket,
            entrance,
            sealer,
            packet: Vec::new(),
            streams: vec![(0, 0); options.streams],
            offered: 0,
        })
    }

    /// Offers packets until it is told to stop: how many.
    pub(crate) fn run(mut self, options: &Options, shared: &Shared) -> anyhow::Result<u64> {
        match options.rate {
            Rate::Flood => self.flood(options, shared)?,
            Rate::Paced => self.pace(options, shared)?,
        }
        Ok(self.offered)
    }

    fn flood(&mut self, options: &Options, shared: &Shared) -> anyhow::Result<()> {
        let mut stream = 0;
        let mut known = (0, Instant::now());
        // Packets that were lost on the way, as far as was noticed.
        let mut lost = 0;
        while !shared.stopped() {
            let taken = shared.taken.load(Ordering::Relaxed);
            if taken != known.0 {
                known = (taken, Instant::now());
            }
            if self.offered - (taken + lost).min(self.offered) >= AHEAD {
                if known.1.elapsed() > STUCK {
                    lost = self.offered - taken;
                }
                std::thread::sleep(NAP);
                continue;
            }
            self.frame(options, shared, stream)?;
            stream = (stream + 1) % self.streams.len();
        }
        Ok(())
    }

    fn pace(&mut self, options: &Options, shared: &Shared) -> anyhow::Result<()> {
        let started = Instant::now();
        let streams = self.streams.len() as u64;
        // Frames of the streams are spread over the interval.
        let step = options.interval() / self.streams.len() as u32;
        for number in 0u64.. {
            let due = started + Duration::from_nanos(step.as_nanos() as u64 * number);
            while Instant::now() < due {
                if shared.stopped() {
                    return Ok(());
                }
                std::thread::sleep(due.saturating_duration_since(Instant::now()).min(STUCK));
            }
            if shared.stopped() {
                return Ok(());
            }
            self.frame(options, shared, (number % streams) as usize)?;
        }
        Ok(())
    }

    fn frame(&mut self, options: &Options, shared: &Shared, stream: usize) -> anyhow::Result<()> {
        let (frame, mut number) = self.streams[stream];
        let packets = options.packets(frame as usize);
        let stamp = shared.epoch.elapsed().as_nanos() as u64;
        for index in 0..packets {
            let size = match options.media {
                Media::Video | Media::Audio => options.size(),
                // Opus frames differ; the largest is not the first.
                Media::AudioTrain | Media::AudioTrainEqual => {
                    options.size() - (2 - index % 3) * 20.min((options.size() - SMALLEST) / 2)
                }
            };
            let packet = &mut self.packet;
            packet.clear();
            packet.extend([0x80, 96]);
            packet.extend(number.to_be_bytes());
            packet.extend(frame.to_be_bytes());
            packet.extend((stream as u32).to_be_bytes());
            packet.extend(stamp.to_be_bytes());
            packet.resize(size - OVERHEAD, 0x55);
            self.sealer.rtp(packet, HEADER, number.into())?;
            self.sender.push(&self.socket, None, self.entrance, packet);
            number = number.wrapping_add(1);
        }
        self.sender.flush(&self.socket);
        self.sender.resume(&self.socket);
        self.offered += packets as u64;
        self.streams[stream] = (frame.wrapping_add(1), number);
        Ok(())
    }
}

/// The receiver on loopback.
pub(crate) enum Sink {
    Trains(Box<UdpSocket>),
    Single(std::net::UdpSocket),
}

impl Sink {
    pub(crate) fn bind(trains: bool) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        if trains {
            return Ok(Sink::Trains(Box::new(UdpSocket::bind(address, BUFFERS)?)));
        }
        let socket = std::net::UdpSocket::bind(address)?;
        // Never asleep in the kernel: to wake it would cost the sender.
        socket.set_nonblocking(true)?;
        Ok(Sink::Single(socket))
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Sink::Trains(socket) => socket.local_address().port(),
            Sink::Single(socket) => socket.local_addr().map_or(0, |address| address.port()),
        }
    }

    /// Throws away what comes until it is told to stop.
    pub(crate) fn drain(&self, shared: &Shared) -> anyhow::Result<()> {
        let mut buffer = ReceiveBuffer::default();
        let mut single = [0; LARGEST];
        while !shared.stopped() {
            let drained = match self {
                Sink::Trains(socket) => socket.receive(&mut buffer, |_| {}).map(|taken| taken.datagrams),
                Sink::Single(socket) => socket.recv(&mut single).map(|_| 1),
            };
            match drained {
                Ok(count) => {
                    shared.drained.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(NAP),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
