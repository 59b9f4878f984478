use proptest::prelude::{any, prop, proptest};

use super::{ClixmlError, Document, Limits, SEALED};

fn parse(text: &str) -> Result<Document, ClixmlError> {
    Document::parse(text.as_bytes(), &Limits::default())
}

fn shown(text: &str) -> (String, String) {
    let document = parse(text).expect(text);
    (document.root().display(), document.root().literal())
}

#[test]
fn values_are_shown_as_the_console_does_and_as_they_are_typed() {
    for (xml, display, literal) in [
        ("<S>a b_x000A_c</S>", "a b\nc", "'a b\nc'"),
        ("<S>it's</S>", "it's", "'it''s'"),
        ("<S></S>", "", "''"),
        ("<S>-enc</S>", "-enc", "'-enc'"),
        ("<S>C:\\x</S>", "C:\\x", "C:\\x"),
        ("<Nil/>", "", "$null"),
        ("<B>true</B>", "True", "$true"),
        ("<I32> 7 </I32>", "7", "7"),
        ("<BA>AQIDBA==</BA>", "[6 bytes]", "[6 bytes]"),
        ("<SS>AAAA</SS>", SEALED, SEALED),
        ("<Obj RefId=\"0\"><LST><S>a</S><I32>1</I32></LST></Obj>", "a\n1", "@(a, 1)"),
        (
            "<Obj RefId=\"0\"><DCT><En><S N=\"Key\">k</S><SS N=\"Value\">x</SS></En></DCT></Obj>",
            "@{k=«sealed»}",
            "@{k=«sealed»}",
        ),
        ("<Obj RefId=\"0\"><ToString>Monday</ToString><I32>1</I32></Obj>", "Monday", "Monday (1)"),
        ("<Obj RefId=\"0\"><ToString>harmless</ToString><S>real</S></Obj>", "real", "real"),
        ("<Obj RefId=\"0\"><ToString>x</ToString><MS><S N=\"a\">b</S></MS></Obj>", "x", "@{a=b}"),
        ("<Obj RefId=\"0\"><TN><T>A</T></TN><ToString>x y</ToString></Obj>", "x y", "'x y'"),
        ("<S>a<![CDATA[<b>]]><!-- c -->&amp;d</S>", "a<b>&d", "'a<b>&d'"),
        ("<S>a\r\nb\rc&#13;</S>", "a\nb\nc\r", "'a\nb\nc\r'"),
        ("<x:S xmlns:x=\"urn:any\">a</x:S>", "a", "a"),
    ] {
        assert_eq!(shown(xml), (display.to_owned(), literal.to_owned()), "{xml}");
    }
}

#[test]
fn members_are_found_as_powershell_finds_them() {
    let document = parse(
        "<Obj RefId=\"0\"><MS><S N=\"Cmd\">a</S><Obj N=\"_x004C_ist\" RefId=\"1\"><LST><S>x</S></LST></Obj></MS>\
         <Props><B N=\"isscript\">1</B><Ref N=\"Again\" RefId=\"1\"/></Props></Obj>",
    )
    .expect("well-formed");
    let root = document.root();
    assert_eq!(root.required("cmd").expect("there").as_str(), Some("a"));
    assert_eq!(root.required("IsScript").expect("there").as_bool(), Some(true));
    for name in ["List", "Again"] {
        let items: Vec<_> = root.required(name).expect(name).items().expect("a list").collect();
        assert_eq!(items.first().and_then(|item| item.as_str()), Some("x"), "{name}");
    }
    assert!(root.member("None").expect("unambiguous").is_none());
    assert_eq!(root.required("None").err(), Some(ClixmlError::Missing { name: "None" }));
    assert!(matches!(root.required("Cmd").expect("there").items().err(), Some(ClixmlError::Shape { .. })));
    let wrapped = parse(
        "<Obj RefId=\"0\"><ToString>x</ToString><Obj RefId=\"1\"><Props><S N=\"A\">a</S></Props><LST><S>b</S></LST></Obj>\
         <MS><S N=\"B\">b</S></MS></Obj>",
    )
    .expect("well-formed");
    assert_eq!(wrapped.root().required("a").expect("the inner one's").as_str(), Some("a"));
    assert_eq!(wrapped.root().required("b").expect("its own").as_str(), Some("b"));
    assert_eq!(wrapped.root().items().expect("the inner one's").count(), 1);
    let wrapped =
        parse("<Obj><Obj><ToString>harmless</ToString><S>real</S></Obj></Obj>").expect("well-formed");
    assert_eq!(wrapped.root().as_str(), Some("real"));
    let wrapped = parse(
        "<Obj RefId=\"0\"><Obj RefId=\"1\"><MS><S N=\"A\">a</S></MS></Obj><MS><S N=\"a\">b</S></MS></Obj>",
    )
    .expect("well-formed");
    assert_eq!(wrapped.root().member("A").err(), Some(ClixmlError::Ambiguous { name: "A" }));
    let twice = parse("<Obj RefId=\"0\"><MS><S N=\"Cmd\">a</S></MS><Props><S N=\"CMD\">b</S></Props></Obj>")
        .expect("xml");
    assert_eq!(twice.root().member("Cmd").err(), Some(ClixmlError::Ambiguous { name: "Cmd" }));
}

#[test]
fn hostile_documents_are_refused_for_their_own_reason() {
    let deep = |levels: usize| format!("{}{}", "<Obj><LST>".repeat(levels), "</LST></Obj>".repeat(levels));
    let many = |count: usize| format!("<Obj><LST>{}</LST></Obj>", "<Nil/>".repeat(count));
    let refs =
        |count: usize| format!("<Obj RefId=\"0\"><LST>{}</LST></Obj>", "<Ref RefId=\"0\"/>".repeat(count));
    for (xml, error) in [
        (deep(65), ClixmlError::TooDeep),
        (many(200_000), ClixmlError::TooManyValues { limit: 200_000 }),
        (refs(10_001), ClixmlError::TooManyReferences { limit: 10_000 }),
        ("x".repeat(16 * 1024 * 1024 + 1), ClixmlError::TooLarge { limit: 16 * 1024 * 1024 }),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><S>&b;</S>".to_owned(), ClixmlError::Declares),
        ("<S>&b;</S>".to_owned(), ClixmlError::Declares),
        ("<?x y?><S>a</S>".to_owned(), ClixmlError::Declares),
        ("<S>a</S><S>b</S>".to_owned(), ClixmlError::NotXml),
        (String::new(), ClixmlError::NotXml),
        ("<S>a".to_owned(), ClixmlError::NotXml),
        ("<S>\u{1}</S>".to_owned(), ClixmlError::NotXml),
        ("<S>&#0;</S>".to_owned(), ClixmlError::NotXml),
        ("<Objs/>".to_owned(), ClixmlError::Element),
        ("<S><S>a</S></S>".to_owned(), ClixmlError::Element),
        ("<Obj>text</Obj>".to_owned(), ClixmlError::Element),
        ("<Obj RefId=\"0\"><Ref RefId=\"0\"/></Obj>".to_owned(), ClixmlError::Element),
        ("<Obj><S>a</S><LST/></Obj>".to_owned(), ClixmlError::Shape { expected: "one base value" }),
        (
            "<Obj><DCT><En><S N=\"Key\">a</S></En></DCT></Obj>".to_owned(),
            ClixmlError::Shape { expected: "a key with its value" },
        ),
        ("<B>maybe</B>".to_owned(), ClixmlError::Shape { expected: "a truth value" }),
        ("<Obj RefId=\"0\"><LST><Ref RefId=\"1\"/></LST></Obj>".to_owned(), ClixmlError::UndefinedReference),
        ("<Ref/>".to_owned(), ClixmlError::UndefinedReference),
        ("<Obj RefId=\"0\"><LST><Obj RefId=\"0\"/></LST></Obj>".to_owned(), ClixmlError::RepeatedReference),
        (
            "<Obj><ToString>a</ToString><ToString>b</ToString></Obj>".to_owned(),
            ClixmlError::Ambiguous { name: "ToString" },
        ),
    ] {
        let head: String = xml.chars().take(80).collect();
        assert_eq!(parse(&xml).err(), Some(error), "{head}");
    }
    assert!(parse(&deep(64)).is_ok());
    assert!(parse(&many(199_999)).is_ok());
}

#[test]
fn references_that_multiply_or_go_round_cost_no_more_than_is_shown() {
    let mut doubling = String::from("<Obj RefId=\"r\"><LST><Obj RefId=\"0\"><LST><S>x</S></LST></Obj>");
    for level in 1..200 {
        let below = level - 1;
        let twice = format!("<Ref RefId=\"{below}\"/>").repeat(2);
        doubling.push_str(&format!("<Obj RefId=\"{level}\"><LST>{twice}</LST></Obj>"));
    }
    doubling.push_str("</LST></Obj>");
    let round = "<Obj RefId=\"0\"><LST><Ref RefId=\"0\"/><Ref RefId=\"0\"/></LST></Obj>";
    for xml in [doubling.as_str(), round] {
        let (display, literal) = shown(xml);
        for text in [display, literal] {
            assert!(text.len() <= 16 * 1024 + '…'.len_utf8() && text.ends_with('…'), "{} bytes", text.len());
        }
    }
}

#[test]
fn a_secure_string_is_not_kept() {
    let document =
        parse("<Obj RefId=\"0\"><MS><SS N=\"Password\">c2VjcmV0</SS></MS></Obj>").expect("well-formed");
    assert!(!format!("{document:?}").contains("c2VjcmV0"));
    assert_eq!(document.root().literal(), format!("@{{Password={SEALED}}}"));
}

proptest! {
    #[test]
    fn a_string_is_cut_at_a_character(text in "[a\u{e9}\u{1f600}']{0,60}", bytes in 0_usize..40) {
        let limits = Limits { rendered_bytes: bytes, ..Limits::default() };
        let document = Document::parse(format!("<S>{text}</S>").as_bytes(), &limits).expect("well-formed");
        let display = document.root().display();
        let kept = display.strip_suffix('…').unwrap_or(&display);
        assert!(kept.len() <= bytes && text.starts_with(kept));
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(document) = Document::parse(&noise, &Limits::default()) {
            assert!(document.root().literal().len() < 2000);
        }
    }
}
