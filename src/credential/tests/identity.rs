//! Names are compared whole, and every error has its reason.

use crate::credential::{CredentialError, held::same_name};

#[test]
fn only_the_very_name_that_was_wanted_passes() {
    assert!(same_name("alice@CORP.EXAMPLE", "alice@CORP.EXAMPLE").is_ok());
    for found in [
        "",
        "svc-gw@CORP.EXAMPLE",
        "alice@OTHER.EXAMPLE",
        "Alice@CORP.EXAMPLE",
        "alice",
        "alice@CORP.EXAMPLE\0",
        "alice\\@corp.example@CORP.EXAMPLE",
    ] {
        let error = same_name("alice@CORP.EXAMPLE", found).unwrap_err();
        assert_eq!(error.reason(), "other_identity", "{found}");
    }
    assert!(same_name("", "").is_err(), "a credential without a name is nobody's");
}

#[test]
fn the_advice_names_the_attribute_and_the_command() {
    let error = CredentialError::UnknownAccount(crate::policy::AccountName::new("delegation"));
    assert!(error.to_string().contains("`accounts`"), "{error}");
    assert!(CredentialError::REASONS.contains(&error.reason()));
}
