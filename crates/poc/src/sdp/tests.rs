use proptest::prelude::*;

use super::*;

const ORIGIN: Origin = Origin { id: 7, version: 1 };
const PEER: &str = "192.0.2.10";

fn ours() -> Capabilities {
    Capabilities::amr("198.51.100.1".parse().unwrap(), 4000, 4002)
}

/// The description of the example INVITE, with `media` as its lines of media.
fn description(media: &str) -> String {
    let session = "v=0\no=anna 1 1 IN IP4 192.0.2.10\ns=-\nc=IN IP4 192.0.2.10\nt=0 0\n";
    format!("{session}{media}").replace('\n', "\r\n")
}

const SPEECH: &str = "m=audio 45200 RTP/AVP 97
a=rtpmap:97 AMR/8000
a=fmtp:97 octet-align=1
a=ptime:200
a=+g.poc.talkburst
";

const CONTROL: &str = "m=application 25463 udp TBCP
a=fmtp:TBCP queuing=1; tb_priority=2; timestamp=0
";

fn example() -> String {
    description(&format!("{SPEECH}{CONTROL}"))
}

fn answered(offer: &str) -> (String, Media) {
    let (text, media) = answer(&ours(), ORIGIN, offer.as_bytes()).unwrap();
    (String::from_utf8(text.to_vec()).unwrap(), media)
}

fn refused(offer: &str) -> SdpError {
    answer(&ours(), ORIGIN, offer.as_bytes()).unwrap_err()
}

/// The `m=` lines of a description.
fn media_lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("m=")).collect()
}

mod offering {
    use super::*;

    #[test]
    fn the_offer_is_written_exactly() {
        let capabilities = Capabilities::amr(PEER.parse().unwrap(), 45200, 25463);
        let expected = "v=0
o=- 7 1 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
m=audio 45200 RTP/AVP 97
a=rtpmap:97 AMR/8000
a=fmtp:97 octet-align=1
a=ptime:200
a=+g.poc.talkburst
m=application 25463 udp TBCP
a=fmtp:TBCP queuing=1; tb_priority=2; timestamp=0; tb_granted=0; poc_sess_priority=0; poc_lock=0
";
        assert_eq!(offer(&capabilities, ORIGIN), expected.replace('\n', "\r\n"));
    }

    #[test]
    fn codecs_are_offered_in_order_of_preference() {
        let mut capabilities = ours();
        let stereo = Codec {
            payload: 98,
            name: "L16".to_owned(),
            clock: 44100,
            channels: 2,
            parameters: String::new(),
        };
        capabilities.codecs.insert(0, stereo);
        let text = String::from_utf8(offer(&capabilities, ORIGIN).to_vec()).unwrap();
        assert!(
            text.contains(
                "m=audio 4000 RTP/AVP 98 97\r\na=rtpmap:98 L16/44100/2\r\na=rtpmap:97 AMR/8000\r\n"
            )
        );
    }

    #[test]
    fn an_ipv6_address_is_offered_as_such() {
        let capabilities = Capabilities::amr("2001:db8::1".parse().unwrap(), 4000, 4002);
        let text = String::from_utf8(offer(&capabilities, ORIGIN).to_vec()).unwrap();
        assert!(text.contains("o=- 7 1 IN IP6 2001:db8::1\r\n"));
        assert!(text.contains("c=IN IP6 2001:db8::1\r\n"));
    }

    #[test]
    fn without_a_control_port_no_control_is_offered() {
        let capabilities = Capabilities { control_port: 0, ..ours() };
        let text = String::from_utf8(offer(&capabilities, ORIGIN).to_vec()).unwrap();
        assert_eq!(media_lines(&text), ["m=audio 4000 RTP/AVP 97"]);
    }

    #[test]
    fn a_ptime_of_zero_is_not_offered() {
        let text = offer(&Capabilities { ptime: Some(0), ..ours() }, ORIGIN);
        assert!(!String::from_utf8(text.to_vec()).unwrap().contains("ptime"));
    }
}

mod answering {
    use super::*;

    #[test]
    fn the_example_offer_is_understood() {
        let media = answered(&example()).1;
        let expected = Media {
            audio: "192.0.2.10:45200".parse().unwrap(),
            rtcp: "192.0.2.10:45201".parse().unwrap(),
            codec: ours().codecs[0].clone(),
            ptime: Some(200),
            direction: Direction::SendRecv,
            control: Some("192.0.2.10:25463".parse().unwrap()),
            talk_burst: ours().talk_burst,
        };
        assert_eq!(media, expected);
    }

    #[test]
    fn the_answer_to_the_example_is_written_exactly() {
        let expected = "v=0
o=- 7 1 IN IP4 198.51.100.1
s=-
c=IN IP4 198.51.100.1
t=0 0
m=audio 4000 RTP/AVP 97
a=rtpmap:97 AMR/8000
a=fmtp:97 octet-align=1
a=ptime:200
a=+g.poc.talkburst
m=application 4002 udp TBCP
a=fmtp:TBCP queuing=1; tb_priority=2; timestamp=0; tb_granted=0; poc_sess_priority=0; poc_lock=0
";
        assert_eq!(answered(&example()).0, expected.replace('\n', "\r\n"));
    }

    #[test]
    fn the_attested_lines_of_a_handset_are_understood() {
        let offer = description(
            "m=audio 45200 RTP/AVP 97
a=rtpmap:97 amr/8000/1
a=fmtp:97 mode-set=1;octet-align=1;crc=0
a=ptime:200
a=maxptime:200
a=+g.poc.talkburst
m=application 25463 udp TBCP
a=fmtp:TBCP queuing=0; tb_priority=1; timestamp=0; tb_granted=0; poc_sess_priority=0; poc_lock=0
",
        );
        let (text, media) = answered(&offer);
        assert!(text.contains("a=fmtp:97 mode-set=1; octet-align=1; crc=0\r\n"));
        assert_eq!(media.codec.name, "AMR");
        assert_eq!(media.talk_burst, TalkBurst { tb_priority: 1, ..TalkBurst::default() });
    }

    #[test]
    fn lines_may_end_with_a_line_feed_alone() {
        assert_eq!(answered(&example().replace('\r', "")).1, answered(&example()).1);
    }

    #[test]
    fn lines_that_are_not_understood_are_refused_with_port_0_in_their_order() {
        let offer = description(&format!(
            "m=video 51372/2 RTP/AVP 31 34\n{CONTROL}m=application 5004 udp MBCP\n{SPEECH}m=audio 5 RTP/AVP 0\n{CONTROL}"
        ));
        let expected = [
            "m=video 0 RTP/AVP 31 34",
            "m=application 4002 udp TBCP",
            "m=application 0 udp MBCP",
            "m=audio 4000 RTP/AVP 97",
            "m=audio 0 RTP/AVP 0",
            "m=application 0 udp TBCP",
        ];
        assert_eq!(media_lines(&answered(&offer).0), expected);
    }

    #[test]
    fn a_refused_line_has_no_attributes() {
        let offer =
            description(&format!("{SPEECH}{CONTROL}m=video 51372 RTP/AVP 31\na=rtpmap:31 H261/90000\n"));
        assert!(answered(&offer).0.ends_with("m=video 0 RTP/AVP 31\r\n"));
    }

    #[test]
    fn secure_speech_is_not_speech_that_we_have() {
        let secure = SPEECH.replace("RTP/AVP", "RTP/SAVP");
        assert_eq!(refused(&description(&format!("{secure}{CONTROL}"))), SdpError::NoAudio);
    }

    #[test]
    fn the_first_usable_line_of_speech_is_taken() {
        let offer = description(&format!("m=audio 0 RTP/AVP 97\nm=audio 9000 RTP/AVP 18\n{SPEECH}{CONTROL}"));
        let (text, media) = answered(&offer);
        assert_eq!(media.audio.port(), 45200);
        assert_eq!(
            &media_lines(&text)[..3],
            ["m=audio 0 RTP/AVP 97", "m=audio 0 RTP/AVP 18", "m=audio 4000 RTP/AVP 97"]
        );
    }

    #[test]
    fn the_times_are_those_of_the_offer() {
        let offer = example().replace("t=0 0", "t=2873397496 2873404696\r\nr=7d 1h 0");
        assert!(answered(&offer).0.contains("\r\nt=2873397496 2873404696\r\nm=audio"));
    }

    #[test]
    fn our_own_address_and_origin_are_answered_and_never_the_peers() {
        let text = answered(&example()).0;
        assert!(!text.contains(PEER));
        assert!(text.contains("o=- 7 1 IN IP4 198.51.100.1\r\n"));
    }

    #[test]
    fn the_offers_payload_number_is_answered() {
        let (text, media) = answered(&example().replace("97", "106"));
        assert!(
            text.contains(
                "m=audio 4000 RTP/AVP 106\r\na=rtpmap:106 AMR/8000\r\na=fmtp:106 octet-align=1\r\n"
            )
        );
        assert_eq!(media.codec.payload, 106);
    }

    fn with_pcm() -> Capabilities {
        let mut capabilities = ours();
        let pcm = |payload, name: &str| Codec {
            payload,
            name: name.to_owned(),
            clock: 8000,
            channels: 1,
            parameters: String::new(),
        };
        capabilities.codecs.extend([pcm(8, "PCMA"), pcm(0, "PCMU")]);
        capabilities
    }

    fn codec_taken(offer: &str) -> Codec {
        answer(&with_pcm(), ORIGIN, offer.as_bytes()).unwrap().1.codec
    }

    #[test]
    fn the_first_codec_of_the_offer_that_we_have_is_taken() {
        let offer = example().replace("RTP/AVP 97", "RTP/AVP 18 0 97 8");
        assert_eq!(codec_taken(&offer), with_pcm().codecs[2]);
    }

    #[test]
    fn a_static_payload_type_needs_no_rtpmap_and_is_answered_with_one() {
        let offer = example().replace("RTP/AVP 97", "RTP/AVP 8");
        let (text, media) = answer(&with_pcm(), ORIGIN, offer.as_bytes()).unwrap();
        assert_eq!(media.codec.name, "PCMA");
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.contains("m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"));
    }

    #[test]
    fn an_rtpmap_counts_more_than_the_static_payload_type() {
        let offer = example().replace("97", "0");
        assert_eq!(codec_taken(&offer).name, "AMR");
    }

    #[test]
    fn of_two_alignments_the_one_that_we_have_is_taken() {
        let offer = example()
            .replace("RTP/AVP 97", "RTP/AVP 96 97")
            .replace("a=ptime", "a=rtpmap:96 AMR/8000\r\na=ptime");
        assert_eq!(answered(&offer).1.codec.payload, 97);
    }

    #[test]
    fn a_format_that_is_no_payload_number_is_passed_over() {
        let offer = example().replace("RTP/AVP 97", "RTP/AVP x 128 999 -1 97 97");
        assert_eq!(answered(&offer).1.codec.payload, 97);
    }

    #[test]
    fn a_wider_offer_does_not_widen_the_answer_and_neither_do_we() {
        let wide = "queuing=1; tb_priority=3; timestamp=1; tb_granted=1; poc_sess_priority=1; poc_lock=1";
        let offer = example().replace("queuing=1; tb_priority=2; timestamp=0", wide);
        assert_eq!(answered(&offer).1.talk_burst, ours().talk_burst);

        let capabilities = Capabilities { talk_burst: TalkBurst::parse(wide), ..ours() };
        let (text, media) = answer(&capabilities, ORIGIN, example().as_bytes()).unwrap();
        assert_eq!(media.talk_burst, ours().talk_burst);
        let agreed = "a=fmtp:TBCP queuing=1; tb_priority=2; timestamp=0; tb_granted=0; ";
        assert!(String::from_utf8(text.to_vec()).unwrap().contains(agreed));
    }

    #[test]
    fn without_parameters_of_control_nothing_is_agreed_but_control() {
        let offer = description(&format!("{SPEECH}m=application 25463 udp TBCP\n"));
        let media = answered(&offer).1;
        assert!(media.control.is_some());
        assert_eq!(media.talk_burst, TalkBurst::default());
    }

    #[test]
    fn the_early_spelling_of_the_priority_is_accepted_and_not_answered() {
        let (text, media) = answered(&example().replace("tb_priority=2", "priority=1"));
        assert_eq!(media.talk_burst.tb_priority, 1);
        assert!(text.contains("; tb_priority=1;"));
        assert!(!text.contains(" priority="));
    }

    #[test]
    fn the_peers_ptime_is_sent_and_ours_is_answered() {
        let (text, media) = answered(&example().replace("ptime:200", "ptime:160"));
        assert_eq!(media.ptime, Some(160));
        assert!(text.contains("a=ptime:200\r\n"));
    }

    #[test]
    fn without_a_readable_ptime_ours_is_sent() {
        for written in ["a=x:1", "a=ptime", "a=ptime:", "a=ptime:0", "a=ptime:-20", "a=ptime:70000"] {
            assert_eq!(answered(&example().replace("a=ptime:200", written)).1.ptime, Some(200), "{written}");
        }
    }

    #[test]
    fn the_peers_maxptime_is_not_exceeded() {
        assert_eq!(answered(&example().replace("ptime:200", "maxptime:80")).1.ptime, Some(80));
    }

    #[test]
    fn rtcp_goes_where_the_peer_says() {
        let rtcp = |line: &str| {
            let offer = example().replace("a=ptime", &format!("{line}\r\na=ptime"));
            answered(&offer).1.rtcp.to_string()
        };
        assert_eq!(rtcp("a=rtcp:45300"), "192.0.2.10:45300");
        assert_eq!(rtcp("a=rtcp:45300 IN IP4 192.0.2.11"), "192.0.2.11:45300");
        assert_eq!(rtcp("a=rtcp:0"), "192.0.2.10:45201");
        assert_eq!(rtcp("a=rtcp:45300 IN IP4 224.0.0.1"), "192.0.2.10:45201");
        assert_eq!(rtcp("a=rtcp:x"), "192.0.2.10:45201");
        assert_eq!(rtcp("a=rtcp"), "192.0.2.10:45201");
    }

    #[test]
    fn a_connection_of_the_line_counts_more_than_that_of_the_session() {
        let offer = example().replace("a=rtpmap", "c=IN IP4 192.0.2.20\r\na=rtpmap");
        let media = answered(&offer).1;
        assert_eq!(media.audio.to_string(), "192.0.2.20:45200");
        assert_eq!(media.control.unwrap().to_string(), "192.0.2.10:25463");
    }

    #[test]
    fn connections_of_the_lines_alone_are_enough() {
        let offer = example()
            .replace("c=IN IP4 192.0.2.10\r\n", "")
            .replace("a=rtpmap", "c=IN IP4 192.0.2.20\r\na=rtpmap")
            .replace("a=fmtp:TBCP", "c=IN IP4 192.0.2.21\r\na=fmtp:TBCP");
        let media = answered(&offer).1;
        assert_eq!(media.audio.to_string(), "192.0.2.20:45200");
        assert_eq!(media.control.unwrap().to_string(), "192.0.2.21:25463");
    }

    #[test]
    fn an_ipv6_peer_is_understood() {
        let offer = example().replace("IP4 192.0.2.10", "IP6 2001:db8::10");
        let capabilities = Capabilities { address: "2001:db8::1".parse().unwrap(), ..ours() };
        let (text, media) = answer(&capabilities, ORIGIN, offer.as_bytes()).unwrap();
        assert_eq!(media.audio.to_string(), "[2001:db8::10]:45200");
        assert_eq!(media.rtcp.to_string(), "[2001:db8::10]:45201");
        assert_eq!(media.control.unwrap().to_string(), "[2001:db8::10]:25463");
        assert!(String::from_utf8(text.to_vec()).unwrap().contains("c=IN IP6 2001:db8::1\r\n"));
    }

    #[test]
    fn the_protocol_is_read_in_any_case_and_answered_as_offered() {
        let (text, media) = answered(&example().replace("udp TBCP", "UDP tbcp"));
        assert!(media.control.is_some());
        assert!(text.contains("m=application 4002 UDP TBCP\r\n"));
    }
}

mod holding {
    use super::*;

    fn direction(offer: &str) -> (Direction, Option<String>) {
        let (text, media) = answered(offer);
        let written = Direction::ALL.map(|direction| format!("a={direction}"));
        let line = text.lines().find(|line| written.iter().any(|written| written == line));
        (media.direction, line.map(str::to_owned))
    }

    fn marked(attribute: &str) -> (Direction, Option<String>) {
        direction(&example().replace("a=ptime", &format!("a={attribute}\r\na=ptime")))
    }

    #[test]
    fn without_a_direction_speech_flows_both_ways() {
        assert_eq!(direction(&example()), (Direction::SendRecv, None));
        assert_eq!(marked("sendrecv"), (Direction::SendRecv, None));
    }

    #[test]
    fn an_offer_to_send_is_answered_with_receiving() {
        assert_eq!(marked("sendonly"), (Direction::RecvOnly, Some("a=recvonly".to_owned())));
    }

    #[test]
    fn an_offer_to_receive_is_answered_with_sending() {
        assert_eq!(marked("recvonly"), (Direction::SendOnly, Some("a=sendonly".to_owned())));
    }

    #[test]
    fn inactive_stays_inactive() {
        assert_eq!(marked("inactive"), (Direction::Inactive, Some("a=inactive".to_owned())));
    }

    #[test]
    fn a_direction_of_the_session_holds_unless_the_line_has_its_own() {
        let held = |offer: String| offer.replace("t=0 0", "t=0 0\r\na=sendonly");
        assert_eq!(direction(&held(example())).0, Direction::RecvOnly);
        assert_eq!(
            direction(&held(example().replace("a=ptime", "a=sendrecv\r\na=ptime"))).0,
            Direction::SendRecv
        );
    }

    #[test]
    fn the_unspecified_address_is_inactive_and_nothing_is_sent_there() {
        for unspecified in ["IP4 0.0.0.0", "IP6 ::"] {
            let offer = example().replace("c=IN IP4 192.0.2.10", &format!("c=IN {unspecified}"));
            assert_eq!(direction(&offer), (Direction::Inactive, Some("a=inactive".to_owned())));
            let (text, media) = answered(&offer);
            assert_eq!(media.control, None);
            assert_eq!(media_lines(&text), ["m=audio 4000 RTP/AVP 97", "m=application 4002 udp TBCP"]);
        }
    }

    #[test]
    fn speech_alone_can_be_held_with_the_unspecified_address() {
        let media = answered(&example().replace("a=rtpmap", "c=IN IP4 0.0.0.0\r\na=rtpmap")).1;
        assert_eq!(media.direction, Direction::Inactive);
        assert!(media.control.is_some());
    }
}

mod refusing {
    use super::*;

    #[test]
    fn each_cause_is_a_lower_case_fragment() {
        let causes =
            [SdpError::Syntax, SdpError::Address, SdpError::NoAudio, SdpError::NoCodec, SdpError::NoControl];
        for cause in causes {
            assert!(cause.to_string().chars().all(|c| c.is_ascii_lowercase() || c == ' '), "{cause}");
        }
    }

    #[test]
    fn what_is_not_a_description_is_refused() {
        assert_eq!(refused(""), SdpError::Syntax);
        assert_eq!(refused("hello"), SdpError::Syntax);
        assert_eq!(refused(&example().replace("v=0", "v=1")), SdpError::Syntax);
        assert_eq!(refused(&example().replace("45200", "70000")), SdpError::Syntax);
        assert_eq!(accept(&ours(), b"m=audio"), Err(SdpError::Syntax));
    }

    #[test]
    fn more_than_64_lines_of_media_are_refused() {
        let offer =
            |more| description(&format!("{SPEECH}{CONTROL}{}", "m=video 1 RTP/AVP 31\n".repeat(more)));
        assert_eq!(media_lines(&answered(&offer(62)).0).len(), 64);
        assert_eq!(refused(&offer(63)), SdpError::Syntax);
    }

    #[test]
    fn an_offer_without_an_address_that_we_can_send_to_is_refused() {
        let connection = |line: &str| refused(&example().replace("c=IN IP4 192.0.2.10\r\n", line));
        for line in [
            "",
            "c=IN IP4 phone.example\r\n",
            "c=IN IP4 224.2.1.1/127\r\n",
            "c=IN IP4 255.255.255.255\r\n",
            "c=IN IP6 192.0.2.10\r\n",
            "c=IN IP4 2001:db8::10\r\n",
            "c=ATM NSAP 47\r\n",
            "c=ATM IP4 192.0.2.10\r\n",
        ] {
            assert_eq!(connection(line), SdpError::Address, "{line}");
        }
    }

    #[test]
    fn a_peer_of_the_other_family_is_refused() {
        assert_eq!(refused(&example().replace("IP4 192.0.2.10", "IP6 2001:db8::10")), SdpError::Address);
    }

    #[test]
    fn control_without_an_address_that_we_can_send_to_is_refused() {
        let offer = example().replace("a=fmtp:TBCP", "c=IN IP4 phone.example\r\na=fmtp:TBCP");
        assert_eq!(refused(&offer), SdpError::Address);
    }

    #[test]
    fn the_last_port_needs_an_explicit_rtcp() {
        let offer = example().replace("45200", "65535");
        assert_eq!(refused(&offer), SdpError::Address);
        let media = answered(&offer.replace("a=ptime", "a=rtcp:9\r\na=ptime")).1;
        assert_eq!((media.audio.port(), media.rtcp.port()), (65535, 9));
    }

    #[test]
    fn an_offer_without_speech_is_refused() {
        assert_eq!(refused(&description(CONTROL)), SdpError::NoAudio);
        assert_eq!(refused(&description("")), SdpError::NoAudio);
        assert_eq!(refused(&example().replace("45200", "0")), SdpError::NoAudio);
    }

    #[test]
    fn without_a_port_for_speech_of_our_own_every_offer_is_refused() {
        let capabilities = Capabilities { audio_port: 0, ..ours() };
        assert_eq!(answer(&capabilities, ORIGIN, example().as_bytes()), Err(SdpError::NoAudio));
    }

    #[test]
    fn an_offer_without_a_common_codec_is_refused() {
        assert_eq!(refused(&example().replace("AMR", "EVRC")), SdpError::NoCodec);
        assert_eq!(refused(&example().replace("AMR/8000", "AMR/16000")), SdpError::NoCodec);
        assert_eq!(refused(&example().replace("octet-align=1", "octet-align=0")), SdpError::NoCodec);
        assert_eq!(refused(&example().replace("a=fmtp:97 octet-align=1\r\n", "")), SdpError::NoCodec);
        assert_eq!(refused(&example().replace("a=rtpmap:97 AMR/8000\r\n", "")), SdpError::NoCodec);
    }

    #[test]
    fn an_offer_without_control_is_refused_where_we_require_it() {
        assert_eq!(refused(&description(SPEECH)), SdpError::NoControl);
        assert_eq!(refused(&example().replace("25463", "0")), SdpError::NoControl);
        assert_eq!(refused(&example().replace("udp TBCP", "udp MBCP")), SdpError::NoControl);
        assert_eq!(refused(&example().replace("udp TBCP", "tcp TBCP")), SdpError::NoControl);
        let capabilities = Capabilities { control_port: 0, ..ours() };
        assert_eq!(answer(&capabilities, ORIGIN, example().as_bytes()), Err(SdpError::NoControl));
    }

    #[test]
    fn without_control_speech_alone_is_agreed_where_we_do_not_require_it() {
        let capabilities = Capabilities { control_required: false, ..ours() };
        let (text, media) =
            answer(&capabilities, ORIGIN, example().replace("25463", "0").as_bytes()).unwrap();
        assert_eq!((media.control, media.talk_burst), (None, TalkBurst::default()));
        assert!(text.ends_with(b"m=application 0 udp TBCP\r\n"));
    }
}

mod accepting {
    use super::*;

    #[test]
    fn the_answer_to_our_offer_is_understood() {
        let media = accept(&ours(), example().as_bytes()).unwrap();
        assert_eq!(media, answered(&example()).1);
    }

    #[test]
    fn a_codec_that_we_do_not_have_is_refused() {
        assert_eq!(accept(&ours(), example().replace("AMR", "EVRC").as_bytes()), Err(SdpError::NoCodec));
    }

    #[test]
    fn the_answers_payload_number_is_sent_with() {
        let media = accept(&ours(), example().replace("97", "106").as_bytes()).unwrap();
        assert_eq!(media.codec.payload, 106);
    }

    #[test]
    fn refused_speech_is_no_speech() {
        assert_eq!(accept(&ours(), example().replace("45200", "0").as_bytes()), Err(SdpError::NoAudio));
    }

    #[test]
    fn refused_or_missing_control_is_a_fault_where_we_require_it() {
        for answer in [example().replace("25463", "0"), description(SPEECH)] {
            assert_eq!(accept(&ours(), answer.as_bytes()), Err(SdpError::NoControl));
            let capabilities = Capabilities { control_required: false, ..ours() };
            assert_eq!(accept(&capabilities, answer.as_bytes()).unwrap().control, None);
        }
    }

    #[test]
    fn an_answer_that_widens_our_offer_is_held_to_it() {
        let wide =
            example().replace("tb_priority=2; timestamp=0", "tb_priority=3; timestamp=1; tb_granted=1");
        assert_eq!(accept(&ours(), wide.as_bytes()).unwrap().talk_burst, ours().talk_burst);
    }

    #[test]
    fn the_grant_in_an_answer_is_seen_if_we_offered_it() {
        let mut capabilities = ours();
        capabilities.talk_burst.tb_granted = true;
        let granted = example().replace("timestamp=0", "timestamp=0; tb_granted=1");
        assert!(accept(&capabilities, granted.as_bytes()).unwrap().talk_burst.tb_granted);
        assert!(!accept(&capabilities, example().as_bytes()).unwrap().talk_burst.tb_granted);
    }

    #[test]
    fn a_peer_that_only_receives_is_only_sent_to() {
        let answer = example().replace("a=ptime", "a=recvonly\r\na=ptime");
        assert_eq!(accept(&ours(), answer.as_bytes()).unwrap().direction, Direction::SendOnly);
    }

    #[test]
    fn an_answer_without_parameters_of_control_is_understood() {
        let answer = description(&format!("{SPEECH}m=application 25463 udp TBCP\n"));
        let media = accept(&ours(), answer.as_bytes()).unwrap();
        assert_eq!((media.control.is_some(), media.talk_burst), (true, TalkBurst::default()));
    }
}

mod any {
    use super::*;

    fn talk_burst() -> impl Strategy<Value = TalkBurst> {
        any::<([bool; 5], u8)>().prop_map(
            |([queuing, timestamp, tb_granted, poc_sess_priority, poc_lock], p)| TalkBurst {
                queuing,
                tb_priority: p % 4,
                timestamp,
                tb_granted,
                poc_sess_priority,
                poc_lock,
            },
        )
    }

    fn codec() -> impl Strategy<Value = Codec> {
        let kind = prop::sample::select(vec![
            ("AMR", 8000, "octet-align=1"),
            ("amr", 8000, "octet-align=1; mode-set=0,1,2"),
            ("AMR", 8000, "mode-set=1;octet-align=1;crc=0"),
            ("AMR", 8000, ""),
            ("AMR-WB", 16000, "octet-align=1; max-red=0"),
            ("EVRC", 8000, ""),
            ("evrc", 8000, "dtxmax=32"),
            ("PCMU", 8000, ""),
        ]);
        (kind, 96..128_u8, 1..3_u8).prop_map(|((name, clock, parameters), payload, channels)| Codec {
            payload,
            name: name.to_owned(),
            clock,
            channels,
            parameters: parameters.to_owned(),
        })
    }

    fn capabilities() -> impl Strategy<Value = Capabilities> {
        let address = prop::sample::select(vec!["192.0.2.1", "198.51.100.7", "2001:db8::1"]);
        let port = prop_oneof![6 => 1..65535_u16, 1 => Just(0), 1 => Just(65535)];
        // A payload number stands for one codec in a list.
        let codecs = prop::collection::btree_map(96..128_u8, codec(), 0..5).prop_map(|codecs| {
            codecs.into_iter().map(|(payload, codec)| Codec { payload, ..codec }).collect()
        });
        let ptime = prop::option::of(0..500_u16);
        (address, port.clone(), port, codecs, ptime, talk_burst(), any::<bool>()).prop_map(
            |(address, audio_port, control_port, codecs, ptime, talk_burst, control_required)| Capabilities {
                address: address.parse().unwrap(),
                audio_port,
                control_port,
                codecs,
                ptime,
                talk_burst,
                control_required,
            },
        )
    }

    /// Bytes that look enough like SDP to get far.
    fn soup() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            8 => prop::sample::select(vec![
                "o=- 1 1 IN IP4 1.2.3.4", "s=-", "t=0 0", "c=IN IP4 1.2.3.4", "c=IN IP4 0.0.0.0", "c=IN IP6 ::1",
                "c=IN IP4 1.2.3.4/999/x", "m=audio 65535 RTP/AVP 97 0 8 x", "m=audio 1 RTP/AVP ", "m=audio 1/2 RTP/AVP 97",
                "m=application 1 udp TBCP", "a=rtpmap:97 AMR/8000", "a=rtpmap:97", "a=rtpmap:", "a=rtpmap:97 /8000/255/",
                "a=fmtp:97 octet-align=1", "a=fmtp:97 ", "a=fmtp:97 mode-set=,;=;crc", "a=fmtp:TBCP priority=9",
                "a=fmtp:TBCP", "a=rtcp:65535 IN IP4 1.2.3.4", "a=rtcp:1 IN", "a=ptime:65535", "a=maxptime:1", "a=inactive",
                "r=7d 1h 0", "z=0 -1h", "k=clear:1", "b=AS:1", "m= 0  ", "a=:", "a=",
            ]).prop_map(|line| line.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..20),
        ];
        prop::collection::vec(line, 0..20).prop_map(|lines| {
            lines.into_iter().fold(b"v=0\r\n".to_vec(), |text, line| [text, line, b"\r\n".to_vec()].concat())
        })
    }

    /// Whatever is answered is itself a description with the lines of the offer, and names what was agreed.
    fn holds(capabilities: &Capabilities, bytes: &[u8]) {
        let _ = accept(capabilities, bytes);
        let Ok((text, media)) = answer(capabilities, ORIGIN, bytes) else { return };
        let (offered, answered) = (read::parse(bytes).unwrap(), read::parse(&text).unwrap());
        assert_eq!(offered.medias.len(), answered.medias.len());
        for (offered, answered) in offered.medias.iter().zip(&answered.medias) {
            assert!(offered.media.eq_ignore_ascii_case(&answered.media));
            assert!(offered.port != 0 || answered.port == 0);
        }
        assert_eq!(answered.medias.iter().filter(|line| line.media == "audio" && line.port != 0).count(), 1);
        assert!(capabilities.codecs.iter().any(|codec| codec.name == media.codec.name));
        assert!(media.talk_burst.tb_priority <= capabilities.talk_burst.tb_priority);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn two_sides_agree_on_the_same_or_fail_with_a_cause(a in capabilities(), b in capabilities()) {
            let Ok((text, called)) = answer(&b, ORIGIN, &offer(&a, ORIGIN)) else { return Ok(()) };
            match accept(&a, &text) {
                Ok(calling) => {
                    prop_assert!(calling.codec.name.eq_ignore_ascii_case(&called.codec.name));
                    prop_assert_eq!(&calling.codec, &Codec { name: calling.codec.name.clone(), ..called.codec });
                    prop_assert_eq!(calling.talk_burst, called.talk_burst);
                    prop_assert_eq!(calling.direction, called.direction.reversed());
                    prop_assert_eq!(called.audio.port(), a.audio_port);
                    prop_assert_eq!(calling.audio.port(), b.audio_port);
                    prop_assert_eq!(calling.talk_burst, a.talk_burst.agreed_with(if text_has_control(&text) {
                        b.talk_burst
                    } else {
                        TalkBurst::default()
                    }));
                }
                Err(SdpError::NoControl) => {
                    prop_assert!(a.control_required && (b.control_port == 0 || a.control_port == 0));
                }
                Err(SdpError::Address) => {
                    let mixed = a.address.is_ipv4() != b.address.is_ipv4();
                    prop_assert!(b.audio_port == 65535 || mixed);
                }
                Err(error) => prop_assert!(false, "{}", error),
            }
        }

        #[test]
        fn whoever_has_the_same_codec_in_the_same_family_agrees(mut a in capabilities(), mut b in capabilities()) {
            for capabilities in [&mut a, &mut b] {
                let Capabilities { address, audio_port, control_port, codecs, .. } = ours();
                *capabilities = Capabilities { address, audio_port, control_port, codecs, ..capabilities.clone() };
            }
            let (text, called) = answer(&b, ORIGIN, &offer(&a, ORIGIN)).unwrap();
            let calling = accept(&a, &text).unwrap();
            prop_assert_eq!(&calling.codec, &called.codec);
            prop_assert_eq!(calling.talk_burst, a.talk_burst.agreed_with(b.talk_burst));
            prop_assert_eq!(called.talk_burst, calling.talk_burst);
        }

        #[test]
        fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            holds(&ours(), &bytes);
        }

        #[test]
        fn half_right_lines_never_panic(bytes in soup(), capabilities in capabilities()) {
            holds(&capabilities, &bytes);
        }

        #[test]
        fn a_damaged_offer_never_panics(
            a in capabilities(),
            b in capabilities(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = offer(&a, ORIGIN).to_vec();
            for (index, byte) in damage {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            holds(&b, &bytes);
            bytes.truncate(cut.index(bytes.len()));
            holds(&b, &bytes);
        }

        #[test]
        fn a_flipped_bit_in_the_example_never_panics(index in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut bytes = example().into_bytes();
            let index = index.index(bytes.len());
            bytes[index] ^= 1 << bit;
            holds(&ours(), &bytes);
        }
    }

    fn text_has_control(text: &[u8]) -> bool {
        let answered = read::parse(text).unwrap();
        answered.medias.iter().any(|line| line.media == "application" && line.port != 0)
    }
}
