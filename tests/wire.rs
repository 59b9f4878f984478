//! Messages of real peers, byte for byte: what is read from them, and that nothing shorter is.
#![expect(clippy::expect_used, reason = "tests say what must hold")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use winrm_gateway::wsman::sealed::{self, Protocol, SealedError};
use winrm_gateway::wsman::{
    ActionClass, AnswerSplitter, Charset, Envelope, EnvelopeError, Limits, Operation, inspect_answer,
};

fn corpus(folder: &str) -> Vec<(String, Bytes)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("the corpus is there") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).expect("below the corpus").display().to_string();
                found.push((name, Bytes::from(fs::read(&path).expect("a readable file"))));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} is empty");
    found.sort();
    found
}

fn vector(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    Bytes::from(fs::read(path).expect("the vector is there"))
}

fn parse(body: &[u8]) -> Result<Envelope, EnvelopeError> {
    Envelope::parse(Bytes::copy_from_slice(body), None, &Limits::default())
}

fn requests() -> Vec<(String, Bytes)> {
    let mut all = corpus("soap");
    all.retain(|(name, _)| name.contains(".request."));
    all
}

fn answers() -> Vec<(String, Bytes)> {
    let mut all = corpus("soap");
    all.retain(|(name, _)| !name.contains(".request."));
    all.extend(corpus("faults"));
    all
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[test]
fn every_request_is_read_as_what_it_is() {
    let mut seen = String::new();
    for (name, body) in requests() {
        let name = name.trim_start_matches("soap/");
        match parse(&body) {
            Ok(envelope) => writeln!(
                seen,
                "{name}: {} {} {} shell={} command={} timeout={} session={} operation_id={}",
                envelope.operation().as_str(),
                envelope.action_class().as_str(),
                or_dash(envelope.resource_uri()),
                or_dash(envelope.shell_id()),
                or_dash(envelope.command_id()),
                or_dash(envelope.operation_timeout().map(|t| t.as_millis())),
                or_dash(envelope.session_id()),
                or_dash(envelope.operation_id()),
            ),
            Err(error) => writeln!(seen, "{name}: refused, {} {}", error.reason(), error.fault().number()),
        }
        .expect("a string takes it");
    }
    insta::assert_snapshot!(seen);
}

#[test]
fn every_answer_is_read_as_what_it_is() {
    let mut seen = String::new();
    for (name, body) in answers() {
        let facts = inspect_answer(&body, &Limits::default()).expect("a real answer");
        writeln!(
            seen,
            "{name}: to={} shell={} command={} done={} exit={} context={} fault={:?}",
            or_dash(facts.relates_to),
            or_dash(facts.shell_id),
            or_dash(facts.command_id),
            facts.command_done,
            or_dash(facts.exit_code),
            or_dash(facts.enumeration_context),
            facts.fault,
        )
        .expect("a string takes it");
    }
    insta::assert_snapshot!(seen);
}

#[test]
fn every_sealed_body_is_taken_apart_and_written_again_byte_for_byte() {
    let mut seen = String::new();
    for (name, body) in corpus("sealed") {
        if name.contains("credssp") {
            continue;
        }
        let protocol = if name.contains("/krb5") { Protocol::Kerberos } else { Protocol::Spnego };
        let parts = sealed::decode(sealed::content_type(protocol), &body, &Limits::default()).expect(&name);
        writeln!(
            seen,
            "{name}: {:?} {:?} length={} header={} data={}",
            parts.protocol,
            parts.charset,
            parts.length,
            parts.header.len(),
            parts.data.len()
        )
        .expect("a string takes it");
        let again = sealed::encode(parts.protocol, parts.charset, parts.length, parts.header, parts.data);
        assert_eq!(again, body, "{name}");
    }
    insta::assert_snapshot!(seen);
}

#[test]
fn no_shorter_request_is_accepted() {
    for (name, body) in requests() {
        for end in 0..body.len() {
            assert!(parse(&body[..end]).is_err(), "{name} cut at {end}");
        }
    }
}

#[test]
fn no_shorter_answer_is_accepted_or_cut_out() {
    let limits = Limits::default();
    for (name, body) in answers() {
        for end in 0..body.len() {
            assert!(inspect_answer(&body[..end], &limits).is_err(), "{name} cut at {end}");
        }
        let mut splitter = AnswerSplitter::plain(&limits);
        for (at, byte) in body.iter().enumerate() {
            splitter.push(&[*byte]);
            let cut = splitter.next_envelope().expect("a real answer");
            assert_eq!(cut.is_some(), at + 1 == body.len(), "{name} at {at}");
            if let Some(cut) = cut {
                assert_eq!(cut, body, "{name}");
            }
        }
        splitter.finish().expect("complete");
    }
}

#[test]
fn no_shorter_sealed_body_is_accepted() {
    let limits = Limits::default();
    for (name, body) in corpus("sealed") {
        for protocol in [Protocol::Kerberos, Protocol::Spnego] {
            for end in 0..body.len() {
                let cut = sealed::decode(sealed::content_type(protocol), &body[..end], &limits);
                assert!(cut.is_err(), "{name} cut at {end}");
            }
        }
    }
}

#[test]
fn threat_41_action_resource_and_body_must_agree() {
    let command = text("soap/soap-cmd-pypsrp/02-Command.request.xml");
    let get = text("soap/soap-wmi-config/get-config.request.xml");
    let disagreeing = [
        // A harmless action over a body that runs something, and the reverse.
        command.replace("windows/shell/Command<", "windows/shell/Receive<"),
        command.replace("windows/shell/Command<", "windows/shell/Connect<"),
        command.replace(
            "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Command<",
            "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get<",
        ),
        // A body for an action that has none, and an empty one where something is needed.
        get.replace("<s:Body/>", "<s:Body><x/></s:Body>"),
        get.replace("transfer/Get<", "transfer/Put<"),
        // A shell operation on what is no shell, or on none.
        command.replace("windows/shell/cmd<", "config<"),
        command.replace("Name=\"ShellId\"", "Name=\"Other\""),
        // Two elements, where readers take the first or the last.
        command.replace("</s:Body>", "<rsp:Receive/></s:Body>"),
        // An action that only a lax reader knows.
        command.replace("shell/Command<", "shell/command<"),
        // Creating a shell without saying what, and naming two shells.
        text("soap/soap-cmd-pypsrp/01-Create.request.xml").replace("rsp:Shell>", "rsp:Shel>"),
        // Identify that pretends to be something.
        get.replace("<s:Body/>", IDENTIFY),
        get.replace("<s:Body/>", IDENTIFY).replace(ACTION, ""),
    ];
    for (index, body) in disagreeing.iter().enumerate() {
        let error = parse(body.as_bytes()).expect_err(&format!("case {index}"));
        assert!(
            matches!(
                error,
                EnvelopeError::BodyDisagrees { .. }
                    | EnvelopeError::ResourceDisagrees { .. }
                    | EnvelopeError::ShellIdMissing
                    | EnvelopeError::EnvelopeShape
                    | EnvelopeError::ActionCase
            ),
            "case {index}: {error:?}"
        );
    }
}

#[test]
fn threat_41_everything_on_a_shell_and_everything_unknown_is_execute() {
    let get = text("soap/soap-wmi-config/get-config.request.xml");
    for (from, to) in [
        ("wsman/1/config<", "wsman/1/windows/shell<"),
        ("wsman/1/config<", "wsman/1/WINDOWS/Shell/x<"),
        (
            "http://schemas.microsoft.com/wbem/wsman/1/config<",
            "http://schemas.microsoft.com/PowerShell/JEARole<",
        ),
        ("transfer/Get<", "transfer/Unknown<"),
    ] {
        let body = get.replace(from, to);
        assert_ne!(body, get);
        let envelope = parse(body.as_bytes()).expect(to);
        assert_eq!(envelope.action_class(), ActionClass::Execute, "{to}");
    }
    let invoke = parse(&vector("soap/soap-wmi-config/invoke-wmi-method.request.xml")).expect("a method");
    assert_eq!((*invoke.operation(), invoke.action_class()), (Operation::Invoke, ActionClass::Execute));
}

#[test]
fn threat_42_two_shells_or_two_commands_are_refused() {
    let create = text("soap/soap-psrp/01-Create.request.xml").replace(
        "</s:Header>",
        "<wsman:SelectorSet><wsman:Selector Name=\"ShellId\">A</wsman:Selector></wsman:SelectorSet></s:Header>",
    );
    assert_eq!(parse(create.as_bytes()).expect_err("two shells"), EnvelopeError::ShellIdsDisagree);
    let send = text("soap/soap-cmd-pypsrp/03-Send.request.xml");
    let stream = |id: &str| format!("<rsp:Stream Name=\"stdin\"{id}>eA==</rsp:Stream></rsp:Send>");
    for id in [" CommandId=\"OTHER\"", ""] {
        let body = send.replace("</rsp:Send>", &stream(id));
        assert_eq!(
            parse(body.as_bytes()).expect_err("two commands"),
            EnvelopeError::CommandIdsDisagree,
            "{id}"
        );
    }
    let same = send.replace("</rsp:Send>", &stream(" CommandId=\"1d3e4b50-d109-49df-8923-8fd081967f8a\""));
    assert!(parse(same.as_bytes()).is_ok());
}

#[test]
fn threat_43_two_actions_or_header_in_body_are_refused() {
    for (name, reason) in [
        ("duplicate-action", "duplicate_header"),
        ("header-in-body", "header_in_body"),
        ("cdata-comment-action", "not_plain_text"),
    ] {
        let body = vector(&format!("soap/soap-wmi-config/differential-{name}.request.xml"));
        assert_eq!(parse(&body).expect_err(name).reason(), reason);
    }
    let get = text("soap/soap-wmi-config/get-config.request.xml");
    let action = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get</a:Action>";
    let cases = [
        (get.replace("transfer/Get<", "transfer/G&#101;t<"), "not_plain_text"),
        (get.replace(action, &format!("<![CDATA[{action}").replace("</a:", "]]></a:")), "not_plain_text"),
        (get.replace(action, &format!("<a:Action>{action}</a:Action>")), "not_plain_text"),
        (get.replace("xmlns:a=", "xmlns:a=\"x\" xmlns:a="), "not_well_formed"),
        (
            get.replace(
                "http://schemas.xmlsoap.org/ws/2004/08/addressing\"",
                "http://www.w3.org/2005/08/addressing\"",
            ),
            "other_addressing",
        ),
        (
            get.replace(
                "</s:Header>",
                "<b:Action xmlns:b=\"http://www.w3.org/2005/08/addressing\"/></s:Header>",
            ),
            "other_addressing",
        ),
        (get.replace("2003/05/soap-envelope", "2001/12/soap-envelope"), "other_soap"),
        (
            get.replace("</s:Header>", "<q:New xmlns:q=\"q\" s:mustUnderstand=\"1\"/></s:Header>"),
            "must_understand",
        ),
        (get.replace("</s:Header>", "</s:Header><s:Header/>"), "envelope_shape"),
        (get.replace("</s:Envelope>", "<s:Body/></s:Envelope>"), "envelope_shape"),
        (get.replace("</s:Envelope>", "<s:Header/></s:Envelope>"), "envelope_shape"),
    ];
    for (index, (body, reason)) in cases.iter().enumerate() {
        assert_ne!(*body, get, "case {index}");
        assert_eq!(parse(body.as_bytes()).expect_err(reason).reason(), *reason, "case {index}");
    }
    // A header of unknown meaning that need not be understood is the host's business.
    let optional = get.replace("</s:Header>", "<q:New xmlns:q=\"q\" mustUnderstand=\"1\"/></s:Header>");
    assert!(parse(optional.as_bytes()).is_ok());
}

#[test]
fn threat_43_prefixes_mean_what_they_are_bound_to() {
    let envelope =
        parse(&vector("soap/soap-wmi-config/differential-prefix-swap.request.xml")).expect("legal");
    assert_eq!(*envelope.operation(), Operation::Get);
    assert_eq!(
        envelope.resource_uri().expect("one").as_str(),
        "http://schemas.microsoft.com/wbem/wsman/1/config"
    );
}

#[test]
fn threat_44_dtd_entities_processing_instructions_and_depth_are_refused() {
    let get = text("soap/soap-wmi-config/get-config.request.xml");
    let put = text("soap/soap-wmi-config/put-config.request.xml");
    let deep = format!("{}{}", "<d>".repeat(70), "</d>".repeat(70));
    let wide: String = (0..70).map(|i| format!(" a{i}=\"\"")).collect();
    let spaces: String = (0..70).map(|i| format!(" xmlns:n{i}=\"n{i}\"")).collect();
    let nested: String = (0..40).map(|i| format!("<d xmlns:p{i}=\"a\" xmlns:q{i}=\"b\">")).collect();
    let within = |inner: &str| put.replace("</cfg:Service>", &format!("{inner}</cfg:Service>"));
    let cases = [
        (text("soap/soap-wmi-config/differential-doctype.request.xml"), "doctype"),
        (get.replacen("<s:Envelope", "<!doctype s><s:Envelope", 1), "doctype"),
        (get.replace("<s:Body/>", "<s:Body><?x y?></s:Body>"), "processing_instruction"),
        (within("&x;"), "unknown_entity"),
        (within("&#0;"), "forbidden_character"),
        (within("&#xFFFE;"), "forbidden_character"),
        (within("&#xD800;"), "forbidden_character"),
        (within("\u{1}"), "forbidden_character"),
        (within("\u{ffff}"), "forbidden_character"),
        (within(&deep), "too_deep"),
        (within(&format!("<d{wide}/>")), "too_many_attributes"),
        (within(&format!("<d{spaces}/>")), "too_many_namespaces"),
        (within(&nested), "too_many_namespaces"),
        (within(&format!("<d a=\"{}\"/>", "x".repeat(70_000))), "tag_too_long"),
        (within("<u:d/>"), "not_well_formed"),
        (within("<d a=\"1\" a=\"2\"/>"), "not_well_formed"),
        (within("<d xmlns:k=\"k\" xmlns:l=\"k\" k:a=\"1\" l:a=\"2\"/>"), "not_well_formed"),
        (within("<d a=\"<\"/>"), "not_well_formed"),
        (within("<d a=\"1\"b=\"2\"/>"), "not_well_formed"),
        (within("]]>"), "not_well_formed"),
        (within("<!-- -- -->"), "not_well_formed"),
        (within("<d></e>"), "not_well_formed"),
        (within("<1/>"), "not_well_formed"),
        (format!("{get}{get}"), "not_well_formed"),
        (format!("{get}x"), "not_well_formed"),
        (format!(" <?xml version=\"1.0\"?>{get}"), "not_well_formed"),
        (format!("<?xml version=\"1.1\"?>{get}"), "not_well_formed"),
    ];
    for (index, (body, reason)) in cases.iter().enumerate() {
        let error = parse(body.as_bytes()).expect_err(&format!("case {index}: {reason}"));
        assert_eq!(error.reason(), *reason, "case {index}");
        assert!([2_150_858_817, 2_150_858_825].contains(&error.fault().number()), "case {index}");
    }
}

#[test]
fn threat_45_charsets_that_disagree_are_refused() {
    let limits = Limits::default();
    let get = text("soap/soap-wmi-config/get-config.request.xml");
    let marked = vector("soap/soap-wmi-config/get-config.utf16le-bom.request.bin");
    let utf16 = |text: &str| -> Vec<u8> {
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    let declared = |encoding: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>{get}");
    let big_endian: Vec<u8> =
        [0xfeff].into_iter().chain(get.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    let mut lone = marked.to_vec();
    lone.extend([0x00, 0xd8]);
    let mut odd = marked.to_vec();
    odd.push(b' ');
    let cases = [
        (get.clone().into_bytes(), Some(Charset::Utf16Le), "charset_disagrees"),
        (marked.to_vec(), Some(Charset::Utf8), "charset_disagrees"),
        (marked[2..].to_vec(), Some(Charset::Utf16Le), "charset_unsupported"),
        (marked[2..].to_vec(), None, "charset_unsupported"),
        (big_endian, None, "charset_unsupported"),
        (declared("utf-16").into_bytes(), None, "charset_disagrees"),
        (utf16(&declared("utf-8")), None, "charset_disagrees"),
        (declared("utf-7").into_bytes(), None, "charset_unsupported"),
        (declared("iso-8859-1").into_bytes(), None, "charset_unsupported"),
        (get.replace("server01", "s\u{e9}rver").replace('\u{e9}', "?").into_bytes(), None, ""),
        ([&b"\xef\xbb\xbf"[..], &b"\xef\xbb\xbf"[..], get.as_bytes()].concat(), None, "not_well_formed"),
        ([get.as_bytes(), b"\xff"].concat(), None, "bad_encoding"),
        (lone, None, "bad_encoding"),
        (odd, None, "bad_encoding"),
    ];
    for (index, (body, charset, reason)) in cases.into_iter().enumerate() {
        match Envelope::parse(Bytes::from(body), charset, &limits) {
            Ok(_) => assert_eq!(reason, "", "case {index}"),
            Err(error) => {
                assert_eq!(error.reason(), reason, "case {index}");
                assert!(matches!(error.fault().number(), 2_150_858_828 | 2_150_858_817), "case {index}");
            }
        }
    }
}

#[test]
fn threat_45_utf_16_is_transcoded_once_and_those_bytes_are_sent_on() {
    let limits = Limits::default();
    let get = text("soap/soap-wmi-config/get-config.request.xml");
    let marked = vector("soap/soap-wmi-config/get-config.utf16le-bom.request.bin");
    let envelope = Envelope::parse(marked, Some(Charset::Utf16Le), &limits).expect("native");
    assert!(envelope.bytes().starts_with(b"<s:Envelope"));
    let again = parse(envelope.bytes()).expect("the same as UTF-8");
    assert_eq!(again.message_id(), envelope.message_id());
    let declared: Vec<u8> = format!("\u{feff}<?xml version=\"1.0\" encoding=\"UTF-16\"?>{get}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let envelope = Envelope::parse(Bytes::from(declared), Some(Charset::Utf16Le), &limits).expect("declared");
    assert_eq!(envelope.bytes(), get.as_bytes());
    let marked = Bytes::from([b"\xef\xbb\xbf", get.as_bytes()].concat());
    assert_eq!(
        Envelope::parse(marked, Some(Charset::Utf8), &limits).expect("marked").bytes(),
        get.as_bytes()
    );
}

#[test]
fn threat_46_an_envelope_above_the_bound_is_refused() {
    let get = vector("soap/soap-wmi-config/get-config.request.xml");
    let limits = Limits::with_envelope_bytes(get.len() - 1);
    let error = Envelope::parse(get.clone(), None, &limits).expect_err("too large");
    assert_eq!((error.reason(), error.fault().number()), ("envelope_too_large", 2_150_858_825));
    let marked = vector("soap/soap-wmi-config/get-config.utf16le-bom.request.bin");
    assert_eq!(Envelope::parse(marked, None, &limits).expect_err("too large"), error);
    assert!(Envelope::parse(get.clone(), None, &Limits::with_envelope_bytes(get.len())).is_ok());
}

#[test]
fn threat_48_a_sealed_body_that_is_not_exactly_two_parts_is_refused() {
    let limits = Limits::default();
    let spnego = sealed::content_type(Protocol::Spnego);
    let body = sealed::encode(Protocol::Spnego, Charset::Utf8, 4, &[1; 16], b"abcd");
    assert!(sealed::decode(spnego, &body, &limits).is_ok());
    let edit = |from: &str, to: &str| -> Vec<u8> {
        let at = body.windows(from.len()).position(|w| w == from.as_bytes()).expect(from);
        [&body[..at], to.as_bytes(), &body[at + from.len()..]].concat()
    };
    let cases = [
        (edit("--Encrypted Boundary\r\n", "--Other Boundary\r\n"), "sealed_shape"),
        (edit("HTTP-SPNEGO", "HTTP-Kerberos"), "sealed_shape"),
        (edit("\tOriginalContent", "\tX: y\r\n\tOriginalContent"), "sealed_shape"),
        (edit("\tOriginalContent", "\r\n\tOriginalContent"), "sealed_shape"),
        (edit("octet-stream", "soap+xml"), "sealed_shape"),
        (edit("session-encrypted\r\n", "session-encrypted\n"), "sealed_shape"),
        (edit("type=application/soap+xml", "type=text/plain"), "sealed_original_content"),
        (edit("charset=UTF-8", "charset=UTF-7"), "sealed_original_content"),
        (edit("Length=4", "Length=4;Length=5"), "sealed_original_content"),
        (edit("Length=4", "Length=-4"), "sealed_original_content"),
        (edit("Length=4", "Length=999999999"), "sealed_too_large"),
        (edit("Length=4", "Length=40"), "sealed_length"),
        (edit("\u{10}\0\0\0", "\u{7f}\0\0\0"), "sealed_length"),
        ([&body[..], b"x"].concat(), "sealed_truncated"),
        ([&body[..], &body[..]].concat(), "sealed_length"),
        (b"<s:Envelope/>".to_vec(), "sealed_truncated"),
        ([b"<s:Envelope/>\r\n", &body[..]].concat(), "sealed_shape"),
    ];
    for (index, (body, reason)) in cases.iter().enumerate() {
        let error = sealed::decode(spnego, body, &limits).expect_err(reason);
        assert_eq!(error.reason(), *reason, "case {index}");
    }
    for (content_type, error) in [
        ("application/soap+xml", SealedError::ContentType),
        ("multipart/encrypted", SealedError::ContentType),
        ("multipart/encrypted;protocol=\"x\"", SealedError::ContentType),
        (sealed::content_type(Protocol::CredSsp), SealedError::CredSsp),
        (&spnego.replace("multipart/encrypted", "multipart/x-multi-encrypted"), SealedError::MultiEncrypted),
        (
            &format!("{spnego};protocol=\"application/HTTP-Kerberos-session-encrypted\""),
            SealedError::ContentType,
        ),
    ] {
        assert_eq!(sealed::decode(content_type, &body, &limits), Err(error), "{content_type}");
    }
}

#[test]
fn threat_48_the_length_must_be_that_of_what_was_unsealed() {
    let limits = Limits::default();
    let body = vector("sealed/ntlm-raw-1-client.multipart.bin");
    let parts = sealed::decode(sealed::content_type(Protocol::Spnego), &body, &limits).expect("real");
    assert_eq!(parts.check_length(parts.length), Ok(()));
    assert_eq!(parts.check_length(parts.length - 2), Err(SealedError::Length));
    assert_eq!(parts.check_length(parts.length + 1), Err(SealedError::Length));
    let body = vector("sealed/krb5-rc4hmac-1-client.multipart.bin");
    let parts = sealed::decode(sealed::content_type(Protocol::Kerberos), &body, &limits).expect("real");
    assert_eq!(
        (parts.length, parts.check_length(95)),
        (96, Ok(())),
        "RC4 pads one byte, and clients count it"
    );
    assert_eq!(parts.check_length(94), Err(SealedError::Length));
}

fn text(name: &str) -> String {
    String::from_utf8(vector(name).to_vec()).expect("UTF-8")
}

const IDENTIFY: &str = "<s:Body><i:Identify \
    xmlns:i=\"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd\"/></s:Body>";
const ACTION: &str =
    "<a:Action s:mustUnderstand=\"true\">http://schemas.xmlsoap.org/ws/2004/09/transfer/Get</a:Action>";
