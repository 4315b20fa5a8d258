use super::*;

const GUARD: Duration = Duration::from_secs(32);

const NOW: Instant = Instant::START;

const SESSION: SessionId = SessionId::apart(1);

fn of(state: State) -> Machine {
    Machine { state, guard: GUARD }
}

fn all() -> Vec<State> {
    vec![
        State::Absent,
        State::Waiting { retry_at: NOW },
        State::SettingUp,
        State::Standing,
        State::Referring(SESSION),
        State::GiveUpWaiting(SESSION),
        State::Inviting(SESSION),
        State::GivingUp(SESSION),
        State::Withdrawn { session: SESSION, give_up_at: NOW },
        State::Crossed(SESSION),
        State::InSession(SESSION),
        State::Leaving(SESSION),
        State::Alerting(SESSION),
        State::Accepted(SESSION),
        State::LeaveWaiting(SESSION),
        State::Closing,
    ]
}

type Input = fn(&mut Machine) -> Step;

const LOST: Ended = Ended { end: End::Lost, by: Party::Remote, status: None };

const TABLES: [&[(&str, usize, Input)]; 2] = [
    &[
        ("1xx", 13, |machine| machine.handle_status(180)),
        ("2xx", 13, |machine| machine.handle_status(200)),
        (">=300", 12, |machine| machine.handle_status(487)),
        ("silence", 13, Machine::handle_silence),
        ("give up", 15, Machine::give_up),
        ("BYE taken", 12, |machine| machine.handle_end(NOW, true)),
        ("BYE not taken", 15, |machine| machine.handle_end(NOW, false)),
        ("released", 12, Machine::handle_release),
        ("lost", 8, |machine| machine.handle_lost(LOST)),
    ],
    &[
        ("set up", 11, |machine| {
            machine.set_up();
            NOTHING
        }),
        ("2xx to it", 11, |machine| {
            machine.handle_set_up();
            NOTHING
        }),
        ("refer", 11, |machine| {
            if machine.is_free() {
                machine.refer(SESSION);
            }
            NOTHING
        }),
        ("invited", 10, |machine| {
            machine.invite(SESSION);
            NOTHING
        }),
        ("accept", 10, |machine| {
            machine.accept();
            NOTHING
        }),
        ("no", 12, |machine| machine.handle_no_invitation(LOST)),
        ("ACK", 13, Machine::handle_acknowledged),
        ("tear down", 13, Machine::tear_down),
        ("deadline", 8, |machine| machine.handle_timeout(NOW).1),
    ],
];

fn name(state: State) -> String {
    let text = format!("{state:?}");
    text.split([' ', '(']).next().unwrap().to_owned()
}

fn cell(before: State, input: Input) -> String {
    let mut machine = of(before);
    let step = input(&mut machine);
    let marks = match (step.action, step.told) {
        (Action::Nothing, None) if machine.state == before => return "-".to_owned(),
        (Action::Nothing, None) => "",
        (Action::Nothing, Some(_)) => " !",
        (Action::End, None) => " +B",
        (Action::Close, None) => " +D",
        (Action::Close, Some(_)) => " +D!",
        (Action::End, Some(_)) => panic!("{before:?}: told and ended"),
    };
    format!("{}{marks}", name(machine.state))
}

fn tables() -> String {
    let mut text = String::new();
    for (number, table) in TABLES.iter().enumerate() {
        let line = |first: &str, cells: Vec<String>| {
            let widths = table.iter().map(|(_, width, _)| *width);
            let cells: String =
                cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            format!("//! {first:<15}{cells}").trim_end().to_owned() + "\n"
        };
        if number > 0 {
            text.push_str("//!\n");
        }
        text.push_str(&line("", table.iter().map(|(name, ..)| (*name).to_owned()).collect()));
        for state in all() {
            text.push_str(&line(&name(state), table.iter().map(|(.., input)| cell(state, *input)).collect()));
        }
    }
    text
}

/// The tables at the top of the file are what the machine does.
#[test]
fn every_state_by_every_input_is_as_the_tables_say() {
    let tables = tables();
    assert!(include_str!("../pre_established.rs").contains(&tables), "{tables}");
}

fn ended(step: Step) -> (End, Party, Option<u16>) {
    let Some(Told::Ended(session, Ended { end, by, status })) = step.told else { panic!("{step:?}") };
    assert_eq!(session, SESSION);
    (end, by, status)
}

/// digest 14.10: what the user gave up is cancelled for it, whatever crosses the wish.
#[test]
fn whatever_crosses_the_wish_it_was_cancelled() {
    use Party::Local;
    for state in [State::GiveUpWaiting(SESSION), State::GivingUp(SESSION)] {
        assert_eq!(ended(of(state).handle_status(487)), (End::Cancelled, Local, Some(487)));
        assert_eq!(ended(of(state).handle_status(486)), (End::Cancelled, Local, Some(486)));
        assert_eq!(ended(of(state).handle_silence()), (End::Cancelled, Local, None));
        assert_eq!(ended(of(state).handle_lost(LOST)), (End::Cancelled, Local, None));
        let mut machine = of(state);
        assert_eq!(machine.handle_status(200).told, None, "somebody is connected still");
        assert_eq!(ended(machine.handle_end(NOW, true)), (End::Cancelled, Local, Some(200)));
        assert!(machine.is_free());
    }
}

#[test]
fn a_last_word_that_never_comes_is_waited_for_no_longer_than_64_t1() {
    let mut machine = of(State::GivingUp(SESSION));
    assert_eq!(machine.handle_end(NOW, true), NOTHING);
    assert_eq!(machine.deadline(), Some(NOW + GUARD));
    let almost = NOW + (GUARD - Duration::from_millis(1));
    assert_eq!(machine.handle_timeout(almost), (false, NOTHING));
    let (_, step) = machine.handle_timeout(NOW + GUARD);
    assert_eq!((step.action, ended(step)), (Action::Close, (End::Cancelled, Party::Local, None)));
}

#[test]
fn what_is_over_is_ended_once() {
    for state in all() {
        let mut machine = of(state);
        let first = machine.tear_down();
        let told = usize::from(first.told.is_some());
        let then = [machine.handle_status(200), machine.handle_silence(), machine.handle_lost(LOST)];
        assert!(then.iter().all(|step| step.told.is_none()), "{state:?} {then:?}");
        assert_eq!(told, usize::from(of(state).session().is_some()), "{state:?}");
    }
}
