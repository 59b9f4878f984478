//! Listeners: where clients come in, and who they are without a proof of their own.

use super::{
    file::{ListenerFile, ModeFile, TlsVersionFile, TransportFile},
    people::People,
    reader::Reader,
    tree::Key,
};
use crate::{
    authn::{AuthMethod, Principal},
    listener::{
        ClientCertificates, Limits, ListenAddress, Settings, TlsSettings, TlsVersion, Transport, Trust,
    },
    policy::HostName,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
};

/// One entry of `listeners`.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// What the listener itself is told.
    pub(crate) settings: Settings,
    /// Whose HTTP, WSMAN and HOST tickets are accepted; the certificate's DNS names where empty.
    pub(crate) names: Vec<HostName>,
    /// Who local processes are.
    pub(crate) peers: Peers,
}

/// Who local processes are, by nothing but where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Peers {
    /// Nobody is known without a proof.
    #[default]
    Unknown,
    /// On a Unix socket, by the uid of the process.
    ByUid(BTreeMap<u32, Principal>),
    /// On a loopback address, every process of the machine is this person.
    Everybody(Principal),
}

impl Listener {
    /// The name that routes refer to.
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether clients' messages cross a network here as they are: they must seal them, unless the operator allows clear text.
    pub(crate) fn is_open(&self) -> bool {
        self.settings.transport == Transport::Http && !self.settings.address.is_local()
    }

    /// Whether a client could prove itself here by `method`.
    pub(super) fn can(&self, method: AuthMethod) -> bool {
        match method {
            AuthMethod::Certificate => match &self.settings.transport {
                Transport::Https(tls) => !matches!(tls.client_certificates, ClientCertificates::Off),
                Transport::Http => false,
            },
            AuthMethod::Peer => self.peers != Peers::Unknown,
            // A ticket is for a name, which a certificate has and plain HTTP has not.
            AuthMethod::Kerberos => self.settings.transport != Transport::Http || !self.names.is_empty(),
            AuthMethod::Basic | AuthMethod::Negotiate => true,
        }
    }
}

/// The listeners of the configuration, each under `limits`.
pub(super) fn read(reader: &Reader, people: &People, limits: &Limits) -> Vec<Listener> {
    let files = reader.items::<ListenerFile>("listeners");
    if reader.is_missing("listeners") {
        reader.wrong(
            &Key::root("listeners"),
            "there is no listener, so nobody could come in; add one under `listeners`",
        );
    }
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for (key, file) in &files {
        if !is_name(&file.name) {
            reader.wrong(
                &key.name("name"),
                "a name is 1 to 64 letters, digits, `-`, `_` and `.`; it becomes a metric label",
            );
        }
        if !names.insert(file.name.clone()) {
            reader.wrong(&key.name("name"), format!("two listeners are called `{}`; rename one", file.name));
        }
        if !addresses.insert(file.address.clone()) {
            reader.wrong(
                &key.name("address"),
                format!("two listeners have the address `{}`; change one", file.address),
            );
        }
    }
    files.iter().filter_map(|(key, file)| listener(reader, people, (key, file), limits)).collect()
}

/// Whether `text` may name a listener, route or rule: such names become metric labels and parts of records.
pub(super) fn is_name(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    plain && (1..=64).contains(&text.len())
}

fn listener(
    reader: &Reader,
    people: &People,
    (key, file): (&Key, &ListenerFile),
    limits: &Limits,
) -> Option<Listener> {
    let address = address(reader, &key.name("address"), &file.address);
    let transport = match file.transport {
        TransportFile::Https => tls(reader, key, file).map(Transport::Https),
        TransportFile::Http => {
            plain_http(reader, key, file);
            Some(Transport::Http)
        }
    };
    let list = key.name("names");
    let names = file.names.iter().enumerate();
    let names =
        names.filter_map(|(index, name)| reader.take(&list.index(index), HostName::parse(name))).collect();
    let peers = address.as_ref().map(|address| peers(reader, people, (key, file), address));
    let settings = Settings {
        name: file.name.as_str().into(),
        address: address?,
        transport: transport?,
        limits: limits.clone(),
    };
    Some(Listener { settings, names, peers: peers? })
}

fn address(reader: &Reader, key: &Key, text: &str) -> Option<ListenAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = Path::new(path);
        if !path.is_absolute() {
            reader
                .wrong(key, "a Unix socket needs an absolute path; write unix:/run/winrm-gateway/http.sock");
            return None;
        }
        return Some(ListenAddress::Unix(path.to_owned()));
    }
    let address = text.parse::<SocketAddr>();
    reader.take(
        key,
        address
            .map(ListenAddress::Tcp)
            .map_err(|_| "this is no address to listen on; write IP:PORT, [IPv6]:PORT or unix:/path"),
    )
}

fn plain_http(reader: &Reader, key: &Key, file: &ListenerFile) {
    for (name, given) in [
        ("certificate", file.certificate.is_some()),
        ("private_key", file.private_key.is_some()),
        ("client_certificates", file.client_certificates.mode != ModeFile::Off),
    ] {
        if given {
            reader
                .wrong(&key.name(name), "this means nothing with `transport: http`; remove it or use https");
        }
    }
}

fn tls(reader: &Reader, key: &Key, file: &ListenerFile) -> Option<TlsSettings> {
    let needed = |name: &str, path: Option<&std::path::PathBuf>, secret| match path {
        Some(path) => Some(reader.file(&key.name(name), path, secret)),
        None => {
            reader.wrong(&key.name(name), format!("`transport: https` needs `{name}`; add it, a PEM file"));
            None
        }
    };
    let certificate = needed("certificate", file.certificate.as_ref(), false);
    let private_key = needed("private_key", file.private_key.as_ref(), true);
    let min_version = match file.min_tls_version {
        TlsVersionFile::Tls12 => TlsVersion::Tls12,
        TlsVersionFile::Tls13 => TlsVersion::Tls13,
    };
    let client_certificates = client_certificates(reader, &key.name("client_certificates"), file);
    Some(TlsSettings {
        certificate: certificate?,
        private_key: private_key?,
        min_version,
        client_certificates: client_certificates?,
    })
}

fn client_certificates(reader: &Reader, key: &Key, file: &ListenerFile) -> Option<ClientCertificates> {
    let file = &file.client_certificates;
    let list = key.name("crls");
    let crls = file
        .crls
        .iter()
        .enumerate()
        .map(|(index, path)| reader.file(&list.index(index), path, false))
        .collect();
    let anchors =
        file.trust_anchors.as_ref().map(|path| reader.file(&key.name("trust_anchors"), path, false));
    let trust = |anchors| Trust { anchors, crls };
    match (file.mode, anchors) {
        (ModeFile::Off, None) => Some(ClientCertificates::Off),
        (ModeFile::Off, Some(_)) => {
            reader.wrong(
                &key.name("trust_anchors"),
                "client certificates are off, so nothing is checked against this; set `mode`, or remove it",
            );
            None
        }
        (ModeFile::Optional, Some(anchors)) => Some(ClientCertificates::Optional(trust(anchors))),
        (ModeFile::Required, Some(anchors)) => Some(ClientCertificates::Required(trust(anchors))),
        (ModeFile::Optional | ModeFile::Required, None) => {
            reader.wrong(
                &key.name("trust_anchors"),
                "client certificates need the authorities that count; add `trust_anchors`, a PEM file",
            );
            None
        }
    }
}

fn peers(
    reader: &Reader,
    people: &People,
    (key, file): (&Key, &ListenerFile),
    address: &ListenAddress,
) -> Peers {
    let unix = matches!(address, ListenAddress::Unix(_));
    if let Some(text) = &file.trust_loopback_as {
        let key = key.name("trust_loopback_as");
        if unix {
            reader.wrong(
                &key,
                "a Unix socket tells the uid of its clients; write `peers: { UID: user@REALM }` instead",
            );
        } else if !address.is_local() {
            reader.wrong(
                &key,
                "this would make everybody on the network that person; bind a loopback address, or remove it",
            );
        }
        return people.principal(reader, &key, text).map_or(Peers::Unknown, Peers::Everybody);
    }
    if file.peers.is_empty() {
        return Peers::Unknown;
    }
    let key = key.name("peers");
    if !unix {
        reader.wrong(
            &key,
            "only a Unix socket tells the uid of its clients; bind unix:/path, or remove `peers`",
        );
    }
    let known = file.peers.iter().filter_map(|(uid, text)| {
        let key = key.name(uid);
        let uid = reader
            .take(&key, uid.parse::<u32>().map_err(|_| "a peer is a numeric uid; write `1000: user@REALM`"));
        Some((uid?, people.principal(reader, &key, text)?))
    });
    Peers::ByUid(known.collect())
}
