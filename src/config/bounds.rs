//! Numbers: what the operator wrote with a unit in the key becomes sizes, counts and durations.

use super::{
    file::{AdminFile, AuditFile, BeforeRunFile, KerberosFile, LimitsFile},
    reader::Reader,
    tree::Key,
};
use crate::{
    audit::Keeping,
    listener::Limits,
    policy::{BeforeRun, OwnershipLimits},
};
use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// What bounds every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Envelopes {
    /// `MaxEnvelopeSizekb`, in bytes: the clear text of one request.
    pub(crate) max_bytes: usize,
    /// `MaxTimeoutms`: the longest `OperationTimeout`; a longer one is refused, never rewritten.
    pub(crate) max_timeout: Duration,
}

/// What bounds connections to hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BackendLimits {
    /// From the first packet to an established connection, TLS included.
    pub(crate) connect: Duration,
    /// `NetworkDelayms`: added to an operation's own timeout.
    pub(crate) network_delay: Duration,
    /// Connections to one host as one identity.
    pub(crate) connections_per_host: usize,
    /// How long an unused connection is kept.
    pub(crate) idle: Duration,
}

/// How Kerberos is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kerberos {
    /// `krb5.conf`; the system's where none is given. The library reads it once, at the start.
    pub(crate) config: Option<PathBuf>,
    /// How many blocking calls may run at once.
    pub(crate) threads: usize,
    /// How long one call may take before the request is refused.
    pub(crate) deadline: Duration,
    /// So many failures of a KDC in a row, and it is left alone for a while.
    pub(crate) breaker_failures: u32,
    /// How long.
    pub(crate) breaker_pause: Duration,
}

/// What `audit` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audit {
    /// Where records are written.
    pub(crate) directory: PathBuf,
    /// What an intent must be before its request may run, where the route does not say.
    pub(crate) before_run: BeforeRun,
    /// How many records may be in memory alone.
    pub(crate) max_pending: usize,
    /// How long a request waits for its intent to become durable.
    pub(crate) sync_deadline: Duration,
    /// How long files become, for how long they stay, what proves them.
    pub(crate) keeping: Keeping,
}

/// What `admin` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Admin {
    /// Where metrics and health are served; nowhere where none is given.
    pub(crate) address: Option<SocketAddr>,
    /// Where changes are taken from; nowhere where none is given.
    pub(crate) socket: Option<PathBuf>,
}

/// Everything of `limits`.
#[derive(Debug)]
pub(super) struct AllLimits {
    pub(super) listener: Limits,
    pub(super) backend: BackendLimits,
    pub(super) ownership: OwnershipLimits,
}

/// The bounds of WinRM's own setting; more than its greatest is not supported by Windows either.
const ENVELOPE_KB: RangeInclusive<u64> = 32..=1_039_440;
/// `MaxTimeoutms` is 500 at least; 32 bits hold it.
const TIMEOUT_MS: RangeInclusive<u64> = 500..=4_294_967_295;
const A_DAY_MS: u64 = 86_400_000;

/// Numbers under one key of the root.
struct Section<'a> {
    reader: &'a Reader,
    key: Key,
}

impl Section<'_> {
    fn number(&self, name: &str, value: u64, range: RangeInclusive<u64>) -> u64 {
        let key = if name.is_empty() { self.key.clone() } else { self.key.name(name) };
        if !range.contains(&value) {
            let (least, most) = (range.start(), range.end());
            self.reader
                .wrong(&key, format!("{value} is out of range; write a number from {least} to {most}"));
        }
        value.clamp(*range.start(), *range.end())
    }

    fn count(&self, name: &str, value: u64, most: u64) -> usize {
        usize::try_from(self.number(name, value, 1..=most)).unwrap_or(usize::MAX)
    }

    fn millis(&self, name: &str, value: u64) -> Duration {
        Duration::from_millis(self.number(name, value, 1..=A_DAY_MS))
    }
}

pub(super) fn envelopes(reader: &Reader) -> Envelopes {
    let root = |name: &str| Section { reader, key: Key::root(name) };
    let name = "max_envelope_size_kb";
    let kb = root(name).number("", reader.value(name).unwrap_or(500), ENVELOPE_KB);
    let name = "max_timeout_ms";
    let timeout = root(name).number("", reader.value(name).unwrap_or(1_800_000), TIMEOUT_MS);
    Envelopes {
        max_bytes: usize::try_from(kb.saturating_mul(1024)).unwrap_or(usize::MAX),
        max_timeout: Duration::from_millis(timeout),
    }
}

pub(super) fn limits(reader: &Reader, envelopes: Envelopes) -> AllLimits {
    let file = reader.section::<LimitsFile>("limits");
    let section = Section { reader, key: Key::root("limits") };
    let shells = section.count("max_shells_per_user", file.max_shells_per_user, 10_000);
    AllLimits {
        listener: listener(&section, &file, envelopes),
        backend: BackendLimits {
            connect: section.millis("connect_timeout_ms", file.connect_timeout_ms),
            network_delay: Duration::from_millis(section.number(
                "network_delay_ms",
                file.network_delay_ms,
                500..=A_DAY_MS,
            )),
            connections_per_host: section.count(
                "backend_connections_per_host",
                file.backend_connections_per_host,
                10_000,
            ),
            idle: section.millis("backend_idle_timeout_ms", file.backend_idle_timeout_ms),
        },
        ownership: OwnershipLimits {
            per_person: shells,
            total: section.count("max_shells", file.max_shells, 1_000_000),
            idle: section.millis("shell_idle_timeout_ms", file.shell_idle_timeout_ms),
        },
    }
}

fn listener(section: &Section<'_>, file: &LimitsFile, envelopes: Envelopes) -> Limits {
    // Sealing adds a header and a token, UTF-16 doubles: a sealed body may be so much longer than its clear text.
    let body_bytes = envelopes.max_bytes.saturating_mul(2).saturating_add(64 * 1024);
    let buffered = section.count("buffered_mb", file.buffered_mb, 65_536).saturating_mul(1024 * 1024);
    if buffered < body_bytes {
        let key = section.key.name("buffered_mb");
        section.reader.wrong(&key, "less than one request of `max_envelope_size_kb` needs, so none of that size could come in; raise it");
    }
    let rate = section.number(
        "minimum_rate_bytes_per_second",
        file.minimum_rate_bytes_per_second,
        1..=u64::from(u32::MAX),
    );
    let retrieval = section.number(
        "max_packet_retrieval_time_seconds",
        file.max_packet_retrieval_time_seconds,
        1..=3_600,
    );
    // Clients keep a connection between the turns of a handshake and of a receive loop for longer than two minutes.
    let idle = section.number("idle_timeout_ms", file.idle_timeout_ms, 130_000..=A_DAY_MS);
    Limits {
        handshake: section.millis("handshake_timeout_ms", file.handshake_timeout_ms),
        head: section.millis("head_timeout_ms", file.head_timeout_ms),
        idle: Duration::from_millis(idle),
        body_grace: section.millis("body_grace_ms", file.body_grace_ms),
        minimum_rate: u32::try_from(rate).unwrap_or(u32::MAX),
        body: Duration::from_secs(retrieval),
        write_stall: section.millis("write_stall_timeout_ms", file.write_stall_timeout_ms),
        body_bytes,
        connections: section.count("connections", file.connections, 1_000_000),
        connections_per_address: section.count(
            "connections_per_address",
            file.connections_per_address,
            1_000_000,
        ),
        buffered_bytes: Arc::new(Semaphore::new(buffered.min(Semaphore::MAX_PERMITS))),
        ..Limits::default()
    }
}

pub(super) fn kerberos(reader: &Reader) -> Kerberos {
    let file = reader.section::<KerberosFile>("kerberos");
    let section = Section { reader, key: Key::root("kerberos") };
    let failures = section.number("breaker_failures", file.breaker_failures, 1..=10_000);
    Kerberos {
        config: file.config.map(|path| reader.file(&section.key.name("config"), &path, false)),
        threads: section.count("threads", file.threads, 512),
        deadline: section.millis("deadline_ms", file.deadline_ms),
        breaker_failures: u32::try_from(failures).unwrap_or(u32::MAX),
        breaker_pause: section.millis("breaker_pause_ms", file.breaker_pause_ms),
    }
}

pub(super) fn audit(reader: &Reader, file: &AuditFile) -> Audit {
    let section = Section { reader, key: Key::root("audit") };
    if !file.directory.is_absolute() {
        reader.wrong(&section.key.name("directory"), "the path is not absolute; write it from `/` on");
    }
    Audit {
        directory: file.directory.clone(),
        before_run: match file.before_run {
            BeforeRunFile::Durable => BeforeRun::Durable,
            BeforeRunFile::BestEffort => BeforeRun::BestEffort,
        },
        max_pending: section.count("max_pending", file.max_pending, 10_000_000),
        sync_deadline: section.millis("sync_deadline_ms", file.sync_deadline_ms),
        keeping: keeping(&section, file),
    }
}

fn keeping(section: &Section<'_>, file: &AuditFile) -> Keeping {
    let apart = |name: &str, path: &Option<PathBuf>| {
        let path = path.clone()?;
        let key = section.key.name(name);
        if !path.is_absolute() {
            section.reader.wrong(&key, "the path is not absolute; write it from `/` on");
        } else if path.starts_with(&file.directory) {
            section.reader.wrong(&key, "who can change the records could change this as well; write a path outside `audit.directory`");
        }
        Some(path)
    };
    let days = |days: u64| Duration::from_secs(86_400 * section.number("keep_days", days, 1..=36_500));
    Keeping {
        head: apart("head", &file.head),
        signing_key: apart("signing_key", &file.signing_key),
        checkpoint_records: section.number("checkpoint_records", file.checkpoint_records, 1..=1_000_000),
        checkpoint_interval: Duration::from_secs(section.number(
            "checkpoint_seconds",
            file.checkpoint_seconds,
            1..=86_400,
        )),
        rotate_bytes: section.number("rotate_mb", file.rotate_mb, 1..=1_048_576) << 20,
        rotate_after: Duration::from_secs(
            3600 * section.number("rotate_hours", file.rotate_hours, 1..=87_600),
        ),
        keep: file.keep_days.map(days),
    }
}

pub(super) fn admin(reader: &Reader) -> Admin {
    let file = reader.section::<AdminFile>("admin");
    let key = Key::root("admin");
    let address = file.address.as_ref().and_then(|text| {
        let address = text
            .parse::<SocketAddr>()
            .map_err(|_| "this is no address to listen on; write IP:PORT, as in 127.0.0.1:9090");
        reader.take(&key.name("address"), address)
    });
    if file.socket.as_ref().is_some_and(|path| !path.is_absolute()) {
        reader.wrong(&key.name("socket"), "the path is not absolute; write it from `/` on");
    }
    Admin { address, socket: file.socket }
}
