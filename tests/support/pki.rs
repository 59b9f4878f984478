//! Certificates, made for each test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, OtherNameValue, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};
use sha1::Digest as _;

/// A certification authority and the files it has issued.
pub struct Pki {
    dir: PathBuf,
    params: CertificateParams,
    key: KeyPair,
    /// The thumbprint by which `cert_mappings` names the authority.
    pub thumbprint: String,
}

/// A certificate and its key, in files.
#[derive(Debug, Clone)]
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What a client certificate should be.
pub struct Person {
    pub names: Vec<SanType>,
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    pub not_after: (i32, u8, u8),
    pub serial: u64,
}

impl Person {
    /// A sound certificate with the user principal name `upn`.
    pub fn upn(upn: &str) -> Self {
        let name = SanType::OtherName((UPN.to_vec(), OtherNameValue::Utf8String(upn.to_owned())));
        Self {
            names: vec![name],
            usages: vec![ExtendedKeyUsagePurpose::ClientAuth],
            not_after: (2090, 1, 1),
            serial: 100,
        }
    }
}

impl Pki {
    /// A new authority that keeps its files in `dir`, with certificates for the gateway and the hosts.
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("a directory for certificates");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("Test CA {}", dir.display()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(dir.join("ca.pem"), certificate.pem()).expect("the CA file");
        let thumbprint =
            sha1::Sha1::digest(certificate.der()).iter().map(|byte| format!("{byte:02X}")).collect();
        let pki = Self { dir: dir.to_owned(), params, key, thumbprint };
        pki.server("gateway", &["gw.corp.example", "*.winrm.corp.example", "localhost"]);
        pki
    }

    /// The authority's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A certificate for a server with `names`.
    pub fn server(&self, file: &str, names: &[&str]) -> Issued {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
                .expect("names");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        self.issue(file, &params)
    }

    /// The certificate of `name@corp.example`, issued at first use.
    pub fn person(&self, name: &str) -> Issued {
        let issued = self.issued(name);
        if issued.certificate.exists() {
            issued
        } else {
            self.client(name, &Person::upn(&format!("{name}@corp.example")))
        }
    }

    /// A client certificate as `person` describes it.
    pub fn client(&self, file: &str, person: &Person) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, file);
        params.subject_alt_names = person.names.clone();
        params.extended_key_usages = person.usages.clone();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.serial_number = Some(SerialNumber::from(person.serial));
        let (year, month, day) = person.not_after;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, month, day);
        self.issue(file, &params)
    }

    /// A revocation list over the serial numbers `revoked`.
    pub fn crl(&self, revoked: &[u64]) -> PathBuf {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
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
        let path = self.dir.join("ca.crl");
        fs::write(&path, params.signed_by(&self.issuer()).expect("a list").pem().expect("PEM"))
            .expect("the list's file");
        path
    }

    /// The files of a certificate by its name.
    pub fn issued(&self, file: &str) -> Issued {
        Issued {
            certificate: self.dir.join(format!("{file}.pem")),
            key: self.dir.join(format!("{file}.key")),
        }
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    fn issue(&self, file: &str, params: &CertificateParams) -> Issued {
        use std::os::unix::fs::PermissionsExt as _;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer()).expect("a certificate");
        let issued = self.issued(file);
        fs::write(&issued.certificate, certificate.pem()).expect("the certificate's file");
        fs::write(&issued.key, key.serialize_pem()).expect("the key's file");
        fs::set_permissions(&issued.key, fs::Permissions::from_mode(0o600))
            .expect("a private key is private");
        issued
    }
}

const UPN: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
