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
