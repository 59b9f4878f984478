use std::fs;
use std::path::Path;

use proptest::prelude::{any, prop, proptest};

use super::{
    Content, Direction, ErrorReport, FragmentError, Level, Message, MessageType, Pipeline, PipelineState,
    PoolState, Reassembler, ReassemblyLimits,
};
use crate::wsman::clixml::{ClixmlError, Limits, SEALED};

fn fragment(object: u64, number: u64, flags: u8, blob: &[u8]) -> Vec<u8> {
    let length = u32::try_from(blob.len()).expect("short").to_be_bytes();
    [&object.to_be_bytes()[..], &number.to_be_bytes(), &[flags], &length, blob].concat()
}

fn message(destination: u8, kind: u32, content: &str) -> Vec<u8> {
    let rpid: [u8; 16] = std::array::from_fn(|at| u8::try_from(at).expect("small"));
    [&[destination, 0, 0, 0][..], &kind.to_le_bytes(), &rpid, &[0; 16], content.as_bytes()].concat()
}

fn small() -> Reassembler {
    let limits = ReassemblyLimits { object_bytes: 100, objects: 2, held_bytes: 150 };
    Reassembler::new(Direction::ToClient, limits)
}

/// Pushes each, and tells the first error and how many messages came before it.
fn push(reassembler: &mut Reassembler, fragments: &[Vec<u8>]) -> (usize, Option<FragmentError>) {
    let mut messages = Vec::new();
    let error = fragments.iter().find_map(|bytes| reassembler.push(bytes, &mut messages).err());
    (messages.len(), error)
}

fn whole(object: u64) -> Vec<u8> {
    fragment(object, 0, 3, &message(1, 0x0004_1004, ""))
}

/// The value of a string in the vector's file.
fn hexadecimal(value: &serde_json::Value) -> Vec<u8> {
    let text = value.as_str().expect("a string");
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).expect("ASCII"), 16).expect("digits")).collect()
}

#[test]
fn the_vector_is_put_together_however_it_is_cut_between_fragments() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/psrp/fragments.json");
    let vector: serde_json::Value = serde_json::from_slice(&fs::read(path).expect("there")).expect("JSON");
    let mut fragments: Vec<_> =
        vector["fragments_hex"].as_array().expect("three").iter().map(hexadecimal).collect();
    fragments.push(hexadecimal(&vector["second_message_single_fragment_hex"]));
    for pieces in [fragments.clone(), vec![fragments.concat()]] {
        let mut reassembler = Reassembler::new(Direction::ToClient, ReassemblyLimits::default());
        let mut messages = Vec::new();
        for piece in &pieces {
            reassembler.push(piece, &mut messages).expect("as sent");
        }
        let [first, second] = &messages[..] else { panic!("two messages: {messages:?}") };
        assert_eq!(first.bytes(), hexadecimal(&vector["message_hex"]));
        assert_eq!((first.kind(), first.object_id()), (MessageType::PipelineOutput, 7));
        assert_eq!(first.rpid().to_string(), vector["rpid"].as_str().expect("a string"));
        assert_eq!(first.pid().map(|pid| pid.to_string()).as_deref(), vector["pid"].as_str());
        assert_eq!(first.content(), b"<S>hello</S>");
        assert_eq!(Content::read(first, &Limits::default()), Ok(Content::Output("hello".to_owned())));
        let state = Content::PipelineState { state: PipelineState::Completed, error: None };
        assert_eq!(Content::read(second, &Limits::default()), Ok(state));
        assert_eq!(reassembler.unfinished(), 0);
    }
}

#[test]
fn threat_47_what_two_receivers_might_put_together_in_two_ways_is_refused() {
    let open = fragment(1, 0, 1, &[0; 30]);
    let object = 1;
    for (name, fragments, error) in [
        ("a gap", vec![open.clone(), fragment(1, 2, 2, b"")], FragmentError::Gap { object }),
        (
            "a repeat",
            vec![open.clone(), fragment(1, 1, 0, b""), fragment(1, 1, 2, b"")],
            FragmentError::Repeated { object },
        ),
        ("the first again", vec![open.clone(), open.clone()], FragmentError::Repeated { object }),
        ("a late start", vec![open, fragment(1, 1, 3, b"")], FragmentError::Start { object }),
        ("no start flag", vec![fragment(1, 0, 2, b"")], FragmentError::Start { object }),
        ("no start", vec![fragment(1, 1, 2, b"")], FragmentError::NotBegun { object }),
        ("reserved flags", vec![fragment(1, 0, 7, b"")], FragmentError::ReservedFlags { object }),
        ("object 0", vec![fragment(0, 0, 3, b"")], FragmentError::ObjectZero),
        ("an object again", vec![whole(1), whole(1)], FragmentError::Reused { object }),
        (
            "an older object again",
            vec![whole(1), whole(2), whole(3), whole(1)],
            FragmentError::Reused { object },
        ),
        ("a header cut", vec![whole(1)[..20].to_vec()], FragmentError::Truncated),
        ("a blob cut", vec![[whole(2), whole(1)[..60].to_vec()].concat()], FragmentError::Truncated),
        ("no message", vec![fragment(1, 0, 3, &[0; 39])], FragmentError::ShortMessage { object }),
        (
            "the wrong way",
            vec![fragment(1, 0, 3, &message(2, 0x0004_1004, ""))],
            FragmentError::Destination { object },
        ),
        (
            "one too large",
            vec![fragment(1, 0, 3, &[0; 101])],
            FragmentError::ObjectTooLarge { object, limit: 100 },
        ),
        (
            "one that grows",
            vec![fragment(1, 0, 1, &[0; 30]), fragment(1, 1, 0, &[0; 71])],
            FragmentError::ObjectTooLarge { object, limit: 100 },
        ),
        (
            "too many",
            vec![fragment(1, 0, 1, b""), fragment(2, 0, 1, b""), fragment(3, 0, 1, b"")],
            FragmentError::TooManyObjects { limit: 2 },
        ),
        (
            "too much",
            vec![fragment(1, 0, 1, &[0; 90]), fragment(2, 0, 1, &[0; 61])],
            FragmentError::TooManyBytes { limit: 150 },
        ),
    ] {
        let (_, found) = push(&mut small(), &fragments);
        assert_eq!(found, Some(error), "{name}");
    }
}

#[test]
fn after_an_error_the_object_is_given_up_and_others_go_on() {
    let mut reassembler = small();
    let body = message(1, 0x0004_1004, "<S>a</S>");
    let error = push(&mut reassembler, &[fragment(1, 0, 1, &body), fragment(1, 2, 2, b"")]);
    assert_eq!(error, (0, Some(FragmentError::Gap { object: 1 })));
    assert_eq!((reassembler.unfinished(), reassembler.held), (0, 0));
    let error = push(&mut reassembler, &[fragment(1, 1, 2, b"")]);
    assert_eq!(error, (0, Some(FragmentError::Reused { object: 1 })), "nothing of it is ever reported");
    assert_eq!(
        push(&mut reassembler, &[[whole(2), whole(3), whole(2), whole(4)].concat()]),
        (2, Some(FragmentError::Reused { object: 2 }))
    );
    assert_eq!(push(&mut reassembler, &[whole(4)]), (1, None));
}

#[test]
fn what_a_host_sends_again_after_a_reconnect_is_passed_over_once() {
    let body = message(1, 0x0004_1004, "<S>a</S>");
    let begun = fragment(2, 0, 1, &body[..41]);
    let rest = fragment(2, 1, 2, &body[41..]);
    let mut reassembler = small();
    assert_eq!(push(&mut reassembler, &[whole(1), begun.clone()]), (1, None));
    reassembler.expect_resent();
    assert_eq!(push(&mut reassembler, &[whole(1), [begun, rest].concat()]), (1, None));
    assert_eq!(push(&mut reassembler, &[whole(1)]), (0, Some(FragmentError::Reused { object: 1 })));
}

#[test]
fn objects_that_take_turns_are_kept_apart() {
    let body = |text: &str| message(1, 0x0004_1004, &format!("<S>{text}</S>"));
    let (one, two) = (body("one"), body("two"));
    let mut reassembler = small();
    let mut messages = Vec::new();
    for bytes in [
        fragment(1, 0, 1, &one[..41]),
        fragment(2, 0, 1, &two[..20]),
        fragment(2, 1, 2, &two[20..]),
        fragment(1, 1, 2, &one[41..]),
    ] {
        reassembler.push(&bytes, &mut messages).expect("in order");
    }
    let texts: Vec<&[u8]> = messages.iter().map(Message::content).collect();
    assert_eq!(texts, [&b"<S>two</S>"[..], b"<S>one</S>"]);
    assert_eq!(reassembler.held, 0);
    assert_eq!(messages[0].rpid().to_string(), "03020100-0504-0706-0809-0a0b0c0d0e0f", ".NET's order");
    assert_eq!(
        push(&mut reassembler, &[whole(5), whole(3), whole(4)]),
        (3, None),
        "answers of two pipelines overtake"
    );
}

proptest! {
    #[test]
    fn any_message_comes_back_however_it_is_cut(
        content in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let body = [message(2, 0x0002_1006, ""), content].concat();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len())).chain([0, body.len()]).collect();
        at.sort_unstable();
        let last = at.len() - 2;
        let pieces = at.windows(2).enumerate().map(|(number, range)| {
            let flags = u8::from(number == 0) | u8::from(number == last) << 1;
            fragment(9, u64::try_from(number).expect("small"), flags, &body[range[0]..range[1]])
        });
        let mut reassembler = Reassembler::new(Direction::ToServer, ReassemblyLimits::default());
        let mut messages = Vec::new();
        for piece in pieces {
            reassembler.push(&piece, &mut messages).expect("in order");
        }
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].bytes(), &body[..]);
    }

    #[test]
    fn noise_never_panics_and_never_holds_more_than_the_bounds(
        noise in prop::collection::vec((0_u64..4, 0_u64..3, 0_u8..4, prop::collection::vec(any::<u8>(), 0..60)), 0..40),
    ) {
        let mut reassembler = small();
        let mut messages = Vec::new();
        for (object, number, flags, blob) in noise {
            let _ = reassembler.push(&fragment(object, number, flags, &blob), &mut messages);
            assert!(reassembler.unfinished() <= 2 && reassembler.held <= 150);
        }
    }
}

fn read(kind: u32, content: &str) -> Result<Content, ClixmlError> {
    let message = Message::read(1, message(1, kind, content), Direction::ToClient).expect("a message");
    Content::read(&message, &Limits::default())
}

fn pipeline(content: &str) -> Result<Pipeline, ClixmlError> {
    let content = read(0x0002_1006, content)?;
    if let Content::Pipeline(pipeline) = content { Ok(pipeline) } else { panic!("{content:?}") }
}

/// The members of one command.
fn command(name: &str, is_script: bool, parameters: &str) -> String {
    format!(
        "<Obj><MS><S N=\"Cmd\">{name}</S><B N=\"IsScript\">{is_script}</B><Obj N=\"Args\"><LST>{parameters}</LST></Obj></MS></Obj>"
    )
}

fn parameter(name: &str, value: &str) -> String {
    format!("<Obj><MS>{name}{value}</MS></Obj>")
}

fn powershell(cmds: &str, extra: Option<&[String]>) -> String {
    let extra = extra.map_or_else(String::new, |statements| {
        let all: String = statements
            .iter()
            .map(|cmds| format!("<Obj><MS><Obj N=\"Cmds\"><LST>{cmds}</LST></Obj></MS></Obj>"))
            .collect();
        format!("<Obj N=\"ExtraCmds\"><LST>{all}</LST></Obj>")
    });
    format!(
        "<Obj RefId=\"0\"><MS><Obj N=\"PowerShell\" RefId=\"p\"><MS><B N=\"IsNested\">false</B>{extra}\
         <Obj N=\"Cmds\" RefId=\"c\"><LST>{cmds}</LST></Obj><Nil N=\"History\"/></MS></Obj></MS></Obj>"
    )
}

#[test]
fn a_pipeline_is_read_with_its_parameters() {
    let parameters = [
        parameter("<S N=\"N\">-Name</S>", "<S N=\"V\">a b</S>"),
        parameter("<Nil N=\"N\"/>", "<I32 N=\"V\">5</I32>"),
        parameter("<S N=\"N\">Password</S>", "<SS N=\"V\">c2VjcmV0</SS>"),
        parameter("<S N=\"N\">Force</S>", "<Nil N=\"V\"/>"),
        parameter("", "<Nil N=\"V\"/>"),
    ];
    let cmds = command("Get-Item", false, &parameters.concat()) + &command("Out-Default", false, "");
    let found = pipeline(&powershell(&cmds, None)).expect("a pipeline");
    let expected = format!("Get-Item -Name 'a b' 5 -Password {SEALED} -Force $null | Out-Default");
    assert_eq!(found.text(), expected);
    assert!(found.is_commands_only() && found.stray.is_none() && !found.nested);
    assert_eq!(found.statements[0].commands.len(), 2);
}

#[test]
fn every_statement_of_extra_cmds_is_read_and_a_stray_cmds_is_told() {
    let first = command("whoami_x000A_hostname", true, "");
    let second = command("Get-Date", false, "");
    let honest = pipeline(&powershell(&first, Some(&[first.clone(), second.clone()]))).expect("a pipeline");
    assert_eq!(honest.text(), "whoami\nhostname\nGet-Date");
    assert!(honest.stray.is_none() && !honest.is_commands_only());
    let hidden = pipeline(&powershell(&second, Some(&[first.clone(), second.clone()]))).expect("a pipeline");
    assert_eq!(hidden.text(), "whoami\nhostname\nGet-Date");
    assert_eq!(hidden.stray.as_ref().map(super::Statement::text).as_deref(), Some("Get-Date"));
    assert_eq!(hidden.commands().count(), 3);
    let empty = pipeline(&powershell(&first, Some(&[]))).expect("a pipeline");
    assert_eq!(empty.text(), "whoami\nhostname");
    let only_stray = pipeline(&powershell(&first, Some(&[second]))).expect("a pipeline");
    assert!(!only_stray.is_commands_only(), "what is in `Cmds` counts as well");
}

#[test]
fn a_pipeline_is_followed_through_references_and_wrappers() {
    let script = "<Obj><MS><Obj N=\"Cmd\"><ToString>harmless</ToString><S>real</S></Obj><B N=\"IsScript\">true</B></MS></Obj>";
    let list = format!("<Obj RefId=\"l\" N=\"Other\"><LST>{script}</LST></Obj>");
    let content = format!(
        "<Obj RefId=\"0\"><MS>{list}<Obj N=\"powershell\"><MS><Ref N=\"CMDS\" RefId=\"l\"/></MS></Obj></MS></Obj>"
    );
    assert_eq!(pipeline(&content).expect("a pipeline").text(), "real");
}

#[test]
fn a_pipeline_that_could_be_read_in_two_ways_is_not_read() {
    let cmds = command("a", true, "");
    let plain = powershell(&cmds, None);
    for (from, to, error) in [
        ("N=\"Cmds\"", "N=\"Commands\"", ClixmlError::Missing { name: "Cmds" }),
        ("N=\"PowerShell\"", "N=\"Other\"", ClixmlError::Missing { name: "PowerShell" }),
        ("N=\"History\"", "N=\"cmds\"", ClixmlError::Ambiguous { name: "Cmds" }),
        ("<S N=\"Cmd\">", "<S N=\"cmd\">b</S><S N=\"Cmd\">", ClixmlError::Ambiguous { name: "Cmd" }),
        ("<S N=\"Cmd\">a</S>", "<I32 N=\"Cmd\">1</I32>", ClixmlError::Missing { name: "Cmd" }),
        (
            "<S N=\"Cmd\">a</S>",
            "<Obj N=\"Cmd\"><ToString>a</ToString></Obj>",
            ClixmlError::Missing { name: "Cmd" },
        ),
        ("<B N=\"IsScript\">true</B>", "", ClixmlError::Missing { name: "IsScript" }),
        ("<LST><Obj><MS><S", "<STK><Obj><MS><S", ClixmlError::NotXml),
    ] {
        assert!(plain.contains(from), "{from}");
        assert_eq!(pipeline(&plain.replacen(from, to, 1)), Err(error), "{to}");
    }
    let stack =
        plain.replace("<LST><Obj>", "<STK><Obj>").replace("</Obj></LST></Obj><Nil", "</Obj></STK></Obj><Nil");
    assert_eq!(pipeline(&stack), Err(ClixmlError::Shape { expected: "a list" }));
}

#[test]
fn references_do_not_make_a_pipeline_longer_than_its_message() {
    let script = command(&"x".repeat(10_000), true, "");
    let references = |count: usize| {
        let first = "<Obj RefId=\"s\"><MS><Ref N=\"Cmds\" RefId=\"c\"/></MS></Obj>".to_owned();
        let again = "<Ref RefId=\"s\"/>".repeat(count);
        format!(
            "<Obj RefId=\"0\"><MS><Obj N=\"PowerShell\" RefId=\"p\"><MS><Obj N=\"Cmds\" RefId=\"c\"><LST>{script}</LST></Obj>\
             <Obj N=\"ExtraCmds\"><LST>{first}{again}</LST></Obj></MS></Obj></MS></Obj>"
        )
    };
    assert_eq!(pipeline(&references(2)).expect("a pipeline").statements.len(), 3);
    assert!(matches!(pipeline(&references(9_000)), Err(ClixmlError::TooLarge { .. })));
}

#[test]
fn many_small_commands_are_read() {
    let cmds: String = (0..5_000).map(|_| command("a", false, "")).collect();
    assert_eq!(pipeline(&powershell(&cmds, None)).expect("a pipeline").commands().count(), 5_000);
    let parameters: String = (0..5_000).map(|_| parameter("", "<Nil N=\"V\"/>")).collect();
    let cmds = command("a", false, &parameters);
    assert_eq!(
        pipeline(&powershell(&cmds, None)).expect("a pipeline").statements[0].commands[0].parameters.len(),
        5_000
    );
}

#[test]
fn states_errors_records_and_calls_are_told_apart() {
    let failed = "<Obj RefId=\"0\"><MS><I32 N=\"PipelineState\">5</I32><Obj N=\"ExceptionAsErrorRecord\" RefId=\"1\">\
        <ToString>shown</ToString><MS><Obj N=\"Exception\" RefId=\"2\"><Props><S N=\"Message\">it broke</S></Props></Obj>\
        <S N=\"FullyQualifiedErrorId\">Broken</S></MS></Obj></MS></Obj>";
    let error = Some(ErrorReport { message: "it broke".to_owned(), id: Some("Broken".to_owned()) });
    assert_eq!(read(0x0004_1006, failed), Ok(Content::PipelineState { state: PipelineState::Failed, error }));
    let pool = "<Obj RefId=\"0\"><MS><I32 N=\"RunspaceState\">9</I32></MS></Obj>";
    assert_eq!(read(0x0002_1005, pool), Ok(Content::PoolState { state: PoolState::Other(9), error: None }));
    let plain = ErrorReport { message: "only this".to_owned(), id: None };
    assert_eq!(
        read(0x0004_1005, "<Obj RefId=\"0\"><ToString>only this</ToString></Obj>"),
        Ok(Content::Error(plain))
    );
    let warning = "<Obj RefId=\"0\"><ToString>x</ToString><MS><S N=\"InformationalRecord_Message\">careful</S></MS></Obj>";
    let record = |level, text: &str| Ok(Content::Record { level, text: text.to_owned() });
    assert_eq!(read(0x0004_1009, warning), record(Level::Warning, "careful"));
    let information = "<Obj RefId=\"0\"><Props><Obj N=\"MessageData\" RefId=\"1\"><ToString>hi</ToString></Obj></Props></Obj>";
    assert_eq!(read(0x0004_1011, information), record(Level::Information, "hi"));
    let progress = "<Obj RefId=\"0\"><MS><S N=\"Activity\">a</S><S N=\"StatusDescription\">b</S></MS></Obj>";
    assert_eq!(
        read(0x0004_1010, progress),
        Ok(Content::Progress { activity: "a".to_owned(), status: "b".to_owned() })
    );
    assert_eq!(read(0x0004_1003, ""), Ok(Content::EndOfInput));
    assert_eq!(read(0x0001_0006, "<S>x</S>"), Ok(Content::Housekeeping(MessageType::EncryptedSessionKey)));
    assert_eq!(read(0x1234_5678, "garbage"), Ok(Content::Housekeeping(MessageType::Other(0x1234_5678))));
    assert_eq!(read(0x0004_1006, "<Obj RefId=\"0\"/>"), Err(ClixmlError::Missing { name: "PipelineState" }));
}

#[test]
fn host_calls_and_their_answers_are_read() {
    let call = "<Obj RefId=\"0\"><MS><I64 N=\"ci\">-100</I64><Obj N=\"mi\" RefId=\"1\"><ToString>WriteLine2</ToString>\
        <I32>16</I32></Obj><Obj N=\"mp\" RefId=\"2\"><LST><S>hello</S></LST></Obj></MS></Obj>";
    let Ok(Content::HostCall(found)) = read(0x0004_1100, call) else { panic!("a call") };
    assert_eq!((found.call, found.name(), found.written.as_deref()), (-100, "WriteLine2", Some("hello\n")));
    assert_eq!(found.parameters, "@(hello)");
    let answer = "<Obj RefId=\"0\"><MS><I64 N=\"ci\">1</I64><Obj N=\"mi\" RefId=\"1\"><I32>12</I32></Obj><SS N=\"mr\">c2Vj</SS></MS></Obj>";
    let Ok(Content::HostResponse(found)) = read(0x0004_1101, answer) else { panic!("an answer") };
    assert_eq!((found.name(), found.result.as_deref()), ("ReadLineAsSecureString", Some(SEALED)));
}

#[test]
fn the_content_of_a_message_is_not_shown_by_debug() {
    let message =
        Message::read(1, message(1, 0x0004_1004, "<S>typed</S>"), Direction::ToClient).expect("a message");
    assert!(!format!("{message:?}").contains("116"), "no bytes of the content");
}
