//! From a configuration to a running gateway, and from a signal to its end.

use std::{
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use pingora_core::{
    server::{
        ListenFds, RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch,
        configuration::ServerConf,
    },
    services::Service,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Mutex, oneshot, watch},
};

use super::{
    assembly::{self, Shared},
    reload::Chores,
    serve::Serving,
};
use crate::{
    audit::{Audit, AuditError},
    config::{Config, ConfigErrors},
    gssapi::{Door, DoorSettings},
    listener::{self, Bound, ListenerError, Listeners},
    policy::PolicyError,
    telemetry::{self, Metrics, TelemetryError},
};

/// Why the gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration, or a file that it names, is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A listener's files or address can't be used.
    #[error("listener `{name}`")]
    Listener {
        /// The listener.
        name: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether the configuration is at fault, and not the machine.
        is_configuration: bool,
    },
    /// The audit log can't be written.
    #[error("the audit log can't be written")]
    Audit(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The admin address or socket can't be used.
    #[error("the admin listener can't be served")]
    Admin(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operating system refused something that every process may do.
    #[error("the process can't be set up")]
    Process(#[source] io::Error),
}

impl StartError {
    /// Whether what is wrong stands in the configuration or in a file that it names (exit code 78).
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Config(_) => true,
            Self::Listener { is_configuration, .. } => *is_configuration,
            Self::Audit(_) | Self::Admin(_) | Self::Process(_) => false,
        }
    }

    fn of_listener(name: &str, error: ListenerError) -> Self {
        let is_configuration = error.is_configuration();
        Self::Listener { name: name.to_owned(), source: Box::new(error), is_configuration }
    }
}

impl From<AuditError> for StartError {
    fn from(error: AuditError) -> Self {
        Self::Audit(Box::new(error))
    }
}

impl From<TelemetryError> for StartError {
    fn from(error: TelemetryError) -> Self {
        Self::Admin(Box::new(error))
    }
}

/// A gateway that has taken its addresses and opened its log, and serves nobody yet.
pub struct Gateway {
    server: Server,
    audit: Arc<Audit>,
    signals: Signals,
}

impl Gateway {
    /// Takes the addresses, opens the audit log, reads keys and certificates. No KDC and no host is asked anything yet.
    ///
    /// `path` is where `config` came from; it is read again on SIGHUP.
    ///
    /// # Errors
    /// Says what is missing or in use, with file, line and key where the configuration names it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a gateway takes its configuration; nobody else has a use for it"
    )]
    pub fn start(config: Config, path: &Path) -> Result<Self, StartError> {
        harden()?;
        let door = Arc::new(Door::new(DoorSettings {
            threads: config.kerberos.threads,
            deadline: config.kerberos.deadline,
            breaker_failures: config.kerberos.breaker_failures,
            breaker_pause: config.kerberos.breaker_pause,
        }));
        assembly::check_keytabs(&config)?;
        let local = assembly::local_accounts(&config)?;
        let bound = bind(&config)?;
        let audit = Arc::new(Audit::open(&assembly::audit_settings(&config.audit))?);
        private_directory(&config.kerberos.replay_cache)?;
        let metrics = Arc::new(Metrics::new(assembly::vocabulary(&config))?);
        audit.on_sync(metrics.sync_observer());
        let shared = Shared { door, audit: Arc::clone(&audit), metrics: Arc::clone(&metrics) };
        let spine = assembly::spine(&config, &shared, None, local).map_err(
            |PolicyError::Overlap { first, second }| {
                StartError::Process(io::Error::other(format!("routes {first} and {second} overlap")))
            },
        )?;
        let serving = Arc::new(Serving {
            spine: watch::Sender::new(Arc::new(spine)),
            audit: Arc::clone(&audit),
            metrics,
        });
        let certificates =
            bound.iter().filter_map(|bound| Some((bound.name().to_owned(), bound.tls()?.clone()))).collect();
        let listeners = listener::service(bound, Arc::clone(&serving));
        let sources = assembly::sources(&shared, &serving, listeners.stats(), certificates);
        let (begin, shutdown) = watch::channel(false);
        let (ended, has_ended) = oneshot::channel();
        let admin = telemetry::bind(config.admin.address, config.admin.socket.as_deref())?;
        let chores =
            Chores::new(path.to_owned(), &config, shared, Arc::clone(&serving), listeners.reloaders());
        let mut server = Server::new_with_opt_and_conf(None, server_conf());
        let admin =
            telemetry::service(admin, Arc::clone(&serving.metrics), sources, assembly::readiness(&serving));
        server.add_service(Bridged { service: admin, shutdown: shutdown.clone() });
        server.add_service(Fleet { listeners, chores: Some(chores), shutdown, ended: Some(ended) });
        Ok(Self { server, audit, signals: Signals { begin, has_ended: Mutex::new(Some(has_ended)) } })
    }

    /// Serves until SIGTERM or SIGINT, then lets requests under way end, and writes what is left of the record.
    ///
    /// # Errors
    /// When the record can't be written to its end.
    pub fn run(self) -> Result<(), StartError> {
        let Self { server, audit, signals } = self;
        server.run(RunArgs { shutdown_signal: Box::new(signals) });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(StartError::Process)?;
        runtime.block_on(async {
            match Arc::try_unwrap(audit) {
                Ok(audit) => audit.close().await,
                // A task that was cut off still holds it; what waits is written all the same.
                Err(audit) => audit.flush().await,
            }
        })?;
        tracing::info!("Stopped");
        Ok(())
    }
}

/// Makes the directory of the replay cache where it is missing. Nobody else may write there: who could empty it could replay tickets.
fn private_directory(path: &Path) -> Result<(), StartError> {
    let wrong = |cause: io::Error| {
        StartError::Process(io::Error::new(
            cause.kind(),
            format!("kerberos.replay_cache {}: {cause}", path.display()),
        ))
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(wrong)?;
    if std::fs::metadata(path).map_err(wrong)?.permissions().mode() & 0o077 != 0 {
        return Err(wrong(io::Error::other("others can look into it; run `chmod 0700`")));
    }
    Ok(())
}

/// Keeps keys and passwords out of core dumps and away from other processes of the same user.
fn harden() -> Result<(), StartError> {
    let failed = |error: nix::Error| StartError::Process(error.into());
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0).map_err(failed)?;
    nix::sys::prctl::set_dumpable(false).map_err(failed)
}

fn bind(config: &Config) -> Result<Vec<Bound>, StartError> {
    let mut all = Vec::new();
    for listener in &config.listeners {
        let settings = listener.settings.clone();
        let bound =
            listener::bind(settings).map_err(|error| StartError::of_listener(listener.name(), error))?;
        for warning in bound.warnings() {
            tracing::warn!(listener = listener.name(), warning, "Listener's files need attention");
        }
        tracing::info!(listener = listener.name(), address = %bound.address(), "Listening");
        all.push(bound);
    }
    Ok(all)
}

/// pingora's own settings: all listeners share one runtime, and draining is done before pingora is told to stop.
fn server_conf() -> ServerConf {
    ServerConf {
        threads: std::thread::available_parallelism().map_or(2, usize::from),
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

/// The listeners and what must be done beside them, in one service and thus one runtime.
struct Fleet {
    listeners: Listeners<Serving>,
    chores: Option<Chores>,
    shutdown: ShutdownWatch,
    ended: Option<oneshot::Sender<()>>,
}

#[async_trait]
impl Service for Fleet {
    async fn start_service(&mut self, fds: Option<ListenFds>, _pingora: ShutdownWatch, per_fd: usize) {
        let chores = self.chores.take().map(|chores| tokio::spawn(chores.run(self.shutdown.clone())));
        tracing::info!("Serving");
        self.listeners.start_service(fds, self.shutdown.clone(), per_fd).await;
        if let Some(chores) = chores {
            chores.abort();
        }
        if let Some(ended) = self.ended.take() {
            // Where nobody waits for it any more, the process is ending already.
            ended.send(()).ok();
        }
    }

    fn name(&self) -> &'static str {
        "winrm"
    }
}

/// A service that hears of the end from us and not from pingora, which tells only when all is over.
struct Bridged<S> {
    service: S,
    shutdown: ShutdownWatch,
}

#[async_trait]
impl<S: Service> Service for Bridged<S> {
    async fn start_service(&mut self, fds: Option<ListenFds>, _pingora: ShutdownWatch, per_fd: usize) {
        self.service.start_service(fds, self.shutdown.clone(), per_fd).await;
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

/// Turns signals into the end: listeners first, then what is under way, then everything.
///
/// Why not pingora's own grace period: it always lasts its full length, and then cuts off what is under way.
struct Signals {
    begin: watch::Sender<bool>,
    has_ended: Mutex<Option<oneshot::Receiver<()>>>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("Signals can't be received, so the gateway does not serve");
            return ShutdownSignal::FastShutdown;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!(
            patience_s = PATIENCE.as_secs(),
            "Stopping: idle connections close, requests under way may end"
        );
        self.begin.send(true).ok();
        let ended = self.has_ended.lock().await.take();
        let ended = async move {
            if let Some(ended) = ended {
                ended.await.ok();
            }
        };
        tokio::select! {
            () = ended => {}
            () = tokio::time::sleep(PATIENCE) => tracing::warn!("Requests under way were cut off"),
            _ = terminate.recv() => tracing::warn!("Asked a second time: requests under way were cut off"),
            _ = interrupt.recv() => tracing::warn!("Asked a second time: requests under way were cut off"),
        }
        ShutdownSignal::FastShutdown
    }
}

/// How long requests under way may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
