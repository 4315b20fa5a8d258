//! The push-to-talk screen, as a terminal shows it: keys go in, and what is seen is waited for.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it is surprised, and says what it leaves out"
)]

mod program;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use hound::{SampleFormat, WavSpec, WavWriter};
use program::{Folder, PATIENCE, Program, end, group, scratch, user};
use rexpect::session::{PtySession, spawn_command};

const OURSELVES: &str = env!("CARGO_BIN_EXE_talkburst");

/// A terminal that tmux emulates, and what runs there.
struct Terminal {
    /// Of a server of its own.
    socket: PathBuf,
}

impl Terminal {
    /// `None` without tmux, which is said.
    fn open(name: &str, size: (u16, u16), command: &str) -> Option<Self> {
        let terminal = Self { socket: scratch(&format!("tmux-{name}")) };
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        // Afterwards the terminal says what it is like, and stays.
        let started =
            format!("sh -c 'echo $$ >\"$0\"; exec {OURSELVES} {command}' {}", terminal.pid_file().display());
        let script = format!("{started}; echo \"code $?\"; stty -a; exec cat");
        let session = ["new-session", "-d", "-x", &columns, "-y", &rows, &script];
        let Some(code) = terminal.tmux(&session) else {
            assert!(std::env::var_os("TALKBURST_REQUIRE_TOOLS").is_none(), "tmux is missing");
            println!("tmux is not on this machine: left out");
            return None;
        };
        assert_eq!(code.0, Some(0), "{}", code.1);
        Some(terminal)
    }

    /// Says which process the program is.
    fn pid_file(&self) -> PathBuf {
        self.socket.with_extension("pid")
    }

    /// `None`: there is no tmux.
    fn tmux(&self, arguments: &[&str]) -> Option<(Option<i32>, String)> {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(["-f", "/dev/null"]).args(arguments).env_remove("TMUX");
        let run = command.output().ok()?;
        Some((run.status.code(), String::from_utf8_lossy(&run.stdout).into_owned()))
    }

    fn ask(&self, arguments: &[&str]) -> String {
        self.tmux(arguments).unwrap().1
    }

    /// Waits until all of this is seen, and none of that.
    fn until(&self, wanted: &[&str], unwanted: &[&str]) -> String {
        self.until_seen(&["capture-pane", "-p"], wanted, unwanted)
    }

    /// The same for what is beyond the upper edge, too.
    fn told(&self, wanted: &[&str]) -> String {
        self.until_seen(&["capture-pane", "-p", "-S", "-"], wanted, &[])
    }

    fn until_seen(&self, look: &[&str], wanted: &[&str], unwanted: &[&str]) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let seen = self.ask(look);
            if wanted.iter().all(|text| seen.contains(text))
                && !unwanted.iter().any(|text| seen.contains(text))
            {
                return seen;
            }
            assert!(Instant::now() < until, "not {wanted:?} without {unwanted:?}:\n{seen}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn shows(&self, wanted: &[&str]) -> String {
        self.until(wanted, &[])
    }

    fn key(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// The terminal is what it was before, and the program has ended so.
    fn is_given_back(&self, code: u8) {
        let seen = self.told(&[&format!("code {code}"), "icanon", "opost", "echo"]);
        for spoiled in ["-icanon", "-opost", "-echo "] {
            assert!(!seen.contains(spoiled), "{seen}");
        }
        let modes = self.ask(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(modes.trim(), "0 1", "its own screen, and the cursor");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
        let _ = std::fs::remove_file(&self.socket);
        let _ = std::fs::remove_file(self.pid_file());
    }
}

/// A server with three users and a chat group, and these options.
fn network(name: &str, options: &str) -> (Folder, Program, String) {
    let folder = Folder::new(name);
    DirBuilder::new().mode(0o700).create(&*folder).unwrap();
    let (data, config) = (folder.to_str().unwrap(), folder.join("options"));
    std::fs::write(&config, options).unwrap();
    let config = config.to_str().unwrap();
    let mut server = Program::start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--shards",
        "1",
        "--data",
        data,
        "--config",
        config,
    ]);
    let address = server.until("listening")["udp"].as_str().unwrap().to_owned();
    for name in ["anna", "ben", "cara"] {
        assert_eq!(user(&folder, &["add", name, "--password-stdin"], name).0, Some(0));
        std::fs::write(folder.join(name), name).unwrap();
    }
    assert_eq!(group(&folder, &["add", "field", "--kind", "chat", "--joins", "anybody"]).0, Some(0));
    (folder, server, address)
}

/// What `name` types to do this by way of the server.
fn at_home(folder: &Folder, server: &str, name: &str, what: &str) -> String {
    let password = folder.join(name);
    format!("{what} --server {server} --user {name} --password-file {}", password.display())
}

fn program(folder: &Folder, server: &str, name: &str, what: &str) -> Program {
    let typed = at_home(folder, server, name, what);
    Program::start(&typed.split(' ').collect::<Vec<_>>())
}

#[test]
fn escape_cancels_what_rings_and_the_terminal_is_given_back() {
    let (answer, address) = Program::answer(&["--manual", "--once"]);
    let call = format!("call sip:ben@{address} --ladder");
    let Some(terminal) = Terminal::open("cancel", (80, 24), &call) else { return };
    let seen = terminal.shows(&["it rings: ben", "Esc cancel"]);
    assert!(seen.starts_with(" talkburst@127.0.0.1 → ben@127.0.0.1"), "{seen}");
    terminal.key("Escape");
    let seen = terminal.told(&["cancelled (487)", "── CANCEL ─", "code 0"]);
    assert!(!seen.contains("Esc cancel"), "the screen is gone: {seen}");
    terminal.is_given_back(0);
    assert_eq!(end(&answer.exit().1), ("cancelled", "remote", Some(487)));
}

#[test]
fn enter_answers_and_escape_refuses_and_leaves() {
    let Some(ben) = Terminal::open("answer", (80, 24), "answer --listen 127.0.0.1:0") else { return };
    let seen = ben.shows(&["waiting for calls", "listening on udp 127.0.0.1:"]);
    let port = seen.split("udp 127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap();
    let address = format!("127.0.0.1:{port}").parse().unwrap();

    let call = Program::call(address, &["--user", "sip:anna@example.com"]);
    ben.shows(&["◆ anna calls", "Enter answer", "Esc refuse"]);
    ben.key("Escape");
    let (code, events, _) = call.exit();
    assert_eq!((code, end(&events)), (Some(5), ("rejected", "remote", Some(480))));

    ben.shows(&["waiting for calls", "refused"]);
    let mut call = Program::call(address, &["--user", "sip:anna@example.com"]);
    ben.shows(&["◆ anna calls"]);
    ben.key("Enter");
    call.until("established");
    ben.shows(&["who takes part: 2", "Esc leave"]);
    ben.key("Escape");
    assert_eq!(end(&call.exit().1), ("released", "remote", None));
    ben.shows(&["waiting for calls", "ended"]);
    ben.key("q");
    ben.told(&["refused (480)", "ended", "code 0"]);
    ben.is_given_back(0);
}

#[test]
fn without_reports_of_releases_space_speaks_and_stops_and_who_is_second_sees_the_place() {
    let (folder, _server, address) = network("screen-queue", "");
    let typed = |name| at_home(&folder, &address, name, "call field --chat");
    let Some(anna) = Terminal::open("anna", (80, 24), &typed("anna")) else { return };
    let ben = Terminal::open("ben", (40, 12), &typed("ben")).unwrap();
    anna.shows(&["who takes part: 2", "○ nobody speaks", "space talk, again to stop"]);
    ben.shows(&["who takes part: 2", "○ nobody speaks", "space talk, again to stop"]);

    anna.key("Space");
    anna.shows(&["● you speak", "s left", "● anna  you", "space stop"]);
    ben.shows(&["▶ anna speaks", "▶ anna"]);
    ben.key("Space");
    ben.shows(&["▶ anna speaks", "you are in the queue at place 1", "space ask no more"]);
    // The place is told to whoever waits behind, too, and is a better one once the first of them speaks.
    let cara = Terminal::open("cara", (80, 24), &typed("cara")).unwrap();
    cara.shows(&["▶ anna speaks", "who takes part: 3"]);
    cara.key("Space");
    cara.shows(&["you are in the queue at place 2"]);
    // Presses that follow each other within a tenth of a second are one finger.
    anna.until(&["● you speak"], &["30 s left"]);
    anna.key("Space");
    ben.shows(&["● you speak"]);
    cara.shows(&["▶ ben speaks", "you are in the queue at place 1"]);
    cara.key("Space");
    cara.until(&["▶ ben speaks"], &["in the queue at"]);
    ben.key("Space");
    anna.until(&["○ nobody speaks"], &["s left"]);

    for terminal in [anna, ben, cara] {
        terminal.key("Escape");
        terminal.told(&["no longer registered", "code 0"]);
    }
}

/// Says loud and quiet, half a second each, in a file.
fn loud_and_quiet(folder: &Folder) -> String {
    let path = folder.join("said.wav");
    let (channels, bits_per_sample, sample_format) = (1, 16, SampleFormat::Int);
    let spec = WavSpec { channels, sample_rate: 8000, bits_per_sample, sample_format };
    let mut writer = WavWriter::create(&path, spec).unwrap();
    for at in 0..40_000 {
        let loud = if at / 4000 % 2 == 0 { 16_000 } else { 200 };
        writer.write_sample(if at / 10 % 2 == 0 { loud } else { -loud }).unwrap();
    }
    writer.finalize().unwrap();
    path.to_str().unwrap().to_owned()
}

/// How loud it is by the meter that has this name: the number, and how long the bar is.
fn level(frame: &str, name: &str) -> Option<(i32, usize)> {
    let line = frame.lines().find(|line| line.contains(name) && line.contains(" dBFS"))?;
    let number = line.split(" dBFS").next()?.rsplit(' ').next()?.parse().ok()?;
    Some((number, line.matches('■').count()))
}

#[test]
fn the_meters_of_who_speaks_and_of_who_hears_follow_what_is_said() {
    let (folder, _server, address) = network("screen-meter", "");
    let calls = format!("call ben --talk {}", loud_and_quiet(&folder));
    let Some(ben) =
        Terminal::open("meter-ben", (80, 24), &at_home(&folder, &address, "ben", "answer --auto"))
    else {
        return;
    };
    ben.shows(&["settings published"]);
    let anna = Terminal::open("meter-anna", (80, 24), &at_home(&folder, &address, "anna", &calls)).unwrap();
    let mut seen = [Vec::new(), Vec::new()];
    let until = Instant::now() + PATIENCE;
    let is_loud = |level: &(i32, usize)| (-8..=-4).contains(&level.0);
    // A meter falls slowly, so that an eye can follow it.
    let is_quiet = |level: &(i32, usize)| (-50..=-15).contains(&level.0);
    while !seen.iter().all(|seen| seen.iter().any(is_loud) && seen.iter().any(is_quiet)) {
        assert!(Instant::now() < until, "{seen:?}");
        seen[0].extend(level(&anna.ask(&["capture-pane", "-p"]), "said"));
        seen[1].extend(level(&ben.ask(&["capture-pane", "-p"]), "heard"));
    }
    for seen in seen {
        let bar = |is: &dyn Fn(&(i32, usize)) -> bool| seen.iter().find(|level| is(level)).unwrap().1;
        assert!(bar(&is_loud) > bar(&is_quiet) + 5, "{seen:?}");
    }
    // Afterwards there is nothing to measure.
    for terminal in [anna, ben] {
        terminal.until(&[], &["dBFS"]);
    }
}

#[test]
fn who_speaks_too_long_sees_the_seconds_to_wait_and_who_is_pre_empted_sees_why() {
    let options = "[talk-bursts]\nstop-talking = \"2s\"\nretry-after = \"30s\"\n";
    let (folder, _server, address) = network("screen-refused", options);
    let mut cara = program(&folder, &address, "cara", "call field --chat");
    cara.until("established");
    let typed = at_home(&folder, &address, "anna", "call field --chat");
    let Some(anna) = Terminal::open("refused", (80, 24), &typed) else { return };
    anna.shows(&["who takes part: 2"]);
    anna.key("Space");
    anna.shows(&["● you speak"]);
    // Either the client is first, which lets go in time, or the server, and then there are seconds to wait.
    let seen = anna.until(&["nobody speaks"], &["you speak"]);
    let is_barred = seen.contains("stop: too long, again in 30 s");
    assert!(is_barred && seen.contains("you may ask in ") || seen.contains("time is over"), "{seen}");

    let typed = at_home(&folder, &address, "ben", "call field --chat");
    let ben = Terminal::open("pre-empted", (80, 24), &typed).unwrap();
    ben.shows(&["who takes part: 3"]);
    ben.key("Space");
    ben.shows(&["● you speak"]);
    drop(cara);
    let urgent = "call field --chat --talk-for 1s --priority pre-emptive --leave-after 3s";
    let _cara = program(&folder, &address, "cara", urgent);
    ben.shows(&["stop: somebody more important speaks", "▶ cara speaks"]);
}

#[test]
fn the_screen_fits_the_terminal_and_comes_back_when_somebody_else_has_written_there() {
    let (_answer, address) = Program::answer(&["--auto", "--once"]);
    let call = format!("call sip:ben@{address} --user sip:anna@example.com");
    let Some(terminal) = Terminal::open("resized", (80, 24), &call) else { return };
    let seen = terminal.shows(&["who takes part: 2", "what happened", "╰──"]);
    assert_eq!(seen.lines().count(), 24);
    for (columns, rows, unwanted) in [("40", "12", "╰──"), ("200", "50", "xyzzy"), ("20", "4", "╰──")]
    {
        terminal.tmux(&["resize-window", "-x", columns, "-y", rows]);
        let seen = terminal.until(&["○ nobody speaks"], &[unwanted]);
        assert_eq!(seen.lines().count().to_string(), rows, "{seen}");
    }
    terminal.tmux(&["resize-window", "-x", "80", "-y", "24"]);
    terminal.shows(&["what happened", "╰──"]);
    let tty = terminal.ask(&["display-message", "-p", "#{pane_tty}"]);
    std::fs::write(tty.trim(), "\r\nxyzzy\r\n").unwrap();
    terminal.shows(&["xyzzy"]);
    terminal.key("C-l");
    terminal.until(&["○ nobody speaks"], &["xyzzy"]);
}

#[test]
fn signals_leave_the_session_and_give_the_terminal_back() {
    for signal in ["TERM", "HUP", "INT"] {
        let (answer, address) = Program::answer(&["--auto", "--once"]);
        let call = format!("call sip:ben@{address} --user sip:anna@example.com");
        let Some(terminal) = Terminal::open(&format!("signal-{signal}"), (80, 24), &call) else { return };
        terminal.shows(&["○ nobody speaks"]);
        match signal {
            "INT" => terminal.key("C-c"),
            _ => {
                let pid = std::fs::read_to_string(terminal.pid_file()).unwrap();
                let sent = Command::new("kill").args([&format!("-{signal}"), pid.trim()]).status();
                assert!(sent.unwrap().success());
            }
        }
        terminal.told(&["ended"]);
        terminal.is_given_back(0);
        assert_eq!(end(&answer.exit().1), ("released", "remote", None));
    }
}

/// The terminal is asked about its keys; what it answers is not for the shell.
#[test]
fn a_program_that_ends_at_once_waits_for_what_the_terminal_answers() {
    let nowhere = "call sip:ben@nowhere.invalid --nameserver 127.0.0.1:9";
    let Some(terminal) = Terminal::open("at-once", (80, 24), nowhere) else { return };
    terminal.is_given_back(4);
    let seen = terminal.told(&["failed to find the way"]);
    assert!(!seen.contains("[?"), "{seen}");
}

#[test]
fn plain_and_dumb_terminals_have_lines() {
    let (_answer, address) = Program::answer(&["--auto"]);
    let Some(terminal) = Terminal::open("plain", (80, 24), &format!("call --plain sip:ben@{address}")) else {
        return;
    };
    let seen = terminal.shows(&["space speak and stop", "in session: PCMU"]);
    assert!(!seen.contains("nobody takes part") && !seen.contains('╭'), "{seen}");
    terminal.key("l");
    terminal.is_given_back(0);
    let script = format!("CI=true TERM=dumb {OURSELVES} call sip:ben@{address}");
    Pty::open(&script).until("in session: PCMU");
}

/// A terminal of 80 by 24 that answers no question by itself.
struct Pty(PtySession);

impl Pty {
    fn open(script: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("stty rows 24 cols 80; {script}")]);
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        Self(spawn_command(command, Some(patience)).unwrap())
    }

    fn send(&mut self, keys: &str) {
        self.0.send(keys).unwrap();
        self.0.flush().unwrap();
    }

    /// What came before this.
    fn until(&mut self, wanted: &str) -> String {
        self.0.exp_string(wanted).unwrap()
    }

    /// Has the screen drawn anew until this is seen.
    fn shows(&mut self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            self.send("\u{c}");
            let frame = words(&self.until(END_OF_FRAME));
            if frame.contains(wanted) {
                return;
            }
            assert!(Instant::now() < until, "not {wanted}: {frame}");
        }
    }
}

/// The text of a frame that was drawn anew: where the cursor moves there is a space.
fn words(frame: &str) -> String {
    let text = frame.split('\u{1b}').map(|part| {
        let end = part.find(|each: char| each.is_ascii_alphabetic()).filter(|_| part.starts_with('['));
        let (sequence, text) = end.map_or(("", part), |end| part.split_at(end + 1));
        if sequence.ends_with('H') { format!(" {text}") } else { text.to_owned() }
    });
    text.collect()
}

/// The end of a synchronized update.
const END_OF_FRAME: &str = "\u{1b}[?2026l";

/// The question for the flags of the kitty keyboard protocol, and for what the terminal is.
const QUESTION: &str = "\u{1b}[?u\u{1b}[c";

const PRESSED: &str = "\u{1b}[32;1:1u";
const REPEATED: &str = "\u{1b}[32;1:2u";
const LET_GO: &str = "\u{1b}[32;1:3u";

#[test]
fn where_the_release_of_a_key_is_reported_space_is_held() {
    let (folder, _server, address) = network("screen-held", "");
    let mut ben = program(&folder, &address, "ben", "answer --auto --once");
    ben.until("published");
    let typed = at_home(&folder, &address, "anna", "call ben");
    let mut anna = Pty::open(&format!("TERM=xterm-kitty {OURSELVES} {typed}; stty -a"));
    anna.until("\u{1b}[?1049h");
    anna.until(QUESTION);
    anna.send("\u{1b}[?0u\u{1b}[?62c");
    anna.until("\u{1b}[>3u");
    ben.until("established");
    anna.shows("space hold to talk");
    for _ in 0..2 {
        anna.send(PRESSED);
        anna.shows("you speak");
        anna.send(&REPEATED.repeat(3));
        anna.shows("space let go to stop");
        anna.send(LET_GO);
        anna.shows("space hold to talk");
        anna.shows("nobody speaks");
    }
    anna.send(PRESSED);
    anna.shows("you speak");
    // The terminal has lost the focus: the key is let go elsewhere.
    anna.send("\u{1b}[O");
    anna.shows("nobody speaks");
    anna.send("\u{1b}[27u");
    // What was asked of the terminal is taken back, before its own screen is.
    for sequence in ["\u{1b}[<1u", "\u{1b}[?1004l", "\u{1b}[?2004l", "\u{1b}[?25h", "\u{1b}[?1049l"] {
        anna.until(sequence);
    }
    anna.until("ended");
    anna.until("isig icanon ");
    let (_, events, _) = ben.exit();
    let speakers = events.iter().filter(|event| event["talk_burst"] == "taken").count();
    // The INVITE was the first request.
    assert_eq!(speakers, 4, "{events:?}");
}

#[test]
fn a_refusal_rings_the_bell_unless_it_is_muted() {
    let (folder, _server, address) = network("screen-bell", "[talk-bursts]\nstop-talking = \"1s\"\n");
    for (more, rings) in [("", true), (" --no-bell", false)] {
        let mut ben = program(&folder, &address, "ben", "answer --auto --once");
        ben.until("published");
        let typed = at_home(&folder, &address, "anna", "call ben");
        let mut anna = Pty::open(&format!("TERM=xterm {OURSELVES} {typed}{more}"));
        anna.until(QUESTION);
        anna.send("\u{1b}[?62c");
        ben.until("established");
        anna.shows("space talk, again to stop");
        anna.send(" ");
        anna.shows("you speak");
        // The next frames are those of the second that passes, and of the refusal.
        let mut seen = String::new();
        while !seen.contains("stop: too long") && !seen.contains("is over") {
            seen += &anna.until(END_OF_FRAME);
        }
        anna.send("l");
        seen += &anna.until("no longer registered");
        assert_eq!(seen.contains('\u{7}'), rings, "{seen:?}");
        ben.exit();
    }
}
