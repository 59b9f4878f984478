//! How and as whom, from what an operator writes: the seed document's defaults and refusals.

use crate::{
    authn::AuthMethod,
    config::tests::{fixed, load},
    policy::BackendAuth,
};

const ACCOUNTS: &str = r#"accounts:
  domain: { username: 'CORP\svc', password: "${env:PATH}" }
  local: { username: '{host}\Administrator', password: "${env:PATH}" }
  box: { username: 'BOX7\ops', password: "${env:PATH}" }
  shown: { certificate: /etc/gw/gw.crt, private_key: /etc/gw/gw.key }
"#;

/// A route to `url` by `auth` with `credential`, where `trusted` hosts need prove nothing.
fn text(url: &str, auth: &str, credential: &str, trusted: &str) -> String {
    fixed()
        .replace("accounts:\n", ACCOUNTS)
        .replace("http://web01.corp.example:5985/wsman", url)
        .replace("auth: kerberos", &format!("auth: {auth}"))
        .replace("credential: s4u", &format!("credential: {credential}"))
        .replace("client:\n", &format!("client:\n  trusted_hosts: \"{trusted}\"\n"))
        .replace("service:\n", "service:\n  keytab: /etc/gw/svc-gw.keytab\n")
}

/// What is decided for somebody with a certificate.
fn decided(url: &str, auth: &str, credential: &str) -> Result<BackendAuth, String> {
    let config = load(&text(url, auth, credential, "*")).map_err(|error| error.to_string())?;
    Ok(config.policy.routes[0].backend.approaches[&AuthMethod::Certificate].auth)
}

const NAMED: &str = "https://web01.corp.example/wsman";
const S4U: &str = "{ s4u: delegation }";
const DELEGATION: &str = "{ account: delegation }";
const DOMAIN: &str = "{ account: domain }";
const LOCAL: &str = "{ account: local }";
const BOX: &str = "{ account: box }";
const SHOWN: &str = "{ account: shown }";

#[test]
fn negotiate_is_decided_before_dialling() {
    for url in [NAMED, "http://web01.corp.example/wsman"] {
        for (credential, wanted) in [
            (S4U, BackendAuth::Negotiate),
            (DELEGATION, BackendAuth::Negotiate),
            (DOMAIN, BackendAuth::Negotiate),
            (LOCAL, BackendAuth::Ntlm),
            (BOX, BackendAuth::Ntlm),
        ] {
            assert_eq!(decided(url, "negotiate", credential), Ok(wanted), "{credential} {url}");
        }
    }
}

#[test]
fn the_default_is_the_seed_document_s() {
    for (url, credential, wanted) in [
        (NAMED, S4U, BackendAuth::Kerberos),
        (NAMED, DELEGATION, BackendAuth::Kerberos),
        (NAMED, DOMAIN, BackendAuth::Negotiate),
        (NAMED, LOCAL, BackendAuth::Ntlm),
        ("http://localhost/wsman", S4U, BackendAuth::Negotiate),
        ("http://localhost/wsman", BOX, BackendAuth::Ntlm),
        ("http://127.0.0.1/wsman", BOX, BackendAuth::Ntlm),
        ("http://[::1]/wsman", BOX, BackendAuth::Ntlm),
    ] {
        assert_eq!(decided(url, "default", credential), Ok(wanted), "{credential} {url}");
    }
}

#[test]
fn each_method_takes_what_it_can_use_and_nothing_else() {
    for (auth, credential, wanted) in [
        ("kerberos", DOMAIN, BackendAuth::Kerberos),
        ("basic", LOCAL, BackendAuth::Basic),
        ("basic", DOMAIN, BackendAuth::Basic),
        ("digest", BOX, BackendAuth::Digest),
        ("certificate", SHOWN, BackendAuth::Certificate),
    ] {
        assert_eq!(decided(NAMED, auth, credential), Ok(wanted), "{auth} {credential}");
    }
    for (auth, credential, text) in [
        ("kerberos", LOCAL, "must be joined to a domain"),
        ("kerberos", SHOWN, "write `auth: certificate`"),
        ("negotiate", SHOWN, "write `auth: certificate`"),
        ("default", SHOWN, "write `auth: certificate`"),
        ("basic", S4U, "need explicit credentials"),
        ("digest", DELEGATION, "need explicit credentials"),
        ("certificate", S4U, "needs an account with `certificate`"),
        ("certificate", BOX, "needs an account with `certificate`"),
        ("kerberos", "{ s4u: domain }", "holds no keys"),
    ] {
        let refused = decided(NAMED, auth, credential).unwrap_err();
        assert!(refused.contains(text), "{auth} {credential}: {refused}");
    }
}

/// Seed document, "Kerberos Authentication" and "Default Authentication Settings".
#[test]
fn kerberos_never_goes_to_an_address_without_a_name() {
    let address = "https://10.0.0.1/wsman";
    for (auth, credential) in [("kerberos", S4U), ("negotiate", S4U), ("default", S4U), ("negotiate", DOMAIN)]
    {
        let refused = decided(address, auth, credential).unwrap_err();
        assert!(refused.contains("you cannot use an IP address"), "{auth} {credential}: {refused}");
        let named = format!("{auth}\n      spn: HTTP/web01.corp.example");
        assert!(decided(address, &named, credential).is_ok(), "{auth} {credential}");
    }
    assert_eq!(decided(address, "negotiate", BOX), Ok(BackendAuth::Ntlm));
    let refused = decided(address, "negotiate", LOCAL).unwrap_err();
    assert!(refused.contains("an IP address is no computer's name"), "{refused}");
}

/// Seed document: "If HTTPS is not the transport, then the target remote computer must be configured in the list of trusted host computers."
#[test]
fn what_proves_nothing_of_a_host_goes_over_http_to_trusted_hosts_only() {
    let http = "http://web01.corp.example/wsman";
    for (auth, credential) in [("negotiate", BOX), ("default", LOCAL), ("basic", BOX), ("digest", BOX)] {
        for (trusted, is_trusted) in [("", false), ("web02.corp.example", false), ("*.corp.example", true)] {
            let found = load(&text(http, auth, credential, trusted));
            let refused = found.err().map(|error| error.to_string()).unwrap_or_default();
            let says = refused.contains("the host must be in the list of trusted hosts");
            assert_eq!(says, !is_trusted, "{auth} {trusted}: {refused}");
        }
        let secure = load(&text(NAMED, auth, credential, ""));
        assert!(secure.is_ok(), "{auth}: {secure:?}");
    }
    // Every host that {host} could become must be listed.
    let many = text(http, "negotiate", BOX, "TRUSTED")
        .replace(
            "match: { path: /wsman }",
            "match: { path: \"/hosts/{host}/wsman\" }\n    hosts: [\"*.corp.example\", db.corp.example]",
        )
        .replace("http://web01.corp.example", "http://{host}");
    for (trusted, is_trusted) in
        [("*.corp.example", true), ("*", true), ("db.corp.example", false), ("*.web.corp.example", false)]
    {
        assert_eq!(load(&many.replace("TRUSTED", trusted)).is_ok(), is_trusted, "{trusted}");
    }
}

#[test]
fn a_ticket_is_passed_on_by_the_account_in_the_service_keytab() {
    let per_method =
        "{ certificate: { s4u: delegation }, peer: { s4u: delegation }, kerberos: ticket, basic: password }";
    let right = text(NAMED, "kerberos", per_method, "");
    let approaches = load(&right).unwrap().policy.routes[0].backend.approaches.clone();
    assert_eq!(approaches[&AuthMethod::Kerberos].choice.kind(), "ticket");
    assert_eq!(approaches[&AuthMethod::Basic].choice.kind(), "password");
    let without = right.replace("  keytab: /etc/gw/svc-gw.keytab\n", "");
    let refused = load(&without).unwrap_err().to_string();
    assert!(refused.contains("holds the delegation account in `service.keytab`"), "{refused}");
    assert!(load(&without.replace("kerberos: ticket", "kerberos: { ticket: forwarded }")).is_ok());
}

#[test]
fn a_method_that_is_switched_off_is_not_used() {
    for (auth, credential, key) in [
        ("negotiate", BOX, "negotiate"),
        ("default", BOX, "negotiate"),
        ("negotiate", S4U, "negotiate"),
        ("default", S4U, "kerberos"),
        ("basic", BOX, "basic"),
        ("digest", BOX, "digest"),
        ("certificate", SHOWN, "certificate"),
    ] {
        let all = "basic: true, digest: true, negotiate: true, kerberos: true, certificate: true";
        let off = all.replace(&format!("{key}: true"), &format!("{key}: false"));
        let off = text(NAMED, auth, credential, "").replace("basic: true, digest: true", &off);
        let refused = load(&off).unwrap_err().to_string();
        assert!(refused.contains(&format!("set `client.auth.{key}: true`")), "{auth}: {refused}");
    }
}

#[test]
fn an_account_is_one_pair_and_says_whose_it_is() {
    let with = |account: &str| {
        load(&fixed().replace("accounts:\n", &format!("accounts:\n  x: {account}\n")))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    for (account, advice) in [
        ("{ certificate: /etc/gw/c.pem }", "write one pair"),
        ("{ username: 'A\\b', password: \"${env:PATH}\", certificate: /c }", "write one pair"),
        ("{ username: bob, password: \"${env:PATH}\" }", "prefixed with the computer name"),
        ("{ username: '.\\bob', password: \"${env:PATH}\" }", "no account name has"),
        ("{ username: bob@ELSEWHERE.EXAMPLE, password: \"${env:PATH}\" }", "is in no realm under `realms`"),
        ("{ certificate: c.pem, private_key: /k }", "write it from `/` on"),
    ] {
        let refused = with(account).unwrap_err();
        assert!(refused.contains(advice), "{account}: {refused}");
    }
    for account in
        ["{ username: svc@CORP.EXAMPLE, password: \"${env:PATH}\" }", "{ certificate: /c, private_key: /k }"]
    {
        assert_eq!(with(account), Ok(()), "{account}");
    }
}

#[test]
fn a_service_keytab_without_the_delegation_account_is_found_out_before_anybody_comes() {
    use std::{fs, os::unix::fs::PermissionsExt as _};
    let dir = tempfile::tempdir().unwrap();
    for name in ["tls.crt", "ca.pem", "tls.key", "gw.crt", "gw.key"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    // Two keytabs of one key each, in MIT's form: length, components, realm, name, type, time, version, and the key itself.
    let keytab = |user: &str| {
        let mut entry = vec![0, 1, 0, 12];
        entry.extend(b"CORP.EXAMPLE");
        entry.extend(u16::try_from(user.len()).unwrap().to_be_bytes());
        entry.extend(user.as_bytes());
        entry.extend([0; 11]);
        let length = u32::try_from(entry.len()).unwrap().to_be_bytes();
        [vec![5, 2], length.to_vec(), entry].concat()
    };
    let per_method = "{ certificate: { s4u: delegation }, peer: { s4u: delegation }, kerberos: ticket }";
    let here = dir.path().display().to_string();
    let text = text(NAMED, "kerberos", per_method, "")
        .replace("  keytab: /etc/gw/svc-gw.keytab\n", "  keytab: /etc/gw/http.keytab\n")
        .replace("/etc/gw", &here);
    let check = |service: &str| {
        for (name, user) in [("svc-gw.keytab", "svc-gw"), ("http.keytab", service)] {
            fs::write(dir.path().join(name), keytab(user)).unwrap();
        }
        for entry in fs::read_dir(dir.path()).unwrap() {
            fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o600)).unwrap();
        }
        load(&text).unwrap().check_files().map_err(|error| error.to_string())
    };
    assert_eq!(check("svc-gw"), Ok(()));
    let refused = check("other").unwrap_err();
    assert!(refused.contains("add the delegation account's keys to it"), "{refused}");
    assert!(refused.contains("service.keytab"), "{refused}");
}
