//! What hosts have asked for before.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use super::{Algorithm, DigestError, challenge::Challenge};
use crate::backend::key::HostKey;

/// Remembers, per host, the nonces that were answered and the strongest algorithm that was asked for.
#[derive(Default)]
pub(in crate::backend) struct Memory(Mutex<HashMap<HostKey, Known>>);

struct Known {
    strongest: Algorithm,
    nonces: VecDeque<String>,
}

impl Memory {
    /// Takes note of a challenge that is about to be answered.
    ///
    /// # Errors
    /// Where it is weaker than an earlier one, or has an earlier one's nonce: the host, or somebody on the way to it, repeats what it heard.
    pub(super) fn admit(&self, host: &HostKey, challenge: &Challenge) -> Result<(), DigestError> {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MOST_HOSTS && !hosts.contains_key(host) {
            // Hosts come from the configuration; a fleet of more is remembered in part.
            hosts.clear();
        }
        let known = hosts
            .entry(host.clone())
            .or_insert_with(|| Known { strongest: challenge.algorithm, nonces: VecDeque::new() });
        if challenge.algorithm < known.strongest {
            return Err(DigestError::Weaker);
        }
        if known.nonces.contains(&challenge.nonce) {
            return Err(DigestError::Replayed);
        }
        known.strongest = challenge.algorithm;
        if known.nonces.len() >= MOST_NONCES {
            known.nonces.pop_front();
        }
        known.nonces.push_back(challenge.nonce.clone());
        Ok(())
    }
}

const MOST_HOSTS: usize = 10_000;
const MOST_NONCES: usize = 64;
