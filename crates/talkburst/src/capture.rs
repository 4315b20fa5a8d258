//! Capture files: what went over the wire, for tshark and its like.

use std::fs::File;
use std::io::BufWriter;
use std::net::IpAddr;
use std::path::Path;

use etherparse::PacketBuilder;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, PcapError};
use sip::Duration;
use sip::transport::Transmit;

/// A pcap file of raw IP packets.
pub(crate) struct Capture(PcapWriter<BufWriter<File>>);

impl Capture {
    /// Creates the file.
    pub(crate) fn create(path: &Path) -> Result<Self, PcapError> {
        let header = PcapHeader { datalink: DataLink::RAW, ..PcapHeader::default() };
        let file = File::create(path).map_err(PcapError::IoError)?;
        Ok(Self(PcapWriter::with_header(BufWriter::new(file), header)?))
    }

    /// Adds a datagram that was sent at `at`, a time since the Unix epoch.
    pub(crate) fn datagram(&mut self, at: Duration, transmit: &Transmit) -> Result<(), PcapError> {
        let (from, to) = (transmit.path.local, transmit.path.remote);
        let builder = match (from.ip(), to.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                PacketBuilder::ipv4(source.octets(), destination.octets(), 64)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                PacketBuilder::ipv6(source.octets(), destination.octets(), 64)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Ok(()),
        };
        let builder = builder.udp(from.port(), to.port());
        let mut packet = Vec::with_capacity(builder.size(transmit.bytes.len()));
        builder
            .write(&mut packet, &transmit.bytes)
            .map_err(|error| PcapError::IoError(std::io::Error::other(error)))?;
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        self.0.write_packet(&PcapPacket::new(at, length, &packet)).map(|_| ())
    }
}
