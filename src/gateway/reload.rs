//! What goes on beside the requests: reading the configuration again, watching certificates, forgetting what is over.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use pingora_core::server::ShutdownWatch;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use super::{
    assembly::{self, Shared},
    refusal::chain,
    serve::Serving,
};
use crate::{
    config::Config,
    listener::{ListenAddress, TlsReloader, Transport},
};

/// The chores of a running gateway.
pub(super) struct Chores {
    path: PathBuf,
    fixed: Fixed,
    shared: Shared,
    serving: Arc<Serving>,
    tls: Vec<TlsReloader>,
}

/// What is decided at the start and stays until the end.
#[derive(PartialEq)]
struct Fixed {
    listeners: Vec<(Arc<str>, ListenAddress, Transport)>,
    audit: crate::config::Audit,
    admin: crate::config::Admin,
    kerberos: crate::config::Kerberos,
}

impl Fixed {
    fn of(config: &Config) -> Self {
        Self {
            listeners: config.listeners.iter().map(|listener| listener.settings.identity()).collect(),
            audit: config.audit.clone(),
            admin: config.admin.clone(),
            kerberos: config.kerberos.clone(),
        }
    }
}

impl Chores {
    /// The chores of the gateway that was started from `config`, read from `path`.
    pub(super) fn new(
        path: PathBuf,
        config: &Config,
        shared: Shared,
        serving: Arc<Serving>,
        tls: Vec<TlsReloader>,
    ) -> Self {
        Self { path, fixed: Fixed::of(config), shared, serving, tls }
    }

    /// Does them until `shutdown`.
    pub(super) async fn run(self, mut shutdown: ShutdownWatch) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            tracing::error!("SIGHUP can't be received, so the configuration can't be read again");
            return;
        };
        let mut often = interval(SWEEP);
        often.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*shutdown.borrow() {
            tokio::select! {
                _ = shutdown.changed() => return,
                _ = hangup.recv() => self.reload(),
                _ = often.tick() => self.sweep(),
            }
        }
    }

    /// Forgets idle connections and shells, and takes changed certificates and revocation lists.
    fn sweep(&self) {
        let spine = self.serving.current();
        spine.backends.reap();
        spine.authenticator.sweep();
        spine.policy.ownership().expire(Instant::now());
        for tls in self.tls.iter().filter(|tls| tls.changed()) {
            self.take_files(tls);
        }
    }

    fn take_files(&self, tls: &TlsReloader) {
        match tls.reload() {
            Ok(snapshot) => {
                for warning in snapshot.warnings() {
                    tracing::warn!(listener = %tls.listener(), warning, "Listener's files need attention");
                }
                tracing::info!(listener = %tls.listener(), "Certificates and revocation lists were read again");
                self.shared.metrics.reloaded(true);
            }
            Err(error) => {
                let cause = chain(&error);
                tracing::error!(listener = %tls.listener(), cause, "Changed certificate files can't be used; the former ones stay in force");
                self.shared.metrics.reloaded(false);
            }
        }
    }

    /// Reads the configuration again. All of it counts, or none.
    fn reload(&self) {
        match self.read() {
            Ok(summary) => {
                tracing::info!(summary, "Configuration was read again");
                self.shared.metrics.reloaded(true);
            }
            Err(cause) => {
                tracing::error!(cause, "The configuration can't be used; the former one stays in force");
                self.shared.metrics.reloaded(false);
            }
        }
        for tls in &self.tls {
            self.take_files(tls);
        }
    }

    fn read(&self) -> Result<String, String> {
        let config = Config::load(&self.path).map_err(|error| error.to_string())?;
        config.check_files().map_err(|error| error.to_string())?;
        assembly::check_keytabs(&config).map_err(|error| chain(&error))?;
        if Fixed::of(&config) != self.fixed {
            return Err("`listeners`, `audit`, `admin` and `kerberos` only change with a restart".to_owned());
        }
        let local = assembly::local_accounts(&config).map_err(|error| chain(&error))?;
        let former = self.serving.current();
        let spine = assembly::spine(&config, &self.shared, Some(&former), local)
            .map_err(|error| error.to_string())?;
        self.serving.spine.send_replace(Arc::new(spine));
        Ok(config.summary())
    }
}

/// How often what is over is forgotten and files are looked at; a revoked certificate counts no longer than this and a moment.
const SWEEP: Duration = Duration::from_secs(10);
