//! Real sockets of the loopback address.

use super::*;
use crate::serve::outbox::RUN_MAX;
use crate::store::fixture::block_on;

/// Two sockets that are ready.
async fn pair() -> (Datagrams, Datagrams) {
    let mut pair = Vec::new();
    for _ in 0..2 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        pair.push(Datagrams::new(socket.local_addr().unwrap(), socket).unwrap());
    }
    let other = pair.pop().unwrap();
    (pair.pop().unwrap(), other)
}

impl Datagrams {
    fn address(&self) -> SocketAddr {
        self.bind
    }

    /// The next `count` datagrams, and the way of each.
    async fn received(&mut self, count: usize) -> Vec<(Path, Bytes)> {
        let (mut inbox, mut all) = (Inbox::new(), Vec::new());
        while all.len() < count {
            std::future::poll_fn(|context| self.poll_readable(context)).await.unwrap();
            self.receive(&mut inbox).unwrap();
            all.extend(std::iter::from_fn(|| inbox.next()));
        }
        all
    }
}

fn bytes(number: usize, length: usize) -> Bytes {
    Bytes::from((0..length).map(|place| ((number * 7 + place) % 251) as u8).collect::<Vec<_>>())
}

#[test]
fn whatever_length_it_has_a_datagram_arrives_as_it_was_sent() {
    block_on(async {
        for length in [1, 2, 63, 900, 1_232, 1_233, 1_472, 9_000, 32_500, 65_507] {
            let (mut sender, mut receiver) = pair().await;
            // As many as fit into the buffer of a socket that nobody has enlarged.
            let count = (100_000 / length).clamp(1, 5);
            let sent: Vec<_> = (0..count).map(|number| bytes(number, length)).collect();
            for each in &sent {
                sender.send(receiver.address(), each.clone()).await;
            }
            sender.flush().await;
            let received = receiver.received(sent.len()).await;
            let way = (receiver.address(), sender.address());
            assert!(received.iter().all(|(path, _)| (path.local, path.remote) == way));
            let received: Vec<_> = received.into_iter().map(|(_, bytes)| bytes).collect();
            assert!(received == sent, "{length}");
        }
    });
}

#[test]
fn more_than_a_run_and_more_than_a_batch_arrive_in_order() {
    block_on(async {
        for (count, lengths) in [(3 * RUN_MAX + 7, 1), (RECEIVED_MAX * 3 + 1, 40), (100, 2)] {
            let (mut sender, mut receiver) = pair().await;
            let sent: Vec<_> = (0..count).map(|number| bytes(number, 100 + number % lengths)).collect();
            for each in &sent {
                sender.send(receiver.address(), each.clone()).await;
            }
            sender.flush().await;
            let received: Vec<_> =
                receiver.received(count).await.into_iter().map(|(_, bytes)| bytes).collect();
            // They have no Call-ID, so they are of one dialog.
            assert!(received == sent, "{count} of {lengths} lengths");
        }
    });
}

/// The kernel refuses a run that is longer than a datagram may be, as one that does not know runs refuses each.
#[test]
fn what_cannot_be_sent_in_a_run_is_sent_all_the_same() {
    block_on(async {
        for (count, length, segment_max) in [(2, 40_000, 39_999), (RUN_MAX, 1_100, 0)] {
            let (mut sender, mut receiver) = pair().await;
            let sent: Vec<_> = (0..count).map(|number| bytes(number, length)).collect();
            sender.outbox.force_run(receiver.address(), &sent);
            sender.flush().await;
            let received: Vec<_> =
                receiver.received(count).await.into_iter().map(|(_, bytes)| bytes).collect();
            assert!(received == sent, "{length}");
            assert_eq!(sender.segment_max, segment_max);
        }
    });
}

#[test]
fn an_empty_datagram_and_an_odd_one_harm_nothing() {
    block_on(async {
        let (mut sender, mut receiver) = pair().await;
        for each in [Bytes::new(), bytes(1, 65_507), Bytes::new(), bytes(2, 1)] {
            sender.send(receiver.address(), each).await;
            sender.flush().await;
        }
        let received: Vec<_> = receiver.received(2).await.into_iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(received, [65_507, 1]);
    });
}

#[test]
fn what_has_nowhere_to_go_does_not_stop_what_has() {
    block_on(async {
        let (mut sender, mut receiver) = pair().await;
        // Too long for any datagram, and the other family.
        sender.send(receiver.address(), bytes(0, 65_508)).await;
        sender.send("[::1]:9".parse().unwrap(), bytes(1, 10)).await;
        sender.send("[::1]:9".parse().unwrap(), bytes(2, 10)).await;
        sender.send(receiver.address(), bytes(3, 11)).await;
        sender.flush().await;
        assert_eq!(receiver.received(1).await[0].1, bytes(3, 11));
    });
}

#[test]
fn what_the_kernel_has_joined_is_cut_where_it_was_joined() {
    let remote: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    let cut = |length, segment| {
        let mut inbox = Inbox::new();
        inbox.put(1, remote, &Received { remote, length, segment });
        inbox.pieces.iter().map(|piece| (piece.begin - ROOM, piece.end - ROOM)).collect::<Vec<_>>()
    };
    assert_eq!(cut(10, Some(4)), [(0, 4), (4, 8), (8, 10)]);
    assert_eq!(cut(8, Some(4)), [(0, 4), (4, 8)]);
    assert_eq!(cut(3, Some(4)), [(0, 3)]);
    assert_eq!(cut(3, Some(0)), [(0, 3)]);
    assert_eq!(cut(3, None), [(0, 3)]);
    assert_eq!(cut(0, Some(4)), []);
    assert_eq!(cut(0, None), []);
}

#[test]
fn copies_and_messages_of_their_own_reach_each_of_more_than_a_call_takes() {
    block_on(async {
        let mut receivers = Vec::new();
        for _ in 0..RUN_MAX + 7 {
            receivers.push(pair().await.0);
        }
        let (mut sender, _) = pair().await;
        let to: Vec<_> = receivers.iter().map(Datagrams::address).collect();
        assert_eq!(sender.send_copies(b"copy", &to), 0);
        let texts: Vec<_> = (0..to.len()).map(|number| bytes(number, 20 + number)).collect();
        let each: Vec<_> = to.iter().enumerate().map(|(number, to)| (*to, number)).collect();
        assert_eq!(sender.send_each(&each, &texts), 0);
        for (receiver, own) in receivers.iter_mut().zip(&texts) {
            let received = receiver.received(2).await.into_iter().map(|(_, bytes)| bytes);
            assert_eq!(received.collect::<Vec<_>>(), [Bytes::from_static(b"copy"), own.clone()]);
        }
    });
}

#[test]
fn what_finds_no_room_is_counted_and_what_cannot_leave_is_passed_over() {
    let mut begun = Vec::new();
    let lost = send_now(&[1, 2, 3, 4, 5], |rest| {
        begun.push(rest[0]);
        match rest[0] {
            1 => Ok(2),
            3 => Err(io::ErrorKind::InvalidInput.into()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    });
    assert_eq!((lost, begun), (2, vec![1, 3, 4]));
}
