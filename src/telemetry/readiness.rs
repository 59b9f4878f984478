//! Whether requests are likely to be served, found out in the background.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Asks whether tickets can be had; the error is one line for the operator.
pub(crate) type Ask = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// What was found out last.
pub(super) struct Readiness {
    ask: Ask,
    last: Mutex<Option<Result<(), String>>>,
}

impl Readiness {
    /// Has asked nobody yet.
    pub(super) fn new(ask: Ask) -> Self {
        Self { ask, last: Mutex::new(None) }
    }

    /// Asks now and then, for ever.
    pub(super) async fn watch(&self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let found = (self.ask)().await;
            let before = self.lock().replace(found.clone());
            if before.as_ref() != Some(&found) {
                match found {
                    Ok(()) => tracing::info!("Tickets can be had"),
                    Err(error) => tracing::warn!(%error, "No tickets can be had"),
                }
            }
        }
    }

    /// What was found out last, as a line.
    pub(super) fn tickets(&self) -> Result<(), String> {
        self.lock().clone().unwrap_or_else(|| Err("not known yet".to_owned()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Result<(), String>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
