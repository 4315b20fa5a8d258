use poc::SessionType;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use sip::usage::{End, Party};
use sip::{Duration, Instant};

use super::super::bursts::Burst;
use super::super::voice::{Agreed, Ended, Named, Participant, Told};
use super::draw::{Look, draw};
use super::state::*;

mod drawing;
mod telling;

fn at(seconds: u64) -> Instant {
    Instant::at(Duration::from_secs(seconds))
}

fn invited() -> Told {
    Told::Invited {
        session: 1,
        from: "\"Ben\" <sip:ben@example.com>".to_owned(),
        group: None,
        others: vec!["sip:cara@example.com".to_owned()],
        focus: Named::default(),
        answer_mode: "manual",
    }
}

fn established(kind: SessionType) -> Told {
    let media = Agreed {
        audio: "127.0.0.1:5000".to_owned(),
        codec: "PCMU".to_owned(),
        direction: "sendrecv".to_owned(),
        control: Some("127.0.0.1:5001".to_owned()),
    };
    let focus = Named { session_type: Some(kind), identity: None };
    Told::Established { session: 1, answer_state: "confirmed", focus, media }
}

fn registered() -> Told {
    Told::Registered { user: "sip:anna@example.com".to_owned(), seconds: 3600 }
}

fn calling(uri: &str) -> Told {
    Told::Calling { session: 1, uri: uri.to_owned(), target: "udp 127.0.0.1:5060".to_owned() }
}

fn ended(end: End) -> Told {
    Told::Ended(Ended {
        session: 1,
        end,
        by: Party::Remote,
        status: None,
        reason: None,
        description: "busy".to_owned(),
        missed: false,
        seconds_to_end: None,
    })
}

fn participant(address: &str, name: Option<&str>, status: &'static str) -> Participant {
    Participant { address: address.to_owned(), name: name.map(str::to_owned), status: Some(status) }
}

fn taken(by: &str) -> Burst {
    Burst::Taken { by: by.to_owned(), name: None }
}

fn denied() -> Burst {
    Burst::Denied { reason: "somebody else speaks", phrase: "Floor busy".to_owned() }
}

fn revoked(seconds: u16) -> Burst {
    Burst::Revoked { reason: "too long", seconds_to_retry: Some(seconds) }
}

/// A chat of anna, ben, and cara, who is being invited.
fn in_chat() -> State {
    let mut state = State::new(Purpose::Call, true);
    state.find_out(Reports::Releases);
    for told in [registered(), calling("sip:field@example.com"), established(SessionType::Chat)] {
        state.tell(at(1), &told);
    }
    let participants = vec![
        participant("sip:anna@example.com", None, "connected"),
        participant("sip:ben@example.com", Some("Ben B."), "connected"),
        participant("sip:cara@example.com", None, "alerting"),
    ];
    state.tell(at(1), &Told::Participants { session: 1, participants });
    state
}

fn tell(state: &mut State, seconds: u64, burst: Burst) {
    state.tell(at(seconds), &Told::TalkBurst { session: 1, burst });
}
