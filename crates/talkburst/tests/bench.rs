//! The binary measures itself, for a moment.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod program;

use program::run;
use serde_json::Value;

/// A short run of this flow: exit code, figures, and what was said.
fn bench(flow: &str, more: &[&str]) -> (Option<i32>, Value, String) {
    let moment =
        ["bench", "sip", "--json", "--flow", flow, "--window", "2", "--warm-up", "100ms", "--for", "300ms"];
    let (code, out, said) = run(&[&moment, more].concat());
    (code, serde_json::from_str(&out).unwrap_or_default(), said)
}

#[test]
fn every_flow_is_measured_at_a_server_of_its_own() {
    for flow in ["cancelled", "completed", "register", "options"] {
        let (code, figures, said) = bench(flow, &[]);
        assert_eq!(code, Some(0), "{flow}: {said}");
        assert_eq!(figures["flow"], flow);
        assert!(figures["done"].as_u64().unwrap() > 0, "{flow}: {figures}");
        assert_eq!((figures["failed"].as_u64(), figures["retrans"].as_u64()), (Some(0), Some(0)), "{flow}");
        if cfg!(target_os = "linux") {
            assert!(figures["target_us_per_call"].as_f64().unwrap() > 1.0, "{flow}: {figures}");
        }
    }
}

#[test]
fn callers_can_prove_who_they_are_and_calls_can_be_held() {
    let (code, figures, said) = bench("cancelled", &["--digest", "--hold", "50"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(figures["held"], 50);
    assert!(figures["done"].as_u64().unwrap() > 0, "{figures}");
}

#[test]
fn a_run_in_which_calls_fail_is_void() {
    // Nobody is there.
    let target = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = target.local_addr().unwrap().to_string();
    let (code, figures, said) = bench("cancelled", &["--target", &at]);
    assert_eq!(code, Some(1));
    assert!(figures["failed"].as_u64().unwrap() > 0 && figures["retrans"].as_u64().unwrap() > 0);
    assert!(said.contains("the figures are void"), "{said}");
}

/// A short run of what is said by way of media.
#[cfg(target_os = "linux")]
fn bench_media(arguments: &[&str]) -> Value {
    let (code, out, said) = run(&[&["bench"], arguments, &["--json", "--warm-up", "100ms"]].concat());
    assert_eq!(code, Some(0), "{said}");
    serde_json::from_str(&out).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn speech_is_measured_at_a_server_of_its_own() {
    let media = ["media", "--groups", "2", "--listeners", "3", "--for", "500ms"];
    for nap in ["1ms", "0s"] {
        let figures = bench_media(&[&media[..], &["--nap", nap]].concat());
        let count = |name: &str| figures[name].as_u64().unwrap();
        // 25 packets of each talker, and each to three.
        assert_eq!((count("sent"), count("copies")), (50, 150), "{figures}");
        assert!(figures["cpu_us_per_copy"].as_f64().unwrap() > 0.1, "{figures}");
        assert!(count("p99") > 0 && count("rss_kb") > 0, "{figures}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn talk_bursts_are_measured_at_a_server_of_its_own() {
    let bursts = ["bursts", "--sessions", "50", "--members", "3", "--rate", "100", "--for", "500ms"];
    let figures = bench_media(&[&bursts[..], &["--wait"]].concat());
    let count = |name: &str| figures[name].as_u64().unwrap();
    assert_eq!((count("bursts"), count("granted"), count("denied")), (50, 50, 0), "{figures}");
    // Request, Granted and Release, and what the others are told: Taken, and each of three Idle.
    assert!(count("msgs") >= 50 * (3 + 2 + 3), "{figures}");
    assert!(figures["server_us_per_msg"].as_f64().unwrap() > 0.1, "{figures}");
    // The server tells how long its grants took.
    assert!((1.0..=100.0).contains(&figures["inside_250us_pct"].as_f64().unwrap()), "{figures}");
}
