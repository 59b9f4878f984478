use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, OtherNameValue,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

struct Ca {
    params: CertificateParams,
    key: KeyPair,
    der: CertificateDer<'static>,
}

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let der = params.self_signed(&key).unwrap().der().clone();
    Ca { params, key, der }
}

impl Ca {
    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    fn sign(&self, params: &CertificateParams) -> CertificateDer<'static> {
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer()).unwrap().der().clone()
    }

    fn intermediate(&self, name: &str) -> Self {
        let mut below = ca(name);
        below.der = below.params.signed_by(&below.key, &self.issuer()).unwrap().der().clone();
        below
    }

    fn crl(&self, revoked: &[u64], next_update: (i32, u8, u8)) -> CertRevocationList<'static> {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(next_update.0, next_update.1, next_update.2),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: date_time_ymd(2021, 1, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        webpki::OwnedCertRevocationList::from_der(params.signed_by(&self.issuer()).unwrap().der())
            .unwrap()
            .into()
    }
}

fn upn_name(name: &str) -> SanType {
    SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], OtherNameValue::Utf8String(name.to_owned())))
}

fn client(names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.serial_number = Some(SerialNumber::from(7_u64));
    params
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000))
}

fn verify(
    chain: &[CertificateDer<'static>],
    anchors: &[&Ca],
    crls: &[CertRevocationList<'static>],
) -> Result<VerifiedCertificate, CertificateError> {
    let anchors: Vec<_> = anchors.iter().map(|ca| ca.der.clone()).collect();
    VerifiedCertificate::verify(chain, Trust { anchors: &anchors, crls }, now())
}

#[test]
fn the_signer_is_the_certificate_that_signed_the_leaf_and_not_the_root() {
    let root = ca("root");
    let below = root.intermediate("below");
    let direct = verify(&[root.sign(&client(vec![upn_name("alice@corp.example")]))], &[&root], &[]).unwrap();
    assert_eq!(direct.signer(), &digests(&root.der));
    assert_eq!(direct.names().upns, ["alice@corp.example"]);
    let leaf = below.sign(&client(vec![upn_name("alice@corp.example")]));
    // What the client presents in between is not believed: an unrelated certificate first changes nothing.
    let chain = [leaf.clone(), ca("unrelated").der, below.der.clone()];
    let through = verify(&chain, &[&root], &[]).unwrap();
    assert_eq!(through.signer(), &digests(&below.der));
    assert_eq!(through.fingerprint(), hex(&sha2::Sha256::digest(&leaf)));
    // However long the path is and in whatever order it is presented.
    let lowest = below.intermediate("lowest");
    let leaf = lowest.sign(&client(vec![upn_name("alice@corp.example")]));
    for between in [[&below, &lowest], [&lowest, &below]] {
        let chain = [leaf.clone(), between[0].der.clone(), between[1].der.clone()];
        assert_eq!(verify(&chain, &[&root], &[]).unwrap().signer(), &digests(&lowest.der));
        // An intermediate that the operator trusts by itself is an anchor, and the signer all the same.
        assert_eq!(verify(&chain, &[&lowest], &[]).unwrap().signer(), &digests(&lowest.der));
    }
}

#[test]
fn threat_37_expired_revoked_foreign_and_unsuitable_certificates_are_refused() {
    let (root, other) = (ca("root"), ca("other"));
    let names = || vec![upn_name("alice@corp.example")];
    let untrusted = |result: Result<VerifiedCertificate, CertificateError>, wanted: &str| match result {
        Err(CertificateError::NotTrusted(error)) => {
            assert!(format!("{error:?}").starts_with(wanted), "{error:?}");
        }
        other => panic!("{wanted}: {other:?}"),
    };
    let mut expired = client(names());
    expired.not_after = date_time_ymd(2021, 1, 1);
    untrusted(verify(&[root.sign(&expired)], &[&root], &[]), "CertExpired");
    let mut early = client(names());
    early.not_before = date_time_ymd(2050, 1, 1);
    untrusted(verify(&[root.sign(&early)], &[&root], &[]), "CertNotValidYet");
    untrusted(verify(&[other.sign(&client(names()))], &[&root], &[]), "UnknownIssuer");
    let good = root.sign(&client(names()));
    untrusted(verify(std::slice::from_ref(&good), &[&root], &[root.crl(&[7], (2040, 1, 1))]), "CertRevoked");
    untrusted(verify(std::slice::from_ref(&good), &[&root], &[root.crl(&[], (2022, 1, 1))]), "CrlExpired");
    untrusted(
        verify(std::slice::from_ref(&good), &[&root], &[other.crl(&[], (2040, 1, 1))]),
        "UnknownRevocationStatus",
    );
    assert!(verify(std::slice::from_ref(&good), &[&root], &[root.crl(&[8], (2040, 1, 1))]).is_ok());
    let mut server = client(names());
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    untrusted(verify(&[root.sign(&server)], &[&root], &[]), "RequiredEkuNotFound");
    let mut silent = client(names());
    silent.extended_key_usages.clear();
    assert_eq!(verify(&[root.sign(&silent)], &[&root], &[]), Err(CertificateError::WrongUsage));
    let mut encipher = client(names());
    encipher.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    assert_eq!(verify(&[root.sign(&encipher)], &[&root], &[]), Err(CertificateError::WrongUsage));
    assert_eq!(verify(&[], &[&root], &[]), Err(CertificateError::Unreadable));
}

#[test]
fn threat_38_a_leaf_can_not_sign_and_a_ca_is_no_client() {
    let root = ca("root");
    let mut fake = ca("fake");
    fake.params.is_ca = IsCa::NoCa;
    fake.der = fake.params.signed_by(&fake.key, &root.issuer()).unwrap().der().clone();
    let leaf = fake.sign(&client(vec![upn_name("alice@corp.example")]));
    assert!(matches!(verify(&[leaf, fake.der.clone()], &[&root], &[]), Err(CertificateError::NotTrusted(_))));
    let mut both = client(vec![upn_name("alice@corp.example")]);
    both.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert!(verify(&[root.sign(&both)], &[&root], &[]).is_err());
}

#[test]
fn threat_36_only_a_clean_utf8_user_principal_name_is_read() {
    let root = ca("root");
    let with = |value: Vec<u8>| {
        let mut params = client(vec![]);
        // SubjectAltName ::= SEQUENCE { otherName [0] { OID, [0] EXPLICIT value } }
        let oid = [0x06, 0x0A, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03];
        let der = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
        let other = der(0xA0, &[&oid[..], &der(0xA0, &value)].concat());
        params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], der(0x30, &other)));
        verify(&[root.sign(&params)], &[&root], &[])
    };
    let utf8 = |text: &[u8]| [&[0x0C, u8::try_from(text.len()).unwrap()], text].concat();
    assert_eq!(with(utf8(b"alice@corp.example")).unwrap().names().upns, ["alice@corp.example"]);
    for bad in [
        utf8(b"alice\0@corp.example"),
        utf8(b"alice@corp.example\r\n"),
        utf8(b"al ice@corp.example"),
        utf8(b"*@corp.example"),
        utf8(b""),
        utf8(b"\xff\xfe"),
        [&[0x1E, 4][..], b"\0a\0b"].concat(),
        [&[0x14, 5][..], b"alice"].concat(),
        [utf8(b"alice"), vec![0]].concat(),
    ] {
        assert_eq!(with(bad.clone()), Err(CertificateError::ForbiddenName), "{bad:?}");
    }
}

#[test]
fn a_certificate_of_more_than_16_kib_is_refused_and_one_of_exactly_that_is_not() {
    let root = ca("root");
    let sized = |padding: usize| {
        let mut params = client(vec![upn_name("alice@corp.example")]);
        params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 3, 9999, 1], vec![4; padding]));
        root.sign(&params)
    };
    // The signature's length varies by a few bytes: try until one comes out at the boundary.
    let base = sized(15_000).len() - 15_000;
    let exact =
        (0..200).map(|_| sized(MAX_CERTIFICATE - base)).find(|der| der.len() == MAX_CERTIFICATE).unwrap();
    assert!(verify(&[exact], &[&root], &[]).is_ok());
    assert_eq!(verify(&[sized(MAX_CERTIFICATE)], &[&root], &[]), Err(CertificateError::TooLarge));
}
