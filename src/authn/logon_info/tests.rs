use super::*;
use proptest::prelude::*;

/// What Samba's domain controller wrote for alice, a domain user and member of one more group.
const CAPTURED: &[u8] = include_bytes!("../../../tests/corpus/pac/alice.bin");

const FULL: u32 = 7;

/// `KERB_VALIDATION_INFO` as a plain second implementation writes it.
#[derive(Debug, Clone)]
struct Written {
    user: u32,
    primary_group: u32,
    groups: Vec<(u32, u32)>,
    domain: Option<Vec<u32>>,
    extra: Vec<(Vec<u32>, u32)>,
    resource_domain: Option<Vec<u32>>,
    resource_groups: Vec<(u32, u32)>,
    name: String,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            user: 1104,
            primary_group: 513,
            groups: vec![(513, FULL), (1110, FULL)],
            domain: Some(vec![21, 1, 2, 3]),
            extra: Vec::new(),
            resource_domain: None,
            resource_groups: Vec::new(),
            name: "alice".to_owned(),
        }
    }
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    while !bytes.len().is_multiple_of(to) {
        bytes.push(0);
    }
}

fn put(bytes: &mut Vec<u8>, numbers: &[u32]) {
    pad(bytes, 4);
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn put_sid(bytes: &mut Vec<u8>, parts: &[u32]) {
    let count = u8::try_from(parts.len()).unwrap();
    put(bytes, &[u32::from(count)]);
    bytes.extend([1, count, 0, 0, 0, 0, 0, 5]);
    put(bytes, parts);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().collect();
    let count = u32::try_from(units.len()).unwrap();
    put(bytes, &[count, 0, count]);
    bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
}

fn put_pairs(bytes: &mut Vec<u8>, pairs: &[(u32, u32)]) {
    if !pairs.is_empty() {
        put(bytes, &[u32::try_from(pairs.len()).unwrap()]);
        pairs.iter().for_each(|(relative, attributes)| put(bytes, &[*relative, *attributes]));
    }
}

impl Written {
    fn bytes(&self) -> Vec<u8> {
        let number = |length: usize| u32::try_from(length).unwrap();
        let some = |there: bool| if there { 0x0002_0004 } else { 0 };
        let mut body = Vec::new();
        put(&mut body, &[0x0002_0000]);
        put(&mut body, &[0; 12]);
        let units = number(self.name.encode_utf16().count() * 2);
        put(&mut body, &[units | (units << 16), some(true)]);
        put(&mut body, &[0; 10]);
        put(&mut body, &[0x0001_0002, self.user, self.primary_group]);
        put(&mut body, &[number(self.groups.len()), some(!self.groups.is_empty()), 0x20]);
        put(&mut body, &[0; 4]);
        put(&mut body, &[0; 4]);
        put(&mut body, &[some(self.domain.is_some())]);
        put(&mut body, &[0; 10]);
        put(&mut body, &[number(self.extra.len()), some(!self.extra.is_empty())]);
        put(&mut body, &[some(self.resource_domain.is_some()), number(self.resource_groups.len())]);
        put(&mut body, &[some(!self.resource_groups.is_empty())]);
        put_text(&mut body, &self.name);
        put_pairs(&mut body, &self.groups);
        if let Some(parts) = &self.domain {
            put_sid(&mut body, parts);
        }
        if !self.extra.is_empty() {
            put(&mut body, &[number(self.extra.len())]);
            self.extra.iter().for_each(|(_, attributes)| put(&mut body, &[some(true), *attributes]));
            self.extra.iter().for_each(|(parts, _)| put_sid(&mut body, parts));
        }
        if let Some(parts) = &self.resource_domain {
            put_sid(&mut body, parts);
        }
        put_pairs(&mut body, &self.resource_groups);
        pad(&mut body, 8);
        let mut whole = vec![1, 0x10, 8, 0, 0xcc, 0xcc, 0xcc, 0xcc];
        put(&mut whole, &[number(body.len()), 0]);
        whole.extend(body);
        whole
    }

    fn parse(&self) -> Result<LogonInfo, LogonInfoError> {
        LogonInfo::parse(&self.bytes())
    }
}

fn texts(info: &LogonInfo) -> (String, Vec<String>) {
    (info.user().to_string(), info.groups().iter().map(Sid::to_string).collect())
}

#[test]
fn what_a_domain_controller_wrote_is_read() {
    let info = LogonInfo::parse(CAPTURED).unwrap();
    let (user, groups) = texts(&info);
    let domain = user.rsplit_once('-').unwrap().0;
    assert!(domain.starts_with("S-1-5-21-"), "{user}");
    assert!(groups.contains(&format!("{domain}-513")), "{groups:?}");
    // Authentication authority asserted identity, or the service's assertion of it (S4U2Self): extra identifiers.
    assert!(groups.iter().any(|sid| sid.starts_with("S-1-18-")), "{groups:?}");
    assert!(!groups.contains(&user));
}

#[test]
fn groups_come_from_the_domain_from_elsewhere_and_from_the_resource_domain() {
    let written = Written {
        extra: vec![(vec![21, 9, 9, 9, 600], FULL), (vec![32, 544], 0x2000_0007)],
        resource_domain: Some(vec![21, 7, 7, 7]),
        resource_groups: vec![(1200, 0x2000_0007)],
        ..Written::default()
    };
    let (user, groups) = texts(&written.parse().unwrap());
    assert_eq!(user, "S-1-5-21-1-2-3-1104");
    let wanted = ["21-1-2-3-513", "21-1-2-3-1110", "21-7-7-7-1200", "21-9-9-9-600", "32-544"]
        .map(|rest| format!("S-1-5-{rest}"));
    assert_eq!(groups, wanted);
}

#[test]
fn an_account_of_no_domain_is_the_first_of_the_extra_identifiers() {
    let written = Written { user: 0, extra: vec![(vec![21, 9, 9, 9, 600], FULL)], ..Written::default() };
    assert_eq!(written.parse().unwrap().user().to_string(), "S-1-5-21-9-9-9-600");
    assert!(Written { user: 0, ..Written::default() }.parse().is_err());
}

#[test]
fn what_is_not_exactly_logon_information_is_an_error_and_never_nobodys_groups() {
    let good = Written::default().bytes();
    assert!(LogonInfo::parse(&good).is_ok());
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        LogonInfo::parse(&bytes)
    };
    // Version, byte order, header length, length of the object, pointer to the whole, number of groups.
    for (at, byte) in [(0, 2), (1, 0), (2, 9), (8, 0xff), (16, 0), (16 + 4 + 48 + 48 + 4 + 8, 1)] {
        if at == 16 {
            let mut bytes = good.clone();
            bytes[16..20].fill(0);
            assert!(LogonInfo::parse(&bytes).is_err());
        } else {
            assert!(changed(at, byte).is_err(), "{at}");
        }
    }
    assert_eq!(LogonInfo::parse(&vec![0; 70_000]), Err(LogonInfoError::TooLong));
    assert!(LogonInfo::parse(&[good.as_slice(), &[0; 8]].concat()).is_err(), "something behind the object");
    assert!(Written { domain: None, ..Written::default() }.parse().is_err());
    assert!(Written { resource_groups: vec![(1, FULL)], ..Written::default() }.parse().is_err());
    assert!(Written { groups: vec![(1, FULL); MAX_LIST + 1], ..Written::default() }.parse().is_err());
    assert!(Written { domain: Some(vec![21; 15]), ..Written::default() }.parse().is_err());
}

#[test]
fn a_membership_with_reservations_is_refused() {
    for attributes in [0, 3, FULL | DENY_ONLY] {
        let error = Err(LogonInfoError::PartialMembership);
        assert_eq!(Written { groups: vec![(513, attributes)], ..Written::default() }.parse(), error);
        let extra = vec![(vec![32, 544], attributes)];
        assert_eq!(Written { extra, ..Written::default() }.parse(), error);
        let written = Written {
            resource_domain: Some(vec![21, 7, 7, 7]),
            resource_groups: vec![(1, attributes)],
            ..Written::default()
        };
        assert_eq!(written.parse(), error);
    }
}

#[test]
fn no_truncation_of_a_captured_or_a_written_one_is_taken() {
    let written = Written {
        extra: vec![(vec![32, 544], FULL)],
        resource_domain: Some(vec![21, 7, 7, 7]),
        resource_groups: vec![(1200, FULL)],
        ..Written::default()
    };
    for whole in [CAPTURED.to_vec(), written.bytes()] {
        for length in 0..whole.len() {
            assert!(LogonInfo::parse(&whole[..length]).is_err(), "{length} of {}", whole.len());
            // The same with the length of the object made to fit.
            if let Some(rest) = length.checked_sub(16) {
                let mut bytes = whole[..length].to_vec();
                bytes[8..12].copy_from_slice(&u32::try_from(rest).unwrap().to_le_bytes());
                let padding_alone = whole[length..].iter().all(|byte| *byte == 0) && whole.len() - length < 8;
                assert!(LogonInfo::parse(&bytes).is_err() || padding_alone, "{length} of {}", whole.len());
            }
        }
    }
}

fn parts() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 1..=14)
}

fn pairs() -> impl Strategy<Value = Vec<(u32, u32)>> {
    prop::collection::vec((1..=u32::MAX, Just(FULL)), 0..20)
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        user in 1..=u32::MAX, primary_group in any::<u32>(), groups in pairs(), domain in parts(),
        extra in prop::collection::vec((prop::collection::vec(any::<u32>(), 1..=15), Just(FULL)), 0..8),
        resource_domain in parts(), resource_groups in pairs(), name in "\\PC{0,12}",
    ) {
        let written = Written {
            user, primary_group, domain: Some(domain.clone()), groups: groups.clone(), extra: extra.clone(),
            resource_domain: Some(resource_domain.clone()), resource_groups: resource_groups.clone(), name,
        };
        let spell = |parts: &[u32]| {
            format!("S-1-5{}", parts.iter().map(|part| format!("-{part}")).collect::<String>())
        };
        let of = |domain: &[u32], relative: u32| spell(&[domain, &[relative]].concat());
        let mut wanted: BTreeSet<String> = groups.iter().map(|(relative, _)| of(&domain, *relative)).collect();
        wanted.extend(resource_groups.iter().map(|(relative, _)| of(&resource_domain, *relative)));
        wanted.extend(extra.iter().map(|(parts, _)| spell(parts)));
        if primary_group != 0 {
            wanted.insert(of(&domain, primary_group));
        }
        wanted.remove(&of(&domain, user));
        let (found, of_person) = texts(&written.parse().unwrap());
        prop_assert_eq!(found, of(&domain, user));
        prop_assert_eq!(of_person.into_iter().collect::<BTreeSet<_>>(), wanted);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = LogonInfo::parse(&bytes).is_ok();
    }

    #[test]
    fn no_damage_panics(at in 20_usize..CAPTURED.len(), bit in 0_u32..8) {
        let mut bytes = CAPTURED.to_vec();
        bytes[at] ^= 1 << bit;
        let _ = LogonInfo::parse(&bytes).is_ok();
    }
}
