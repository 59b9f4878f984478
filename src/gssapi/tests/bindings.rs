//! Channel bindings against values that other implementations computed.

use std::path::Path;

use super::{
    super::{BindingsError, Class},
    ALICE, BOTH_MECHANISMS, ChannelBindings, door, host, person,
    realm::with_realm,
    try_shake,
};

fn certificate(file: &str) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/cbt").join(file);
    CertificateDer::from_pem_file(path).expect("a certificate").to_vec()
}

fn bindings(file: &str) -> ChannelBindings {
    ChannelBindings::tls_server_end_point(&certificate(file)).expect("bindings")
}

#[test]
fn every_kind_of_certificate_is_bound_as_other_implementations_bind_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/cbt/cbt.json");
    let vectors: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).expect("the vectors")).expect("JSON");
    let vectors = vectors.as_array().expect("a list");
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let file = vector["file"].as_str().expect("a name");
        let expected = vector["application_data_hex"].as_str().expect("hex");
        let found: String =
            bindings(file).application_data().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expected, "{file}");
    }
}

#[test]
fn what_is_not_one_certificate_is_bound_to_nothing() {
    let whole = certificate("rsa-sha256.pem");
    for end in 0..whole.len() {
        assert_eq!(ChannelBindings::tls_server_end_point(&whole[..end]), Err(BindingsError));
    }
    assert_eq!(ChannelBindings::tls_server_end_point(&[&whole[..], b"x"].concat()), Err(BindingsError));
}

#[test]
fn the_same_channel_is_bound_another_is_refused_and_a_missing_one_is_noticed() {
    with_realm(async |realm| {
        let door = door();
        let (alice, web01) = (person(&door, realm, ALICE).await, host(&door, realm, "web01").await);
        let (ours, other) = (bindings("rsa-sha256.pem"), bindings("ecdsa-sha384.pem"));
        for mechanism in BOTH_MECHANISMS {
            let with =
                async |theirs| try_shake(&door, (&alice, &web01), mechanism, (theirs, Some(&ours))).await;
            let same = with(Some(&ours)).await.expect("the same channel");
            assert!(same.server.is_channel_bound());
            let none = with(None).await.expect("GSSAPI lets a client in that names no channel");
            assert!(!none.server.is_channel_bound());
            let error = with(Some(&other)).await.map(drop).expect_err("another channel");
            assert_eq!(error.classify(), Class::BadBindings, "{mechanism:?}: {error}");
        }
    });
}
