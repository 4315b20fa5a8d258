//! Connect and Disconnect: user-plane digest 5.4.

use super::*;
use crate::SessionType;
use crate::media::Stream;
use crate::talk_burst::{Acknowledgement, Answer, Connect, Message as Burst, Packet};

fn connect() -> Connect {
    Connect {
        inviter: Some(Bytes::from(BENS)),
        session: Some(Bytes::from(IDENTITY)),
        session_type: Some(SessionType::OneToOne),
        ..Connect::default()
    }
}

impl Home {
    fn automatic() -> Self {
        Self::standing(|config| {
            pre_establishing(config);
            config.settings.answer_mode = AnswerMode::Automatic;
        })
    }

    /// The server says this, and the client answers.
    fn is_told(&mut self, message: Burst) -> Vec<Burst> {
        let remote = self.anna.pre_established.as_ref().unwrap().control().unwrap();
        let bytes = Packet { ssrc: 5, message }.write().unwrap();
        self.anna.handle_input(self.now, Input::Media { stream: Stream::Control, remote, bytes }).unwrap();
        let sent = std::iter::from_fn(|| self.anna.poll_media()).filter(|sent| sent.to == remote);
        let said = sent.flat_map(|sent| {
            let packets: Vec<_> = crate::talk_burst::packets(&sent.bytes).unwrap().collect();
            packets
        });
        said.map(|packet| packet.unwrap().message).collect()
    }

    fn is_connected(&mut self, connect: Connect) -> Vec<Burst> {
        self.is_told(Burst::Connect(Box::new(connect)))
    }
}

fn answered(answer: Answer) -> Vec<Burst> {
    vec![Burst::Acknowledgement(Acknowledgement::Connect(answer))]
}

#[test]
fn a_connect_is_a_session_that_has_been_accepted_and_a_disconnect_ends_it() {
    let mut home = Home::automatic();
    assert_eq!(home.is_connected(connect()), answered(Answer::Accepted));
    let told = events(&mut home.anna);
    let [
        Event::Invited { session, inviter, answer_mode: AnswerMode::Automatic, .. },
        Event::Established { focus: Some(focus), .. },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((text(inviter), text(&focus.identity)), (format!("<{BENS}>"), IDENTITY.to_owned()));
    // The same again is answered the same, and tells nothing.
    assert_eq!(home.is_connected(connect()), answered(Answer::Accepted));
    assert!(events(&mut home.anna).is_empty());
    // Its talk bursts have begun.
    home.is_told(Burst::Idle);
    let told = events(&mut home.anna);
    assert!(matches!(&told[..], [Event::TalkBurst { .. }]), "{told:?}");
    let acknowledged = vec![Burst::Acknowledgement(Acknowledgement::Disconnect)];
    assert_eq!(home.is_told(Burst::Disconnect), acknowledged);
    let told = events(&mut home.anna);
    assert!(matches!(&told[..], [.., Event::Ended { session: ended, ..  }] if ended == session));
    assert_eq!(home.is_told(Burst::Disconnect), acknowledged);
    assert!(events(&mut home.anna).is_empty());
    assert!(sent(&mut home.anna).is_empty(), "nothing by SIP");
}

#[test]
fn another_connect_in_a_session_is_busy() {
    let mut home = Home::automatic();
    home.is_connected(connect());
    events(&mut home.anna);
    let other = Connect { inviter: Some(Bytes::from("sip:cara@home1.example")), ..connect() };
    assert_eq!(home.is_connected(other), answered(Answer::Busy));
    assert!(events(&mut home.anna).is_empty());
}

#[test]
fn a_connect_is_not_accepted_for_a_user_who_wants_to_be_asked_but_by_override() {
    let mut home = Home::standing(|config| {
        pre_establishing(config);
        config.settings.answer_mode = AnswerMode::Manual;
    });
    assert_eq!(home.is_connected(connect()), answered(Answer::NotAccepted));
    assert!(events(&mut home.anna).is_empty());
    let overriding = Connect { is_override: true, ..connect() };
    assert_eq!(home.is_connected(overriding), answered(Answer::Accepted));
}

#[test]
fn a_connect_from_elsewhere_is_nothing() {
    let mut home = Home::automatic();
    let remote = "192.0.2.99:40000".parse().unwrap();
    let bytes = Packet { ssrc: 5, message: Burst::Connect(Box::new(connect())) }.write().unwrap();
    home.anna.handle_input(home.now, Input::Media { stream: Stream::Control, remote, bytes }).unwrap();
    assert!(home.anna.poll_media().is_none() && events(&mut home.anna).is_empty());
}
