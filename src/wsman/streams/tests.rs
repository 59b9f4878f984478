use super::{ShellError, ShellLimits, ShellMessage, SignalCode};
use crate::wsman::EnvelopeError;

fn envelope(body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:r=\"http://schemas.microsoft.com/wbem/wsman/1/windows/shell\" xmlns:x=\"urn:x\"><s:Header>\
         <r:Send><r:Stream Name=\"stdin\">QQ==</r:Stream></r:Send></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

fn read(body: &str) -> Result<ShellMessage, ShellError> {
    ShellMessage::read(envelope(body).as_bytes(), &ShellLimits::default())
}

fn stream(content: &str) -> Result<Vec<u8>, ShellError> {
    let found = read(&format!("<r:Send><r:Stream Name=\"stdin\">{content}</r:Stream></r:Send>"))?;
    Ok(found.streams.into_iter().next().expect("one").data)
}

#[test]
fn base64_may_be_spaced_and_nothing_else() {
    for (content, data) in [
        ("", &b""[..]),
        ("QUJD", b"ABC"),
        (" Q U\r\nJ\tD ", b"ABC"),
        ("Q&#85;J<![CDATA[D]]>", b"ABC"),
        ("QQ==\n", b"A"),
    ] {
        assert_eq!(stream(content).as_deref(), Ok(data), "{content:?}");
    }
    for content in ["QQ", "QQ=", "QQ===", "Q=Q=", "QQ==QQ==", "QR==", "QUJD*", "QUJ-", "\u{a0}QUJD", "%"] {
        assert_eq!(stream(content), Err(ShellError::Base64 { element: "Stream" }), "{content:?}");
    }
    for content in ["QU<!-- -->JD", "QU<x:y/>JD"] {
        assert_eq!(stream(content), Err(ShellError::Shape { element: "Stream" }), "{content:?}");
    }
}

#[test]
fn streams_keep_their_order_their_command_and_their_end() {
    let found = read(
        "<r:ReceiveResponse><r:Stream Name=\"stdout\" CommandId=\"C1\">QQ==</r:Stream><r:Stream Name=\"stderr\" End=\"1\"/>\
         <r:Stream Name=\"stdout\" CommandId=\"c1\" End=\"TRUE\"></r:Stream><r:CommandState CommandId=\"C1\" \
         State=\"http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done\"><r:ExitCode> -1 </r:ExitCode>\
         </r:CommandState></r:ReceiveResponse>",
    )
    .expect("an answer");
    let told: Vec<_> =
        found.streams.iter().map(|s| (s.name.as_str(), s.command_id.is_some(), s.end, &s.data[..])).collect();
    assert_eq!(
        told,
        [("stdout", true, false, &b"A"[..]), ("stderr", false, true, b""), ("stdout", true, true, b"")]
    );
    assert_eq!(found.streams[0].command_id, found.streams[2].command_id);
    let [state] = &found.states[..] else { panic!("one state") };
    assert_eq!((state.done, state.exit_code), (true, Some(-1)));
}

#[test]
fn a_command_line_is_kept_as_it_was_sent() {
    let found = read(
        "<r:CommandLine><r:Command><![CDATA[a & \"b\"]]> &lt;</r:Command><r:Arguments>c  d</r:Arguments><r:Arguments/></r:CommandLine>",
    )
    .expect("a command");
    let command = found.command.expect("a command");
    assert_eq!(
        (command.command.as_str(), &command.arguments[..]),
        ("a & \"b\" <", &["c  d".to_owned(), String::new()][..])
    );
    assert_eq!(command.line(), "a & \"b\" < c  d ");
    assert!(command.fragments().is_err());
    let encoded = "<r:CommandLine><r:Command>powershell</r:Command><r:Arguments>-enc</r:Arguments><r:Arguments>dwA=</r:Arguments></r:CommandLine>";
    let command = read(encoded).expect("a command").command.expect("a command");
    assert_eq!(command.encoded_commands().first().and_then(|found| found.script.as_deref()), Some("w"));
}

#[test]
fn signals_are_told_apart_whatever_their_spelling() {
    let prefix = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/";
    for (code, expected) in [
        (format!("{prefix}ctrl_c"), SignalCode::CtrlC),
        (format!("{prefix}ctrl_break"), SignalCode::CtrlBreak),
        (format!(" {prefix}Terminate\n"), SignalCode::Terminate),
        (format!("{prefix}terminate"), SignalCode::Terminate),
        ("powershell/signal/crtl_c".to_owned(), SignalCode::StopPipeline),
        ("powershell/signal/ctrl_c".to_owned(), SignalCode::StopPipeline),
        ("ctrl_c".to_owned(), SignalCode::Other),
    ] {
        let found =
            read(&format!("<r:Signal CommandId=\"C1\"><r:Code>{code}</r:Code></r:Signal>")).expect(&code);
        let signal = found.signal.expect("a signal");
        assert_eq!((signal.code, signal.command_id.is_some()), (expected, true), "{code}");
    }
}

#[test]
fn a_shell_is_described_and_its_first_fragments_are_found() {
    let found = read(
        "<r:Shell Name=\"mine\" ShellId=\"S1\"><r:IdleTimeOut>PT7200.000S</r:IdleTimeOut><r:ResourceUri>\
         http://schemas.microsoft.com/powershell/Jea</r:ResourceUri><creationXml \
         xmlns=\"http://schemas.microsoft.com/powershell\">QUJD</creationXml></r:Shell>",
    )
    .expect("a shell");
    let shell = found.shell.expect("a shell");
    assert_eq!((shell.name.as_deref(), shell.idle_timeout.as_deref()), (Some("mine"), Some("PT7200.000S")));
    assert_eq!(shell.resource_uri.expect("told").as_str(), "http://schemas.microsoft.com/powershell/Jea");
    assert_eq!(shell.shell_id.expect("told").as_str(), "S1");
    assert_eq!(found.opening.as_deref(), Some(&b"ABC"[..]));
    for element in ["connectXml", "connectResponseXml"] {
        let body = format!("<r:Connect><x:{element}>QQ==</x:{element}></r:Connect>");
        assert_eq!(read(&body).expect(element).opening.as_deref(), Some(&b"A"[..]));
    }
}

#[test]
fn look_alikes_are_not_read_and_doubles_are_refused() {
    let quiet = read("<x:Send><r:Stream Name=\"a\">QQ==</r:Stream></x:Send><r:Other><r:Send/></r:Other>")
        .expect("nothing");
    assert_eq!(quiet, ShellMessage::default());
    let line = "<r:CommandLine><r:Command>a</r:Command></r:CommandLine>";
    for (body, element) in [
        (format!("{line}{line}"), "CommandLine"),
        (line.replace("</r:CommandLine>", "<r:Command>b</r:Command></r:CommandLine>"), "Command"),
        (line.replace(">a<", "><!-- -->a<"), "Command"),
        ("<r:Send><r:Stream>QQ==</r:Stream></r:Send>".to_owned(), "Stream"),
        ("<r:Send><r:Stream Name=\"a\" CommandId=\"\"/></r:Send>".to_owned(), "Stream"),
        ("<r:Signal/>".to_owned(), "Code"),
        ("<r:Connect><x:connectXml/><x:connectXml/></r:Connect>".to_owned(), "connectXml"),
        (
            "<r:ReceiveResponse><r:CommandState><r:ExitCode>4294967296</r:ExitCode></r:CommandState></r:ReceiveResponse>".to_owned(),
            "ExitCode",
        ),
    ] {
        assert_eq!(read(&body), Err(ShellError::Shape { element }), "{body}");
    }
}

#[test]
fn hosts_may_answer_in_utf_16() {
    let text = envelope("<r:Send><r:Stream Name=\"stdin\">QQ==</r:Stream></r:Send>");
    let units: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let found = ShellMessage::read(&units, &ShellLimits::default());
    assert_eq!(found, ShellMessage::read(text.as_bytes(), &ShellLimits::default()));
    assert_eq!(found.expect("an envelope").streams.len(), 1);
}

#[test]
fn the_bounds_hold() {
    let many = |count: usize, element: &str| element.repeat(count);
    let streams = format!("<r:Send>{}</r:Send>", many(4097, "<r:Stream Name=\"a\"/>"));
    assert_eq!(read(&streams), Err(ShellError::TooMany { what: "streams", limit: 4096 }));
    let arguments = format!("<r:CommandLine>{}</r:CommandLine>", many(1025, "<r:Arguments/>"));
    assert_eq!(read(&arguments), Err(ShellError::TooMany { what: "arguments", limit: 1024 }));
    let large = format!("<r:Send><r:Stream Name=\"a\">{}</r:Stream></r:Send>", "A".repeat(512_000));
    assert_eq!(read(&large), Err(ShellError::Envelope(EnvelopeError::TooLarge { limit: 512_000 })));
    assert_eq!(
        ShellMessage::read(b"<a/>", &ShellLimits::default()),
        Err(EnvelopeError::EnvelopeShape.into())
    );
    assert!(ShellMessage::read(b"\xff", &ShellLimits::default()).is_err());
}
