use super::*;

const COLOURED: Look = Look { has_colours: true };

fn shown(state: &State, seconds: u64, look: Look, (width, height): (u16, u16)) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, at(seconds), look, frame.buffer_mut())).unwrap();
    terminal
}

/// The same in the sizes of a window, half of one, and a large one.
macro_rules! assert_shown {
    ($state:expr, $seconds:expr) => {
        for size in [(80, 24), (40, 12), (130, 20)] {
            insta::assert_snapshot!(shown(&$state, $seconds, COLOURED, size).backend());
        }
    };
}

fn speaking() -> State {
    let mut state = in_chat();
    state.press(true);
    tell(&mut state, 10, Burst::Granted { seconds: Some(30) });
    state.measure(at(10), Levels { spoken: Some(-18.0), heard: None });
    state
}

fn queued() -> State {
    let mut state = in_chat();
    tell(&mut state, 10, taken("sip:ben@example.com"));
    state.press(true);
    tell(&mut state, 11, Burst::Queued { position: Some(2) });
    state.measure(at(11), Levels { spoken: None, heard: Some(-24.0) });
    state
}

fn barred() -> State {
    let mut state = speaking();
    tell(&mut state, 40, revoked(5));
    state.press(false);
    state.measure(at(40), Levels::default());
    state
}

fn called() -> State {
    let mut state = State::new(Purpose::Answer, true);
    state.tell(at(0), &registered());
    state.tell(at(5), &invited());
    state
}

/// Twenty of whom the ninth speaks.
fn crowd() -> State {
    let mut state = in_chat();
    let address = |number: u32| format!("sip:user{number}@example.com");
    let person = |number| participant(&address(number), None, "connected");
    let participants = (1..=20).map(person).collect();
    state.tell(at(2), &Told::Participants { session: 1, participants });
    tell(&mut state, 3, taken(&address(9)));
    state
}

/// Names that want to be more than names.
fn hostile() -> State {
    let mut state = in_chat();
    let names = [
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\u{202e}nimda",
        "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字",
        "\u{5d0}\u{5e0}\u{5d4}",
        "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
        "a name that is as long as it may be, and then some more of it, so that it does not fit anywhere",
        "\u{200b}\u{feff}",
        "👩\u{200d}👩\u{200d}👧",
    ];
    let participants = names
        .iter()
        .zip(1..)
        .map(|(name, number)| participant(&format!("sip:user{number}@example.com"), Some(name), "connected"));
    state.tell(at(2), &Told::Participants { session: 1, participants: participants.collect() });
    tell(&mut state, 3, taken("sip:user3@example.com"));
    state.story(at(4), "cannot \u{1b}[31mspeak\u{202e}");
    state
}

fn all() -> [State; 8] {
    let waiting = State::new(Purpose::Answer, true);
    let mut ringing = State::new(Purpose::Call, true);
    ringing.tell(at(0), &calling("sip:ben@example.com, sip:cara@example.com"));
    [waiting, ringing, speaking(), queued(), barred(), called(), crowd(), hostile()]
}

#[test]
fn whoever_speaks_sees_the_time_that_is_left() {
    assert_shown!(speaking(), 17);
}

#[test]
fn whoever_is_in_the_queue_sees_who_speaks_and_the_place() {
    assert_shown!(queued(), 12);
}

#[test]
fn whoever_was_refused_sees_why_and_how_long_to_wait() {
    assert_shown!(barred(), 42);
}

#[test]
fn whoever_is_called_sees_by_whom_and_what_to_press() {
    assert_shown!(called(), 5);
}

#[test]
fn of_many_as_many_are_shown_as_there_is_room_for() {
    let mut state = crowd();
    assert_shown!(state, 4);
    state.scroll_by(4);
    insta::assert_snapshot!(shown(&state, 4, COLOURED, (40, 12)).backend());
    state.scroll_by(100);
    insta::assert_snapshot!(shown(&state, 4, COLOURED, (40, 12)).backend());
}

#[test]
fn names_are_names_and_nothing_more() {
    assert_shown!(hostile(), 5);
    for size in [(80, 24), (40, 12)] {
        let terminal = shown(&hostile(), 5, COLOURED, size);
        let cells = terminal.backend().buffer().content();
        assert!(cells.iter().all(|cell| !cell.symbol().chars().any(super::super::super::voice::is_command)));
    }
}

#[test]
fn every_size_can_be_drawn() {
    for state in all() {
        for width in 0..=82 {
            for height in 0..=26 {
                shown(&state, 12, COLOURED, (width, height));
            }
        }
        shown(&state, 12, COLOURED, (500, 200));
    }
}

#[test]
fn without_colours_nothing_has_one_and_the_words_are_the_same() {
    for state in all() {
        let plain = shown(&state, 12, Look { has_colours: false }, (80, 24));
        let coloured = shown(&state, 12, COLOURED, (80, 24));
        let cells = plain.backend().buffer().content().iter().zip(coloured.backend().buffer().content());
        for (plain, coloured) in cells {
            assert_eq!((plain.fg, plain.bg), (Color::Reset, Color::Reset));
            assert_eq!(plain.symbol(), coloured.symbol());
            assert_eq!(plain.modifier, coloured.modifier, "weight is not colour");
        }
    }
}
