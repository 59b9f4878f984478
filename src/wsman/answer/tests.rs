//! What is taken from a host's answer, and what is left where it stands.

use proptest::prelude::*;

use super::*;

const CREATED: &str = include_str!("../../../tests/corpus/soap/soap-cmd-pypsrp/01-Create.response.xml");
const STARTED: &str = include_str!("../../../tests/corpus/soap/soap-cmd-pypsrp/02-Command.response.xml");
const DONE: &str = include_str!("../../../tests/corpus/soap/soap-cmd-pypsrp/06-Receive.response.xml");
const TIMED_OUT: &str =
    include_str!("../../../tests/corpus/soap/soap-cmd-pypsrp/04-Receive.fault-http500.xml");

const SHELL: &str = "F04DF3D0-4BF2-4ECE-92A1-688F0F14C144";
const COMMAND: &str = "1D3E4B50-D109-49DF-8923-8FD081967F8A";

fn read(text: &str) -> Result<AnswerFacts, EnvelopeError> {
    inspect_answer(text.as_bytes(), &Limits::default())
}

fn facts(text: &str) -> AnswerFacts {
    read(text).unwrap()
}

fn changed(base: &str, from: &str, to: &str) -> String {
    let changed = base.replace(from, to);
    assert_ne!(changed, base, "{from:?} is not in the answer");
    changed
}

/// An answer with this body.
fn answer(body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:n=\"http://schemas.xmlsoap.org/ws/2004/09/enumeration\" \
         xmlns:e=\"http://schemas.xmlsoap.org/ws/2004/08/eventing\" \
         xmlns:f=\"http://schemas.microsoft.com/wbem/wsman/1/wsmanfault\"><s:Body>{body}</s:Body></s:Envelope>"
    )
}

#[test]
fn a_created_shell_is_told_twice_or_once_but_never_as_two() {
    assert_eq!(facts(CREATED).shell_id.unwrap().as_str(), SHELL);
    // Old servers send the endpoint reference alone.
    let start = CREATED.find("<rsp:Shell>").unwrap();
    let end = CREATED.find("</rsp:Shell>").unwrap() + "</rsp:Shell>".len();
    let mut alone = CREATED.to_owned();
    alone.replace_range(start..end, "");
    assert_eq!(facts(&alone).shell_id.unwrap().as_str(), SHELL);
    let other = changed(CREATED, &format!("<rsp:ShellId>{SHELL}"), "<rsp:ShellId>OTHER");
    assert_eq!(read(&other), Err(EnvelopeError::ShellIdsDisagree));
    let case =
        changed(CREATED, &format!("<rsp:ShellId>{SHELL}"), &format!("<rsp:ShellId>{}", SHELL.to_lowercase()));
    assert!(read(&case).is_ok(), "ids have no case");
    for bad in ["", "a b", &"x".repeat(129)] {
        let bad = changed(CREATED, &format!("<rsp:ShellId>{SHELL}"), &format!("<rsp:ShellId>{bad}"));
        assert_eq!(read(&bad), Err(EnvelopeError::InvalidHeader { header: "ShellId" }));
    }
}

#[test]
fn commands_and_their_ends_are_told() {
    assert_eq!(facts(STARTED).command_id.unwrap().as_str(), COMMAND);
    let done = facts(DONE);
    assert_eq!((done.command_done, done.exit_code), (true, Some(3)));
    assert_eq!(done.command_id.unwrap().as_str(), COMMAND);
    let code =
        |text: &str| facts(&changed(DONE, "<rsp:ExitCode>3", &format!("<rsp:ExitCode>{text}"))).exit_code;
    for (text, wanted) in [
        ("0", Some(0)),
        ("-1", Some(-1)),
        ("-2147483648", Some(-2_147_483_648)),
        ("4294967295", Some(4_294_967_295)),
        ("4294967296", None),
        ("-2147483649", None),
        (" 5 ", Some(5)),
        ("", None),
        ("zero", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(code(text), wanted, "{text:?}");
    }
    let running = changed(DONE, "CommandState/Done", "CommandState/Running");
    assert!(!facts(&running).command_done);
}

#[test]
fn faults_are_told_with_number_subcode_and_text() {
    let fault = facts(TIMED_OUT).fault.unwrap();
    assert_eq!((fault.code, fault.subcode.as_deref()), (Some(2_150_858_793), Some("TimedOut")));
    assert!(fault.text.starts_with("The WS-Management service cannot complete"), "{}", fault.text);
    // A provider's fault within the first: the outer number counts.
    let nested = answer(
        "<s:Fault><s:Detail><f:WSManFault Code=\"5\"><f:Message><f:ProviderFault>\
         <f:WSManFault Code=\"6\"/></f:ProviderFault></f:Message></f:WSManFault></s:Detail></s:Fault>",
    );
    assert_eq!(facts(&nested).fault.unwrap().code, Some(5));
    let wmi = answer(
        "<s:Fault><s:Detail><m xmlns=\"urn:wmi\"><error_Code>2147749902</error_Code></m></s:Detail></s:Fault>",
    );
    assert_eq!(facts(&wmi).fault.unwrap().code, Some(2_147_749_902));
    let bare = answer("<s:Fault/>");
    assert_eq!(facts(&bare).fault, Some(FaultFacts::default()));
    let odd = answer("<s:Fault><s:Detail><f:WSManFault Code=\"-5\"/></s:Detail></s:Fault>");
    assert_eq!(facts(&odd).fault.unwrap().code, None);
    let long = answer(&format!(
        "<s:Fault><s:Reason><s:Text>{}</s:Text></s:Reason></s:Fault>",
        "\u{e9}".repeat(5000)
    ));
    assert!(facts(&long).fault.unwrap().text.chars().count() <= 1024);
}

#[test]
fn an_enumeration_goes_on_where_its_answer_says_so() {
    for name in ["n:EnumerateResponse", "n:PullResponse", "e:SubscribeResponse"] {
        let body = format!("<{name}><n:EnumerationContext> uuid:1 </n:EnumerationContext></{name}>");
        assert_eq!(facts(&answer(&body)).enumeration_context.unwrap().as_str(), "uuid:1", "{name}");
        let end = format!("<{name}><n:EnumerationContext/><n:EndOfSequence/></{name}>");
        assert_eq!(facts(&answer(&end)).enumeration_context, None, "{name}");
    }
    let context = |text: &str| {
        let body =
            format!("<n:PullResponse><n:EnumerationContext>{text}</n:EnumerationContext></n:PullResponse>");
        facts(&answer(&body)).enumeration_context.map(|context| context.to_string())
    };
    let longest = "x".repeat(4096);
    assert_eq!(context(&longest).as_deref(), Some(longest.as_str()));
    assert_eq!(context(&"x".repeat(5000)), None, "a context that is cut would be another one");
}

#[test]
fn threat_42_nothing_is_taken_from_a_wrong_place() {
    let selectors = "<w:SelectorSet xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\">\
        <w:Selector Name=\"ShellId\">STOLEN</w:Selector></w:SelectorSet>";
    let shell = "<r:Shell xmlns:r=\"http://schemas.microsoft.com/wbem/wsman/1/windows/shell\"><r:ShellId>STOLEN</r:ShellId></r:Shell>";
    let context = "<n:PullResponse><n:EnumerationContext>STOLEN</n:EnumerationContext></n:PullResponse>";
    let done = "<r:ReceiveResponse xmlns:r=\"http://schemas.microsoft.com/wbem/wsman/1/windows/shell\">\
        <r:CommandState CommandId=\"STOLEN\" State=\"x/CommandState/Done\"><r:ExitCode>0</r:ExitCode></r:CommandState></r:ReceiveResponse>";
    for piece in [selectors, shell, context, done] {
        // In another element, in the header, in a comment and in CDATA.
        for misplaced in [
            answer(&format!("<x>{piece}</x>")),
            answer(&format!("<!-- {} -->", piece.replace("--", ""))),
            answer(&format!("<x><![CDATA[{piece}]]></x>")),
            answer("<x/>").replace("<s:Body>", &format!("<s:Header>{piece}</s:Header><s:Body>")),
        ] {
            assert_eq!(facts(&misplaced), AnswerFacts::default(), "{misplaced}");
        }
    }
    // The same words in another namespace.
    for (base, from, to) in [
        (CREATED, "http://schemas.microsoft.com/wbem/wsman/1/windows/shell\"", "urn:x\""),
        (STARTED, "http://schemas.microsoft.com/wbem/wsman/1/windows/shell\"", "urn:x\""),
        (DONE, "http://schemas.microsoft.com/wbem/wsman/1/windows/shell\"", "urn:x\""),
    ] {
        let facts = facts(&changed(base, from, to));
        assert_eq!((facts.command_id, facts.exit_code, facts.command_done), (None, None, false));
    }
    let relates =
        "<a:RelatesTo xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\">uuid:1</a:RelatesTo>";
    assert_eq!(facts(&answer(relates)).relates_to, None);
}

#[test]
fn threat_19_what_is_no_answer_is_refused() {
    for (text, reason) in [
        (String::new(), "not_well_formed"),
        ("<html/>".to_owned(), "envelope_shape"),
        ("<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"/>".to_owned(), "other_soap"),
        (format!("{DONE}{DONE}"), "not_well_formed"),
        (format!("<!DOCTYPE x>{DONE}"), "doctype"),
        (changed(DONE, "<s:Body>", "<s:Body><?x y?>"), "processing_instruction"),
        (changed(DONE, "<s:Body>", "<s:Body>&x;"), "unknown_entity"),
        (changed(DONE, "<s:Body>", "<s:Body>\u{1}"), "forbidden_character"),
        (changed(DONE, "<s:Body>", &format!("<s:Body>{}", "<d>".repeat(70))), "too_deep"),
    ] {
        assert_eq!(read(&text).unwrap_err().reason(), reason);
    }
    let limits = Limits::with_envelope_bytes(DONE.len() - 1);
    let large = [b"\xef\xbb\xbf".as_slice(), DONE.as_bytes(), b"\n\n\n"].concat();
    assert_eq!(inspect_answer(&large, &limits).unwrap_err().reason(), "envelope_too_large");
}

#[test]
fn a_native_hosts_utf_16_is_read_as_well() {
    let utf16: Vec<u8> = format!("\u{feff}{DONE}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(inspect_answer(&utf16, &Limits::default()), Ok(facts(DONE)));
    let marked = [b"\xef\xbb\xbf".as_slice(), DONE.as_bytes()].concat();
    assert_eq!(inspect_answer(&marked, &Limits::default()), Ok(facts(DONE)));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(inspect_answer(&bytes, &Limits::default()).is_err());
    }

    #[test]
    fn no_changed_answer_panics_or_grows(
        base in 0..4_usize, at in any::<proptest::sample::Index>(), length in 0_usize..6,
        with in proptest::collection::vec(any::<u8>(), 0..6),
    ) {
        let mut bytes = [CREATED, STARTED, DONE, TIMED_OUT][base].as_bytes().to_vec();
        let at = at.index(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, with);
        if let Ok(facts) = inspect_answer(&bytes, &Limits::default()) {
            prop_assert!(facts.fault.is_none_or(|fault| fault.text.len() <= 4 * MOST_TEXT));
        }
    }
}
