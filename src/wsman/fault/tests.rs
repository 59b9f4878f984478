//! Faults as clients read them: the recorded samples in code and shape, and every kind by our own reader.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::wsman::{AnswerFacts, EnvelopeError, Limits, inspect_answer};

const MESSAGE: &str = "uuid:E9802257-6A7D-4C0D-BFA4-E81C7B1C447E";

fn related() -> MessageId {
    MESSAGE.parse().unwrap()
}

fn read(xml: &str) -> AnswerFacts {
    inspect_answer(xml.as_bytes(), &Limits::default()).unwrap()
}

/// The recorded sample that each of these kinds must look like.
const SAMPLES: [(FaultKind, &str); 15] = [
    (FaultKind::AccessDenied, include_str!("../../../tests/corpus/faults/access-denied.xml")),
    (FaultKind::ActionNotSupported, include_str!("../../../tests/corpus/faults/action-not-supported.xml")),
    (FaultKind::CharacterSet, include_str!("../../../tests/corpus/faults/charset.xml")),
    (
        FaultKind::DestinationUnreachable,
        include_str!("../../../tests/corpus/faults/destination-unreachable.xml"),
    ),
    (FaultKind::EndpointUnavailable, include_str!("../../../tests/corpus/faults/endpoint-unavailable.xml")),
    (FaultKind::ServiceEnvelopeLimit, include_str!("../../../tests/corpus/faults/envelope-too-large.xml")),
    (FaultKind::InvalidHeader, include_str!("../../../tests/corpus/faults/header-invalid.xml")),
    (FaultKind::HeaderRequired, include_str!("../../../tests/corpus/faults/header-required.xml")),
    (FaultKind::InternalError, include_str!("../../../tests/corpus/faults/internal-error.xml")),
    (FaultKind::InvalidSelectors, include_str!("../../../tests/corpus/faults/invalid-selectors.xml")),
    (FaultKind::MustUnderstand, include_str!("../../../tests/corpus/faults/must-understand.xml")),
    (FaultKind::QuotaMaxShells, include_str!("../../../tests/corpus/faults/quota-shells.xml")),
    (FaultKind::SchemaValidation, include_str!("../../../tests/corpus/faults/schema-validation.xml")),
    (FaultKind::OperationTimedOut, include_str!("../../../tests/corpus/faults/timed-out.xml")),
    (FaultKind::AddressingMode, include_str!("../../../tests/corpus/faults/unsupported-replyto.xml")),
];

/// What stands between two marks, the first time.
fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    text.split_once(start).unwrap().1.split_once(end).unwrap().0
}

#[test]
fn the_recorded_faults_are_written_again_byte_for_byte() {
    for (kind, sample) in SAMPLES {
        let text = between(sample, "<f:Message>", "</f:Message>");
        let id = between(sample, "<a:MessageID>", "</a:MessageID>");
        let machine = between(sample, "Machine=\"", "\"");
        let written = Fault::new(kind, text).from_machine(machine).to_xml(Some(&related()), id);
        assert_eq!(written, sample.trim_end(), "{kind:?}");
    }
}

#[test]
fn every_fault_is_read_by_our_own_reader_as_what_it_is() {
    for kind in FaultKind::ALL {
        let facts =
            read(&Fault::new(kind, "what happened (request 0123)").to_xml(Some(&related()), "uuid:1"));
        assert_eq!(facts.relates_to, Some(related()), "{kind:?}");
        let fault = facts.fault.unwrap();
        assert_eq!(fault.code, Some(kind.number()), "{kind:?}");
        assert_eq!(fault.subcode.as_deref(), kind.subcode(), "{kind:?}");
        assert_eq!(fault.text, "what happened (request 0123)", "{kind:?}");
        assert_eq!((facts.shell_id, facts.command_id, facts.exit_code), (None, None, None));
    }
}

#[test]
fn every_fault_has_a_number_and_subcode_of_its_own() {
    let mut seen = std::collections::HashSet::new();
    for kind in FaultKind::ALL {
        let row = kind.row();
        assert!(seen.insert((row.number, row.detail)), "{kind:?} cannot be told apart");
        assert!(matches!(row.code, "Sender" | "Receiver" | "MustUnderstand" | "VersionMismatch"));
    }
}

#[test]
fn a_fault_without_a_request_id_relates_to_nothing() {
    let facts = read(&Fault::new(FaultKind::InvalidXml, "no").to_xml(None, "uuid:1"));
    assert_eq!(facts.relates_to, None);
}

#[test]
fn clients_wait_for_ever_only_where_their_own_timeout_elapsed() {
    let numbers: Vec<u32> = FaultKind::ALL.into_iter().map(FaultKind::number).collect();
    assert_eq!(numbers.iter().filter(|number| **number == 2_150_858_793).count(), 1);
    // These the client makes itself; from a server they would mislead.
    for clients_own in [
        2_150_858_978,
        2_150_858_980,
        2_150_858_981,
        2_150_859_195,
        2_150_859_194,
        2_150_859_001,
        2_150_859_193,
    ] {
        assert!(!numbers.contains(&clients_own), "{clients_own}");
    }
}

#[test]
fn every_reason_to_refuse_an_envelope_has_its_fault() {
    for (error, number) in [
        (EnvelopeError::TooLarge { limit: 1 }, 2_150_858_825),
        (EnvelopeError::CharsetUnsupported, 2_150_858_828),
        (EnvelopeError::Doctype, 2_150_858_817),
        (EnvelopeError::OtherSoap, 2_150_858_765),
        (EnvelopeError::MissingHeader { header: "To" }, 2_150_858_769),
        (EnvelopeError::DuplicateHeader { header: "To" }, 2_150_858_767),
        (EnvelopeError::TimeoutTooLong, 2_150_858_767),
        (EnvelopeError::MustUnderstand, 2_150_858_768),
        (EnvelopeError::ReplyElsewhere, 2_150_858_870),
        (EnvelopeError::MaxEnvelopeSizeTooSmall, 2_150_858_823),
        (EnvelopeError::InvalidResourceUri, 2_150_858_811),
        (EnvelopeError::ActionCase, 2_150_858_771),
        (EnvelopeError::UnsupportedCompression, 2_150_858_818),
        (EnvelopeError::ShellIdsDisagree, 2_150_858_843),
    ] {
        assert_eq!(error.fault().number(), number, "{error}");
    }
}

#[test]
fn threat_61_no_text_forges_markup_or_acts_on_a_terminal() {
    let hostile = "</s:Text><a/>&<![CDATA[\"'\u{0}\u{1b}[2J\r\n\u{202e}\u{feff}\u{ffff}";
    let xml = Fault::new(FaultKind::AccessDenied, hostile).from_machine(hostile).to_xml(None, hostile);
    assert!(!xml.chars().any(|c| c.is_control() || acts_on_a_terminal(c)), "{xml}");
    let fault = read(&xml).fault.unwrap();
    assert_eq!(fault.text, "</s:Text><a/>&<![CDATA[\"'??[2J  ???");
    assert_eq!(fault.code, Some(5));
}

#[test]
fn a_text_of_any_length_is_cut() {
    let mut long = String::new();
    for number in 0..10_000 {
        let _ = write!(long, "{number}&");
    }
    let xml =
        Fault::new(FaultKind::InternalError, long.clone()).from_machine(long.clone()).to_xml(None, &long);
    assert!(xml.len() < 20_000, "{}", xml.len());
    read(&xml);
}

proptest! {
    #[test]
    fn any_text_leaves_a_fault_that_is_read_as_it_was_meant(
        text in any::<String>(), machine in any::<String>(), id in any::<String>(), kind in 0..FaultKind::ALL.len()
    ) {
        let kind = FaultKind::ALL[kind];
        let facts = read(&Fault::new(kind, text).from_machine(machine).to_xml(Some(&related()), &id));
        prop_assert_eq!(facts.relates_to, Some(related()));
        prop_assert_eq!(facts.fault.unwrap().code, Some(kind.number()));
    }
}
