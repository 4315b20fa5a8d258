//! Peers that are not ours, from Debian's packages: what each does is known, and written in `docs/probe.md`.

use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Verdicts;
use crate::program::{Bound, Folder, PATIENCE};
use crate::sipping::{PORT, Transport, has_sipp, is_bound, own_address, wait};

/// Whether `tool` is there. Where it is not each test says so and passes, unless the tools are required.
fn has(tool: &str, argument: &str) -> bool {
    let found = Command::new(tool).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        crate::common::leave_out(tool);
    }
    found
}

/// A child whose output nobody reads.
fn start(command: &mut Command) -> Bound {
    Bound(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// What a phone is told in its file, beside its addresses.
fn configuration(folder: &Path, at: &str, orders: &str) -> String {
    let folder = folder.display();
    format!(
        "module_path /usr/lib/baresip/modules\nnet_interface {}\nsip_listen {at}\ncall_max_calls 64\nrtp_ports 50000-60000\n\
         module g711.so\nmodule aufile.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
         ctrl_tcp_listen {orders}\naudio_source aufile,{folder}/silence.wav\naudio_player aufile,{folder}/heard.wav\n\
         audio_alert aufile,{folder}/alert.wav\n",
        at.split(':').next().unwrap()
    )
}

/// Silence in a WAV file; baresip hangs up at its end.
fn silence() -> Vec<u8> {
    const OCTETS: u32 = 2 * 8000 * 60;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + OCTETS).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    file.extend(OCTETS.to_le_bytes());
    file.resize(file.len() + OCTETS as usize, 0);
    file
}

#[test]
fn baresip_that_is_called() {
    if !has("baresip", "-h") {
        return;
    }
    let (at, own) = (own_address(), own_address().to_string());
    let folder = Folder::new(&format!("probe-phone-{at}"));
    std::fs::create_dir_all(&*folder).unwrap();
    std::fs::write(folder.join("silence.wav"), silence()).unwrap();
    std::fs::write(
        folder.join("config"),
        configuration(&folder, &format!("{at}:{PORT}"), &format!("{at}:4444")),
    )
    .unwrap();
    let account = |name: &str, mode: &str| {
        format!("<sip:{name}@{at};transport=udp>;regint=0;answermode={mode};audio_codecs=PCMU\n")
    };
    std::fs::write(folder.join("accounts"), account("rings", "manual") + &account("answers", "auto"))
        .unwrap();
    let _phone = start(Command::new("baresip").arg("-4").arg("-f").arg(&*folder));
    wait("baresip listens", Instant::now() + PATIENCE, || is_bound(Transport::Udp, at));
    std::thread::sleep(Duration::from_millis(500)); // its accounts are read after that
    let (rings, answers) = (format!("sip:rings@{at}"), format!("sip:answers@{at}"));
    let verdicts = Verdicts::of(&[&rings, "--answers", &answers, "--listen", &own, "--jobs", "6"]);
    // It lets no INVITE expire, has no reliable responses, and takes what is cut off.
    verdicts.check(&[("R18", "fail"), ("C60", "inconclusive"), ("S14", "fail")]);
}

/// A phone for each call: dials, gives up after half a second, and ends when its standard input does.
const CALLS: &str = r#"uri=$1; home=$(mktemp -d -p "$FOLDER"); port=$((10000 + 4 * ($$ % 10000)))
sed "s/PORT/$port/" "$FOLDER/config" > "$home/config"
echo "<sip:anna@$AT:$port;transport=udp>;regint=0;audio_codecs=PCMU" > "$home/accounts"
baresip -4 -f "$home" >/dev/null 2>&1 </dev/null & phone=$!
until exec 3<>/dev/tcp/$ORDERS/$port; do sleep .02; done 2>/dev/null
order() { printf '%d:%s,' ${#1} "$1" >&3; }
order "{\"command\":\"dial\",\"params\":\"$uri\"}"
sleep .5
order '{"command":"hangup","params":""}'
cat >/dev/null
kill $phone
"#;

#[test]
fn baresip_that_calls_and_gives_up() {
    if !has("baresip", "-h") {
        return;
    }
    let (at, orders, own) = (own_address(), own_address(), own_address().to_string());
    let folder = Folder::new(&format!("probe-phones-{at}"));
    std::fs::create_dir_all(&*folder).unwrap();
    std::fs::write(folder.join("silence.wav"), silence()).unwrap();
    std::fs::write(
        folder.join("config"),
        configuration(&folder, &format!("{at}:PORT"), &format!("{orders}:PORT")),
    )
    .unwrap();
    let script = folder.join("calls");
    let head = format!("FOLDER={}; AT={at}; ORDERS={orders}\n", folder.display());
    std::fs::write(&script, head + CALLS).unwrap();
    let command = format!("bash {} {{uri}}", script.display());
    let verdicts = Verdicts::of(&["--calls-with", &command, "--listen", &own, "--jobs", "8"]);
    // It acknowledges the 2xx of one fork only, and its INVITE is short.
    verdicts.check(&[("C40", "fail"), ("C13", "inconclusive")]);
}

/// Its scenario answers at once, keeps to its order of messages, and takes a CANCEL of anything for the end of the call.
#[test]
fn sipp_that_is_called() {
    if !has_sipp() {
        return;
    }
    let (at, own) = (own_address(), own_address().to_string());
    let _uas = start(Command::new("sipp").args([
        "-sn",
        "uas",
        "-nostdin",
        "-i",
        &at.to_string(),
        "-p",
        &PORT.to_string(),
    ]));
    wait("SIPp listens", Instant::now() + PATIENCE, || is_bound(Transport::Udp, at));
    let uri = format!("sip:uas@{at}");
    let cases =
        ["--case", "C52", "--case", "R2", "--case", "S11", "--case", "C45", "--case", "I10", "--case", "C60"];
    let verdicts = Verdicts::of(&[&[uri.as_str(), "--listen", &own], &cases[..]].concat());
    verdicts.check(&[("C52", "fail"), ("R2", "fail"), ("I10", "fail"), ("C60", "inconclusive")]);
}

/// A stateful proxy that stays in the dialog, and asks nobody for a password.
const PROXY: &str = r#"#!KAMAILIO
fork=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:ADDRESS:5060
listen=tcp:ADDRESS:5060
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("CANCEL")) {
        if (t_check_trans()) { t_relay(); exit; }
        sl_send_reply("481", "Call/Transaction Does Not Exist");
        exit;
    }
    if (has_totag()) {
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK") && t_check_trans()) { t_relay(); }
        exit;
    }
    t_check_trans();
    if (is_method("INVITE")) { record_route(); }
    if (!t_relay()) { sl_reply_error(); }
}
"#;

/// Kamailio and its children, none of which outlives it.
struct Proxy(Bound);

impl Drop for Proxy {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    }
}

fn proxy(folder: &Path, at: Ipv4Addr) -> Proxy {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("kamailio.cfg"), PROXY.replace("ADDRESS", &at.to_string())).unwrap();
    let mut command = Command::new("kamailio");
    command
        .arg("-f")
        .arg(folder.join("kamailio.cfg"))
        .arg("-P")
        .arg(folder.join("pid"))
        .arg("-Y")
        .arg(folder);
    let proxy = Proxy(start(command.args(["-m", "64", "-M", "8", "-DD", "-E"]).process_group(0)));
    wait("Kamailio listens", Instant::now() + PATIENCE, || is_bound(Transport::Udp, at));
    wait("Kamailio takes connections", Instant::now() + PATIENCE, || is_bound(Transport::Tcp, at));
    std::thread::sleep(Duration::from_millis(300)); // its children read a little later
    proxy
}

#[test]
fn kamailio_that_is_between() {
    if !has("kamailio", "-v") {
        return;
    }
    let (at, own) = (own_address(), own_address().to_string());
    let folder = Folder::new(&format!("probe-proxy-{at}"));
    let _proxy = proxy(&folder, at);
    let through = format!("{at}:{PORT}");
    let over = |transport| {
        let through = ["--through", &through, "--listen", &own, "--jobs", "6", "--transport", transport];
        Verdicts::of(&through)
    };
    over("udp").check(&[]);
    // The 487 is lost with the connection that the INVITE came on.
    over("tcp").check(&[("R30", "fail")]);
}
