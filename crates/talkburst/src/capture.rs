//! Capture files: what went over the wire, for tshark and its like.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use etherparse::{PacketBuilder, PacketBuilderStep, err::packet::BuildWriteError};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, PcapError};
use sip::Duration;

/// A pcap file of raw IP packets.
pub(crate) struct Capture {
    writer: PcapWriter<BufWriter<File>>,
    /// Octets that went each way of each connection, sender first: the sequence numbers.
    sequences: BTreeMap<(SocketAddr, SocketAddr), u32>,
}

/// Octets of a stream in one packet. IP allows some more.
const SEGMENT_MAX: usize = 32 * 1024;

/// The window that a segment tells; the value means nothing here.
const WINDOW: u16 = u16::MAX;

impl Capture {
    /// Creates the file.
    pub(crate) fn create(path: &Path) -> Result<Self, PcapError> {
        let header = PcapHeader { datalink: DataLink::RAW, ..PcapHeader::default() };
        let file = BufWriter::new(File::create(path).map_err(PcapError::IoError)?);
        Ok(Self { writer: PcapWriter::with_header(file, header)?, sequences: BTreeMap::new() })
    }

    /// Adds a datagram that was sent at `at`, a time since the Unix epoch.
    pub(crate) fn datagram(
        &mut self,
        at: Duration,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), PcapError> {
        let Some(builder) = internet(from.ip(), to.ip()) else { return Ok(()) };
        let builder = builder.udp(from.port(), to.port());
        let mut packet = Vec::with_capacity(builder.size(bytes.len()));
        let built = builder.write(&mut packet, bytes);
        self.write(at, &packet, built)
    }

    /// Adds octets of a stream that were sent at `at`, a time since the Unix epoch. The connection was open before the
    /// capture began, as far as a reader of the file can tell.
    pub(crate) fn stream(
        &mut self,
        at: Duration,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), PcapError> {
        for segment in bytes.chunks(SEGMENT_MAX) {
            let Some(builder) = internet(from.ip(), to.ip()) else { return Ok(()) };
            let acknowledged = self.sequences.get(&(to, from)).copied().unwrap_or_default();
            let sequence = self.sequences.entry((from, to)).or_default();
            // The first octet of a stream has number 1, behind that of the SYN.
            let builder = builder
                .tcp(from.port(), to.port(), sequence.wrapping_add(1), WINDOW)
                .ack(acknowledged.wrapping_add(1))
                .psh();
            *sequence = sequence.wrapping_add(u32::try_from(segment.len()).unwrap_or_default());
            let mut packet = Vec::with_capacity(builder.size(segment.len()));
            let built = builder.write(&mut packet, segment);
            self.write(at, &packet, built)?;
        }
        Ok(())
    }

    /// The connection between the two is closed.
    pub(crate) fn closed(&mut self, one: SocketAddr, other: SocketAddr) {
        self.sequences.remove(&(one, other));
        self.sequences.remove(&(other, one));
    }

    /// Writes what is not written yet.
    pub(crate) fn close(self) -> Result<(), PcapError> {
        self.writer.into_writer().flush().map_err(PcapError::IoError)
    }

    fn write(
        &mut self,
        at: Duration,
        packet: &[u8],
        built: Result<(), BuildWriteError>,
    ) -> Result<(), PcapError> {
        built.map_err(|error| PcapError::IoError(std::io::Error::other(error)))?;
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        self.writer.write_packet(&PcapPacket::new(at, length, packet)).map(|_| ())
    }
}

/// The head of an IP packet; `None` for two families.
fn internet(from: IpAddr, to: IpAddr) -> Option<PacketBuilderStep<etherparse::IpHeaders>> {
    match (from, to) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Some(PacketBuilder::ipv4(source.octets(), destination.octets(), 64))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Some(PacketBuilder::ipv6(source.octets(), destination.octets(), 64))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}
