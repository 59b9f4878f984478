//! The traps of hostile or careless senders, each refused for its own reason; and what survives any change of bytes.

use proptest::prelude::*;

use super::*;
use crate::wsman::FaultKind;

const GET: &str = include_str!("../../../tests/corpus/soap/soap-wmi-config/get-config.request.xml");
const PULL: &str = include_str!("../../../tests/corpus/soap/soap-wmi-config/pull.request.xml");
const RELEASE: &str = include_str!("../../../tests/corpus/soap/soap-wmi-config/release.request.xml");
const CREATE: &str = include_str!("../../../tests/corpus/soap/soap-cmd-pypsrp/01-Create.request.xml");
const COMMAND: &str = include_str!("../../../tests/corpus/soap/soap-psrp/03-Command.request.xml");
const SEND: &str = include_str!("../../../tests/corpus/soap/soap-cmd-pypsrp/03-Send.request.xml");
const COMPRESSED: &str =
    include_str!("../../../tests/corpus/soap/soap-wmi-config/create-compressed-shell.request.xml");

fn parse(text: &str) -> Result<Envelope, EnvelopeError> {
    Envelope::parse(Bytes::copy_from_slice(text.as_bytes()), None, &Limits::default())
}

/// The reason why `base`, changed in one place, is refused; `""` where it is not.
fn reason(base: &str, from: &str, to: &str) -> &'static str {
    let changed = base.replace(from, to);
    assert_ne!(changed, base, "{from:?} is not in the request");
    parse(&changed).map_or_else(|error| error.reason(), |_| "")
}

/// The same for one more block in the header of a Get.
fn with_block(block: &str) -> &'static str {
    reason(GET, "</s:Header>", &format!("{block}</s:Header>"))
}

#[test]
fn a_request_tells_what_it_holds() {
    let envelope = parse(COMMAND).unwrap();
    assert_eq!(*envelope.operation(), Operation::Command);
    assert_eq!(envelope.shell_id().unwrap().as_str(), "03E536DD-DF92-48D4-A437-3FF3ACFE1BBC");
    assert_eq!(envelope.command_id().unwrap().as_str(), "1345AC80-7300-4969-B2CE-787E2E3C377E");
    assert_eq!(envelope.message_id().unwrap().as_str(), "uuid:9806BC00-1710-42B5-A099-CF9D43A5F7BE");
    assert_eq!(envelope.max_envelope_size(), Some(512_000));
    assert_eq!(envelope.operation_timeout(), Some(Duration::from_secs(20)));
    assert_eq!(envelope.bytes(), COMMAND.as_bytes());
    let options: Vec<_> = envelope.options().iter().map(|option| (option.name(), option.value())).collect();
    assert_eq!(options, [("WINRS_SKIP_CMD_SHELL", "False")]);
    let selectors: Vec<_> = envelope.selectors().iter().map(|s| (s.name(), s.value())).collect();
    assert_eq!(selectors, [("ShellId", Some("03E536DD-DF92-48D4-A437-3FF3ACFE1BBC"))]);
    assert_eq!(parse(COMPRESSED).unwrap().compression(), Some(Compression::Xpress));
    assert_eq!(
        parse(PULL).unwrap().enumeration_context().unwrap().as_str(),
        "uuid:11111111-2222-3333-4444-555555555555"
    );
}

#[test]
fn threat_43_every_header_counts_once() {
    for (name, text) in [
        ("a:To", "http://x/wsman"),
        ("a:Action", "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get"),
        ("a:MessageID", "uuid:1"),
        ("w:ResourceURI", "http://schemas.microsoft.com/wbem/wsman/1/config"),
        ("w:OperationTimeout", "PT60.000S"),
        ("w:MaxEnvelopeSize", "512000"),
        ("p:SessionId", "uuid:1"),
        ("p:OperationID", "uuid:1"),
        ("p:SequenceId", "1"),
    ] {
        assert_eq!(with_block(&format!("<{name}>{text}</{name}>")), "duplicate_header", "{name}");
    }
    let reply = "<a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>";
    assert_eq!(with_block(reply), "duplicate_header");
    assert_eq!(with_block("<w:SelectorSet/><w:SelectorSet/>"), "duplicate_header");
    assert_eq!(with_block("<w:OptionSet/><w:OptionSet/>"), "duplicate_header");
    // The same words in another namespace are another header.
    assert_eq!(with_block("<x:Action xmlns:x=\"urn:x\">else</x:Action>"), "");
}

#[test]
fn threat_43_values_that_decide_are_one_plain_run_of_text() {
    for (value, name) in [
        ("http://schemas.xmlsoap.org/ws/2004/09/transfer/Get<", "Action"),
        ("http://schemas.microsoft.com/wbem/wsman/1/config<", "ResourceURI"),
        ("uuid:EDCFBB72-2F12-44C7-8ADD-F1CBDB1F63B1<", "MessageID"),
        ("PT60.000S<", "OperationTimeout"),
        ("512000<", "MaxEnvelopeSize"),
        ("addressing/role/anonymous<", "Address"),
    ] {
        let (first, rest) = value.split_at(3);
        let (rest, last) = rest.split_at(rest.len() - 1);
        for split in [
            format!("{first}<!-- -->{rest}{last}"),
            format!("{first}<![CDATA[{rest}]]>{last}"),
            format!("{first}&#x2e;{rest}{last}"),
            format!("{first}<i/>{rest}{last}"),
        ] {
            assert_eq!(reason(GET, value, &split), "not_plain_text", "{name}: {split}");
        }
        assert_eq!(
            reason(GET, value, &format!("{first}<?x y?>{rest}{last}")),
            "processing_instruction",
            "{name}"
        );
    }
    for split in ["F04D<!-- -->F3D0", "<![CDATA[F04DF3D0]]>", "F04&#68;F3D0", "F04D<i/>F3D0"] {
        assert_eq!(reason(SEND, "F04DF3D0", split), "not_plain_text", "{split}");
    }
    for split in ["uuid:<!-- -->1111", "<![CDATA[uuid:1111]]>", "uuid&#58;1111"] {
        assert_eq!(reason(PULL, "uuid:1111", split), "not_plain_text", "{split}");
    }
}

#[test]
fn threat_43_headers_that_must_be_understood_are_understood_or_refused() {
    let must = |value: &str| with_block(&format!("<q:New xmlns:q=\"q\" s:mustUnderstand=\"{value}\"/>"));
    assert_eq!(
        (must("1"), must("true"), must(" true ")),
        ("must_understand", "must_understand", "must_understand")
    );
    assert_eq!((must("0"), must("false")), ("", ""));
    assert_eq!((must("TRUE"), must("")), ("invalid_header", "invalid_header"));
    let role = |role: &str| with_block(&format!("<q:New xmlns:q=\"q\" s:role=\"{role}\"/>"));
    assert_eq!(role("http://www.w3.org/2003/05/soap-envelope/role/next"), "wrong_role");
    assert_eq!(role("urn:somebody"), "wrong_role");
    assert_eq!(role("http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver"), "");
    assert_eq!(with_block("<q:New xmlns:q=\"q\" s:relay=\"true\"/>"), "wrong_role");
    // A header that decides, marked as nobody's: one reader would skip it.
    let none = "<a:Action s:role=\"http://www.w3.org/2003/05/soap-envelope/role/none\"";
    assert_eq!(reason(GET, "<a:Action", none), "wrong_role");
    assert_eq!(
        reason(
            GET,
            "xml:lang=\"en-US\" s:mustUnderstand=\"false\"",
            "xml:lang=\"en-US\" s:mustUnderstand=\"true\""
        ),
        "mandatory_locale"
    );
}

#[test]
fn threat_43_the_envelope_is_one_header_then_one_body() {
    for (from, to) in [
        ("<s:Header>", "<s:Headers>"),
        ("<s:Body/>", "<s:Body/><s:Body/>"),
        ("<s:Body/>", "<s:Body/>x"),
        ("<s:Body/>", "<s:Body/><x/>"),
        ("<s:Body/>", "<s:Body>x</s:Body>"),
        ("<s:Body/>", "<s:Body><![CDATA[ ]]></s:Body>"),
        ("<s:Body/>", "<s:Body>&#32;</s:Body>"),
        ("<s:Header>", "<s:Header>x"),
        ("<s:Header>", "<s:Header><s:Fault/>"),
        ("<s:Body/>", "<s:Body><x/><x/></s:Body>"),
    ] {
        let found = reason(&GET.replace("</s:Header>", "</s:Header> "), from, to);
        assert!(matches!(found, "envelope_shape" | "not_well_formed"), "{to}: {found}");
    }
    assert_eq!(parse("<Envelope/>").unwrap_err().reason(), "envelope_shape");
    assert_eq!(
        parse("<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"/>").unwrap_err().reason(),
        "other_soap"
    );
    let body = |inner: &str| reason(SEND, "<rsp:Send>", &format!("<rsp:Send>{inner}"));
    assert_eq!(body("<wsa:Action>x</wsa:Action>"), "header_in_body");
    assert_eq!(body("<s:Header/>"), "header_in_body");
    assert_eq!(body("<x><s:Envelope/></x>"), "header_in_body");
    assert_eq!(body("<b:Action xmlns:b=\"http://www.w3.org/2005/08/addressing\"/>"), "other_addressing");
    assert_eq!(body("<b:Envelope xmlns:b=\"http://schemas.xmlsoap.org/soap/envelope/\"/>"), "other_soap");
}

#[test]
fn what_every_request_must_say_is_there() {
    for name in ["a:To", "a:Action", "a:MessageID", "a:ReplyTo", "w:ResourceURI"] {
        let (start, end) = (GET.find(&format!("<{name}")).unwrap(), GET.find(&format!("</{name}>")).unwrap());
        let mut without = GET.to_owned();
        without.replace_range(start..end + name.len() + 3, "");
        let error = parse(&without).unwrap_err();
        assert_eq!((error.reason(), error.fault()), ("missing_header", FaultKind::HeaderRequired), "{name}");
    }
    assert_eq!(reason(GET, "uuid:EDCFBB72-2F12-44C7-8ADD-F1CBDB1F63B1", ""), "invalid_header");
}

#[test]
fn answers_are_wanted_here_and_nowhere_else() {
    let anonymous = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
    assert_eq!(reason(GET, anonymous, "http://evil.example/"), "reply_elsewhere");
    assert_eq!(reason(GET, anonymous, ""), "reply_elsewhere");
    assert_eq!(
        with_block("<a:FaultTo><a:Address>http://evil.example/</a:Address></a:FaultTo>"),
        "reply_elsewhere"
    );
    assert_eq!(with_block("<a:FaultTo/>"), "reply_elsewhere");
    let two =
        format!("<a:FaultTo><a:Address>{anonymous}</a:Address><a:Address>http://x/</a:Address></a:FaultTo>");
    assert_eq!(with_block(&two), "duplicate_header");
    assert_eq!(with_block(&format!("<a:FaultTo><a:Address>{anonymous}</a:Address></a:FaultTo>")), "");
}

#[test]
fn numbers_and_durations_are_what_their_types_allow() {
    for (from, to, wanted) in [
        ("512000", "8191", "max_envelope_size_too_small"),
        ("512000", "8192", ""),
        ("512000", "-1", "invalid_header"),
        ("512000", "+9000", "invalid_header"),
        ("512000", "99999999999", "invalid_header"),
        ("512000", "0x9000", "invalid_header"),
        ("PT60.000S", "-PT60S", "invalid_header"),
        ("PT60.000S", "P1Y", "invalid_header"),
        ("PT60.000S", "60", "invalid_header"),
        ("PT60.000S", "\r\n PT60S\t", ""),
    ] {
        assert_eq!(reason(GET, from, to), wanted, "{to}");
    }
    assert_eq!(reason(COMPRESSED, "xpress<", "gzip<"), "unsupported_compression");
}

#[test]
fn threat_41_resource_uris_that_two_readers_read_differently_are_refused() {
    for uri in [
        "http://schemas.microsoft.com/wbem/wsman/1/%63onfig",
        "http://schemas.microsoft.com/wbem/wsman/1/../config",
        "http://schemas.microsoft.com/wbem/wsman/1//config",
        "http://schemas.microsoft.com/wbem\\wsman/1/config",
        "http://schemas.microsoft.com/wbem/wsman/1/config#x",
        "http://schemas.microsoft.com/wbem/wsman/1/con fig",
        "http://schemas.microsoft.com/wbem/wsman/1/conf\u{131}g",
    ] {
        let found = reason(GET, "http://schemas.microsoft.com/wbem/wsman/1/config", uri);
        assert_eq!(found, "invalid_resource_uri", "{uri}");
    }
}

#[test]
fn threat_41_what_is_on_a_shell_is_execute_whatever_the_action_says() {
    let class = |base: &str, from: &str, to: &str| {
        let changed = base.replace(from, to);
        assert_ne!(changed, base);
        parse(&changed).map(|envelope| envelope.action_class())
    };
    let execute = Ok(ActionClass::Execute);
    let wmi = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/*";
    for shell in [
        "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
        "http://schemas.microsoft.com/wbem/wsman/1/windows/SHELL/cmd",
        "http://schemas.microsoft.com/powershell/Microsoft.PowerShell",
        "http://schemas.microsoft.com/PowerShell/JEARole?PSVersion=5.1",
    ] {
        for base in [PULL, RELEASE] {
            assert_eq!(parse(base).unwrap().action_class(), ActionClass::Read);
            assert_eq!(class(base, wmi, shell), execute, "{shell}");
        }
        assert_eq!(class(GET, "http://schemas.microsoft.com/wbem/wsman/1/config", shell), execute, "{shell}");
    }
    let names_one = "<w:SelectorSet><w:Selector Name=\"shellid\">A</w:Selector></w:SelectorSet></s:Header>";
    assert_eq!(class(GET, "</s:Header>", names_one), execute);
    assert_eq!(class(PULL, "</s:Header>", names_one), execute);
    // A plug-in's own resource, but a shell is what is created there.
    let plug_in = class(
        CREATE,
        "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd",
        "http://example.com/plugin",
    );
    assert_eq!(plug_in, execute);
    assert_eq!(class(GET, "transfer/Get<", "transfer/Got<"), execute, "what nobody knows");
}

#[test]
fn threat_42_selectors_and_ids_have_one_reading() {
    let selector = "<wsman:Selector Name=\"ShellId\">F04DF3D0-4BF2-4ECE-92A1-688F0F14C144</wsman:Selector>";
    for (to, wanted) in [
        (format!("{selector}{selector}"), "duplicate_selector"),
        (selector.replace("ShellId", "Shell&#73;d"), ""),
        (format!("{selector}{}", selector.replace("ShellId", "shellID")), "duplicate_selector"),
        (selector.replace("Name=", "name="), "invalid_header"),
        (selector.replace("Name=", "wsman:Name="), "invalid_header"),
        (selector.replace("Name=", "Name=\"Other\" wsman:Name="), "invalid_header"),
        (selector.replace("Name=", "name=\"Other\" Name="), "invalid_header"),
        (selector.replace("\"ShellId\"", "\"\""), "invalid_header"),
        (selector.replace(" Name=\"ShellId\"", ""), "invalid_header"),
        (selector.replace("wsman:Selector", "wsman:Option"), "invalid_header"),
        (selector.replace("wsman:Selector", "rsp:Selector"), "invalid_header"),
        (format!("<!-- -->{selector}"), "invalid_header"),
        (format!("x{selector}"), "invalid_header"),
        (selector.replace("F04D", "F0 4D"), "invalid_header"),
        (selector.replace("F04DF3D0-4BF2-4ECE-92A1-688F0F14C144", ""), "invalid_header"),
    ] {
        assert_eq!(reason(SEND, selector, &to), wanted, "{to}");
    }
    for (to, wanted) in [
        ("commandId=", "invalid_header"),
        ("rsp:CommandId=", "invalid_header"),
        ("rsp:CommandId=\"1\" CommandId=", "invalid_header"),
        ("commandid=\"1\" CommandId=", "invalid_header"),
    ] {
        assert_eq!(reason(SEND, "CommandId=", to), wanted, "{to}");
    }
    let many = |number: usize, item: &str| -> String {
        (0..number).map(|n| format!("<w:{item} Name=\"n{n}\">x</w:{item}>")).collect()
    };
    assert_eq!(
        with_block(&format!("<w:SelectorSet>{}</w:SelectorSet>", many(65, "Selector"))),
        "too_many_selectors"
    );
    assert_eq!(with_block(&format!("<w:SelectorSet>{}</w:SelectorSet>", many(64, "Selector"))), "");
    assert_eq!(with_block(&format!("<w:OptionSet>{}</w:OptionSet>", many(65, "Option"))), "too_many_options");
    assert_eq!(
        with_block("<w:OptionSet><w:Option Name=\"a\"><x/></w:Option></w:OptionSet>"),
        "not_plain_text"
    );
}

#[test]
fn threat_42_a_wish_for_a_shell_id_is_seen_wherever_a_host_may_read_it() {
    let wished = |shell: &str| {
        let changed = CREATE.replace("<rsp:Shell>", shell);
        parse(&changed).map(|envelope| envelope.shell_id().map(ToString::to_string))
    };
    assert_eq!(wished("<rsp:Shell ShellId=\"A\">"), Ok(Some("A".to_owned())));
    assert_eq!(wished("<rsp:Shell><rsp:ShellId>A</rsp:ShellId>"), Ok(Some("A".to_owned())));
    assert_eq!(wished("<rsp:Shell ShellId=\"A\"><rsp:ShellId>a</rsp:ShellId>"), Ok(Some("a".to_owned())));
    assert_eq!(
        wished("<rsp:Shell ShellId=\"A\"><rsp:ShellId>B</rsp:ShellId>"),
        Err(EnvelopeError::ShellIdsDisagree)
    );
    assert_eq!(
        wished("<rsp:Shell><rsp:ShellId>A</rsp:ShellId><rsp:ShellId>B</rsp:ShellId>"),
        Err(EnvelopeError::ShellIdsDisagree)
    );
    for shell in ["<rsp:Shell shellid=\"A\">", "<rsp:Shell rsp:ShellId=\"A\">", "<rsp:Shell ShellId=\"\">"] {
        assert_eq!(wished(shell), Err(EnvelopeError::InvalidHeader { header: "ShellId" }), "{shell}");
    }
    assert!(wished("<rsp:Shell><rsp:ShellId>A<!-- -->B</rsp:ShellId>").is_err());
}

#[test]
fn threat_42_whose_enumeration_goes_on_is_readable_or_the_request_is_refused() {
    for base in [PULL, RELEASE] {
        for (from, to, wanted) in [
            ("EnumerationContext>", "Context>", "missing_header"),
            ("n:EnumerationContext>", "w:EnumerationContext>", "missing_header"),
            ("uuid:11111111-2222-3333-4444-555555555555", "", "invalid_header"),
        ] {
            assert_eq!(reason(base, from, to), wanted, "{to}");
        }
        let context = "<n:EnumerationContext>x</n:EnumerationContext>";
        let end = if base == PULL { "</n:Pull>" } else { "</n:Release>" };
        assert_eq!(reason(base, end, &format!("{context}{end}")), "duplicate_header");
    }
}

#[test]
fn threat_44_a_tag_is_read_as_xml_has_it() {
    let within = |inner: &str| reason(SEND, "<rsp:Send>", &format!("<rsp:Send>{inner}"));
    for (inner, wanted) in [
        ("<d xmlns:xml=\"urn:x\"/>", "not_well_formed"),
        ("<d xmlns:xmlns=\"urn:x\"/>", "not_well_formed"),
        ("<d xmlns:q=\"\"/>", "not_well_formed"),
        ("<d xmlns:q=\"http://www.w3.org/XML/1998/namespace\"/>", "not_well_formed"),
        ("<d xmlns:q=\"q\" xmlns:q=\"q\"/>", "not_well_formed"),
        ("<q:d:e xmlns:q=\"q\"/>", "not_well_formed"),
        ("<:d/>", "not_well_formed"),
        ("<xmlns:d/>", "not_well_formed"),
        ("<d a/>", "not_well_formed"),
        ("<d a=b/>", "not_well_formed"),
        ("<d a=\"b/>", "not_well_formed"),
        ("<d =\"b\"/>", "not_well_formed"),
        ("<d a=\"&nope;\"/>", "unknown_entity"),
        ("<d a=\"&amp\"/>", "unknown_entity"),
        ("<d a=\"&#8;\"/>", "forbidden_character"),
        ("<d a=\"&#xFFFFFFFF;\"/>", "forbidden_character"),
        ("<d a=\"&#99999999999;\"/>", "not_well_formed"),
        ("&#x;", "not_well_formed"),
        ("&;", "unknown_entity"),
        ("&", "not_well_formed"),
        ("<", "not_well_formed"),
        ("</d>", "not_well_formed"),
        ("<?xml version=\"1.0\"?>", "not_well_formed"),
        ("<?xml-stylesheet x?>", "processing_instruction"),
        ("<![CDATA[", "not_well_formed"),
        ("<!-- ", "not_well_formed"),
        ("<!ENTITY x \"y\">", "not_well_formed"),
        ("<d xmlns=\"urn:x\"><e/></d>", ""),
        ("<d a='\"' b=\"'>\"/>", ""),
        ("<\u{e9}t\u{e9}/>", ""),
        ("&lt;&gt;&amp;&quot;&apos;&#65;&#x42;", ""),
    ] {
        assert_eq!(within(inner), wanted, "{inner}");
    }
}

#[test]
fn threat_44_the_work_is_linear_in_the_length() {
    let filled = |inner: &str| SEND.replace("<rsp:Send>", &format!("<rsp:Send>{inner}"));
    let began = std::time::Instant::now();
    for inner in [
        "<d/>".repeat(100_000),
        "<!---->".repeat(60_000),
        "&amp;".repeat(80_000),
        "]]".repeat(200_000),
        format!("<d a=\"{}\"/>", "&amp;".repeat(12_000)),
        "<d xmlns:a='a' xmlns:b='b' a:x='' b:x=''/>".repeat(10_000),
        "<d>".repeat(130_000),
    ] {
        drop(parse(&filled(&inner)));
    }
    // Each is under the bound of 500 kB; a step that is quadratic in it takes minutes.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn threat_60_what_a_client_sends_is_not_shown_by_debug() {
    let envelope = parse(&SEND.replace("aGVsbG8gc3RkaW4NCg==", "aHVudGVyMg==")).unwrap();
    let shown = format!("{envelope:?}");
    assert!(!shown.contains("aHVudGVyMg") && shown.contains("Send"), "{shown}");
}

const BASES: [&str; 6] = [GET, PULL, CREATE, COMMAND, SEND, COMPRESSED];

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), declared in any::<bool>()) {
        let declared = declared.then_some(Charset::Utf16Le);
        prop_assert!(Envelope::parse(Bytes::from(bytes), declared, &Limits::default()).is_err());
    }

    #[test]
    fn a_changed_request_is_refused_or_means_what_its_own_bytes_say(
        base in 0..BASES.len(),
        at in any::<proptest::sample::Index>(),
        length in 0_usize..6,
        with in proptest::collection::vec(prop_oneof![
            any::<u8>(),
            proptest::sample::select(&b"<>/&;:=\"'!-[]? \t\r\nasx"[..]),
        ], 0..6),
    ) {
        let mut bytes = BASES[base].as_bytes().to_vec();
        let at = at.index(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, with);
        if let Ok(envelope) = Envelope::parse(Bytes::from(bytes.clone()), None, &Limits::default()) {
            // What is sent on is what was read, and reading it again finds the same.
            prop_assert_eq!(envelope.bytes(), &bytes);
            let again = Envelope::parse(envelope.bytes().clone(), Some(Charset::Utf8), &Limits::default()).unwrap();
            prop_assert_eq!(again.operation(), envelope.operation());
            prop_assert_eq!(again.action_class(), envelope.action_class());
            prop_assert_eq!(again.shell_id(), envelope.shell_id());
            prop_assert_eq!(again.command_id(), envelope.command_id());
        }
    }

    #[test]
    fn what_is_in_the_body_never_lowers_the_class(name in "(rsp|s|wsman|x):[A-Z][a-z]{1,8}") {
        let body = format!("<{name} xmlns:x=\"urn:x\"/>");
        if let Ok(envelope) = parse(&CREATE.replace("<rsp:Shell>", &format!("<rsp:Shell>{body}"))) {
            prop_assert_eq!(envelope.action_class(), ActionClass::Execute);
        }
    }
}
