use super::*;
use crate::authn::Realm;
use proptest::prelude::*;

const ISSUER: IssuerDigests = IssuerDigests { sha1: [0x11; 20], sha256: [0x22; 32] };
const SHELL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd";

fn realms() -> Realms {
    Realms::new([("CORP.EXAMPLE".to_owned(), Realm::default())])
}

fn rule(subject: &str, uri: &str, principal: &str) -> CertMappingRule {
    CertMappingRule {
        issuer: Thumbprint::Sha1(ISSUER.sha1),
        subject: SubjectPattern::parse(subject).unwrap(),
        uri: UriPattern::parse(uri).unwrap(),
        principal: PrincipalTemplate::parse(principal).unwrap(),
    }
}

fn upn(name: &str) -> SubjectNames {
    SubjectNames { upns: vec![name.to_owned()], dns: Vec::new() }
}

fn map(rules: &[CertMappingRule], names: &SubjectNames) -> Result<String, UnmappedCertificate> {
    CertMappings::new(rules.to_vec()).map(&ISSUER, names, SHELL, &realms()).map(|person| person.to_string())
}

#[test]
fn a_certificate_stands_for_the_person_that_its_only_name_of_the_kind_gives() {
    for (template, names, wanted) in [
        ("{upn_user}@CORP.EXAMPLE", upn("Alice@corp.example"), "alice@CORP.EXAMPLE"),
        ("{upn}", upn("alice@corp.example"), "alice@CORP.EXAMPLE"),
        (
            "{dns_host}$@CORP.EXAMPLE",
            SubjectNames { upns: Vec::new(), dns: vec!["web01.corp.example".to_owned()] },
            "web01$@CORP.EXAMPLE",
        ),
        ("ansible@CORP.EXAMPLE", upn("whoever@corp.example"), "ansible@CORP.EXAMPLE"),
    ] {
        assert_eq!(map(&[rule("*", "*", template)], &names).as_deref(), Ok(wanted), "{template}");
    }
}

#[test]
fn threat_36_a_letter_that_folds_to_another_is_not_that_other() {
    // KELVIN SIGN and LATIN CAPITAL LETTER I WITH DOT ABOVE fold to `k` and to `i` with a mark.
    let fixed = [rule("kim@corp.example", "*", "kim@CORP.EXAMPLE")];
    assert_eq!(map(&fixed, &upn("KIM@corp.example")).unwrap(), "kim@CORP.EXAMPLE");
    for name in ["\u{212a}im@corp.example", "k\u{130}m@corp.example", "kim@\u{212a}orp.example"] {
        assert_eq!(map(&fixed, &upn(name)), Err(UnmappedCertificate::NoEntry), "{name}");
    }
}

#[test]
fn threat_35_several_names_of_the_mapped_kind_are_refused() {
    let rules = [rule("*@corp.example", "*", "{upn_user}@CORP.EXAMPLE")];
    let two = SubjectNames {
        upns: vec!["alice@corp.example".to_owned(), "bob@corp.example".to_owned()],
        dns: vec![],
    };
    assert_eq!(map(&rules, &two), Err(UnmappedCertificate::SeveralNames));
    let one_foreign = SubjectNames {
        upns: vec!["alice@corp.example".to_owned(), "root@other.example".to_owned()],
        dns: vec![],
    };
    assert_eq!(map(&rules, &one_foreign), Err(UnmappedCertificate::SeveralNames));
    assert_eq!(map(&rules, &SubjectNames::default()), Err(UnmappedCertificate::NoEntry));
}

#[test]
fn threat_35_a_dns_name_never_counts_as_a_upn_nor_the_other_way_round() {
    let dns = SubjectNames { upns: vec![], dns: vec!["alice@corp.example".to_owned()] };
    assert_eq!(map(&[rule("*", "*", "{upn}")], &dns), Err(UnmappedCertificate::NoEntry));
    assert_eq!(
        map(&[rule("*", "*", "{dns_host}@CORP.EXAMPLE")], &upn("web01.corp.example")),
        Err(UnmappedCertificate::NoEntry)
    );
}

#[test]
fn the_longest_subject_decides_then_the_longest_uri_and_a_tie_is_refused() {
    let alice = upn("alice@corp.example");
    let by_subject = [rule("*", "*", "a@CORP.EXAMPLE"), rule("*@corp.example", "*", "b@CORP.EXAMPLE")];
    assert_eq!(map(&by_subject, &alice).as_deref(), Ok("b@CORP.EXAMPLE"));
    let by_uri = [
        rule("*@corp.example", "*", "a@CORP.EXAMPLE"),
        rule("*@corp.example", "http://schemas.microsoft.com/*", "b@CORP.EXAMPLE"),
    ];
    assert_eq!(map(&by_uri, &alice).as_deref(), Ok("b@CORP.EXAMPLE"));
    let tie = [rule("*@corp.example", "*", "a@CORP.EXAMPLE"), rule("*@corp.example", "*", "b@CORP.EXAMPLE")];
    assert_eq!(map(&tie, &alice), Err(UnmappedCertificate::Ambiguous));
}

#[test]
fn another_issuer_or_another_resource_maps_to_nobody() {
    let mut foreign = rule("*", "*", "{upn}");
    foreign.issuer = Thumbprint::Sha256([0x33; 32]);
    assert_eq!(map(&[foreign.clone()], &upn("alice@corp.example")), Err(UnmappedCertificate::NoEntry));
    foreign.issuer = Thumbprint::Sha256(ISSUER.sha256);
    assert!(map(&[foreign], &upn("alice@corp.example")).is_ok());
    let elsewhere = rule("*", "http://schemas.microsoft.com/wbem/wsman/1/wmi/*", "{upn}");
    assert_eq!(map(&[elsewhere], &upn("alice@corp.example")), Err(UnmappedCertificate::NoEntry));
}

#[test]
fn a_name_that_is_no_person_of_a_known_realm_is_refused() {
    for name in ["alice@evil.example", "alice", "@corp.example", "al ice@corp.example", "a@b@corp.example"] {
        assert!(
            matches!(map(&[rule("*", "*", "{upn}")], &upn(name)), Err(UnmappedCertificate::Principal(_))),
            "{name}"
        );
    }
}

#[test]
fn malformed_entries_are_refused() {
    for text in ["", "a*b", "**", "*a*", "a\nb"] {
        assert_eq!(SubjectPattern::parse(text), Err(CertMappingError::Subject), "{text}");
    }
    for text in ["", "*a", "http://a/*/b", "http://a b", "http://a?x", "**"] {
        assert_eq!(UriPattern::parse(text), Err(CertMappingError::Uri), "{text}");
    }
    for text in ["", "{mail}@CORP.EXAMPLE", "{upn}{upn}", "{upn_user}{dns}", "{upn", "x}"] {
        assert_eq!(PrincipalTemplate::parse(text), Err(CertMappingError::Template), "{text}");
    }
    for text in ["", "00", "zz", &"0".repeat(41), &"0".repeat(63), &"g".repeat(40), &"é".repeat(20)] {
        assert_eq!(Thumbprint::parse(text), Err(CertMappingError::Thumbprint), "{text}");
    }
    assert_eq!(Thumbprint::parse(&"11 ".repeat(20)), Ok(Thumbprint::Sha1(ISSUER.sha1)));
    assert_eq!(Thumbprint::parse(&["22"; 32].join(":")), Ok(Thumbprint::Sha256(ISSUER.sha256)));
}

proptest! {
    #[test]
    fn what_is_chosen_matches_and_nothing_that_matches_is_longer(
        subjects in prop::collection::vec("(\\*|\\*[a-c@.]{0,4}|[a-c]{1,3}\\*|[a-c]@corp\\.example)", 1..6),
        name in "[a-c]@corp\\.example",
    ) {
        let rules: Vec<_> = subjects.iter().enumerate()
            .map(|(number, subject)| rule(subject, "*", &format!("p{number}@CORP.EXAMPLE")))
            .collect();
        let naive = |pattern: &str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(end), _) => name.ends_with(end),
            (_, Some(start)) => name.starts_with(start),
            (None, None) => pattern == name,
        };
        let applies = |pattern: &&String| naive(pattern) && (pattern.contains('@') || *pattern == "*");
        let longest = subjects.iter().filter(applies).map(String::len).max();
        let winners: Vec<usize> = subjects.iter().enumerate()
            .filter(|(_, pattern)| applies(pattern) && Some(pattern.len()) == longest).map(|(number, _)| number).collect();
        let wanted = match winners.as_slice() {
            [] => Err(UnmappedCertificate::NoEntry),
            [one] => Ok(format!("p{one}@CORP.EXAMPLE")),
            _ => Err(UnmappedCertificate::Ambiguous),
        };
        prop_assert_eq!(map(&rules, &upn(&name)), wanted);
    }

    #[test]
    fn no_certificate_name_panics(upn_text in "\\PC{0,40}", dns in "\\PC{0,40}") {
        let names = SubjectNames { upns: vec![upn_text], dns: vec![dns] };
        for template in ["{upn}", "{upn_user}@CORP.EXAMPLE", "{dns}@CORP.EXAMPLE", "{dns_host}$@CORP.EXAMPLE"] {
            drop(map(&[rule("*", "*", template)], &names));
        }
    }
}
