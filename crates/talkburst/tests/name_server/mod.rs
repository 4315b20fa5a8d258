//! A name server on the loopback interface, for tests: it can misbehave.
#![allow(dead_code, reason = "each test file needs another part")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// How it behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Correct,
    /// Never answers.
    Silent,
    /// Answers each question almost too late.
    Slow,
    /// Every answer is too long for a datagram.
    Truncating,
    /// Answers octets that are no DNS.
    Garbled,
    /// Knows addresses only, and fails for anything else.
    Simple,
}

/// A server that runs until the process ends.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    questions: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    pub(crate) fn start(manner: Manner, zone: Vec<Record>) -> Self {
        let (datagrams, streams) = sockets();
        let address = datagrams.local_addr().unwrap();
        let questions = Arc::new(Mutex::new(Vec::new()));
        let (zone, asked) = (Arc::new(zone), Arc::clone(&questions));
        let same_zone = Arc::clone(&zone);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = datagrams.recv_from(&mut buffer) {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                asked.lock().unwrap().push(query.queries[0].to_string());
                let octets = match manner {
                    Manner::Silent => continue,
                    Manner::Garbled => [&buffer[..2], &[0xff; 40]].concat(),
                    Manner::Truncating => answer(manner, &zone, &query).truncate().to_vec().unwrap(),
                    // Each on its own: a question that is resent must not wait for itself.
                    Manner::Slow => {
                        let (socket, octets) =
                            (datagrams.try_clone().unwrap(), answer(manner, &zone, &query));
                        thread::spawn(move || {
                            thread::sleep(Duration::from_secs(2));
                            socket.send_to(&octets.to_vec().unwrap(), from).unwrap();
                        });
                        continue;
                    }
                    Manner::Correct | Manner::Simple => answer(manner, &zone, &query).to_vec().unwrap(),
                };
                datagrams.send_to(&octets, from).unwrap();
            }
        });
        thread::spawn(move || {
            while let Ok((mut stream, _)) = streams.accept() {
                let mut length = [0; 2];
                while manner != Manner::Silent && stream.read_exact(&mut length).is_ok() {
                    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
                    stream.read_exact(&mut octets).unwrap();
                    let octets =
                        answer(manner, &same_zone, &Message::from_vec(&octets).unwrap()).to_vec().unwrap();
                    let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
                    stream.write_all(&[&length[..], &octets].concat()).unwrap();
                }
            }
        });
        Self { address, questions }
    }

    /// What it was asked by datagrams.
    pub(crate) fn questions(&self) -> Vec<String> {
        self.questions.lock().unwrap().clone()
    }
}

/// A UDP and a TCP socket of one port.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let streams = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(datagrams) = UdpSocket::bind(streams.local_addr().unwrap()) {
            return (datagrams, streams);
        }
    }
}

fn answer(manner: Manner, zone: &[Record], query: &Message) -> Message {
    let question = &query.queries[0];
    let mut message = Message::response(query.metadata.id, query.metadata.op_code);
    message.add_query(question.clone());
    let is_address = matches!(question.query_type(), RecordType::A | RecordType::AAAA);
    if manner == Manner::Simple && !is_address {
        message.metadata.response_code = ResponseCode::ServFail;
        return message;
    }
    let named = || zone.iter().filter(|record| record.name == *question.name());
    message.add_answers(
        named().filter(|it| [question.query_type(), RecordType::CNAME].contains(&it.record_type())).cloned(),
    );
    if named().next().is_none() {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
    message
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), 60, data)
}

pub(crate) fn naptr(owner: &str, order: u16, services: &str, replacement: &str) -> Record {
    let part = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
    let naptr = NAPTR::new(order, 50, part("s"), part(services), part(""), name(replacement));
    record(owner, RData::NAPTR(naptr))
}

pub(crate) fn srv(owner: &str, priority: u16, port: u16, target: &str) -> Record {
    record(owner, RData::SRV(SRV::new(priority, 1, port, name(target))))
}

pub(crate) fn a(owner: &str, address: &str) -> Record {
    record(owner, RData::A(A(address.parse().unwrap())))
}

pub(crate) fn aaaa(owner: &str, address: &str) -> Record {
    record(owner, RData::AAAA(AAAA(address.parse().unwrap())))
}

pub(crate) fn cname(owner: &str, target: &str) -> Record {
    record(owner, RData::CNAME(CNAME(name(target))))
}
