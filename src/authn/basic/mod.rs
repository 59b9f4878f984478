//! Names and passwords (RFC 7617): the realm's KDC says whether a password is right, and proves that it is the realm's.
//!
//! A password that was right is believed for ten minutes, or as long as its ticket where that is shorter, under a keyed hash. Between the client and
//! the KDC stands a [`Guard`]: a domain locks accounts after so many wrong passwords, and nobody may use the gateway to lock them.
//!
//! INVARIANT: a password that is wrong costs the KDC one attempt, however often and by however many connections it is tried.
//! INVARIANT: an unknown name and a wrong password take the same way, the same time and the same text.

mod cache;
mod guard;
mod pair;

pub(super) use guard::Guard;
pub(crate) use guard::{GuardSettings, Source};

use std::sync::Arc;

use tokio::time::{Duration, Instant};

use self::{
    cache::{Fingerprint, Known, Verdicts},
    pair::Pair,
};
use super::{Principal, Realms, challenge::Unproved, evidence::PasswordProof, handshake::REFUSED, keys::Keys};
use crate::gssapi::{Class, Door, GssError};

/// How passwords are taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BasicSettings {
    /// The realm of names without one; the only realm where none is given.
    pub(crate) default_realm: Option<String>,
    /// How many failures are let through to the KDC.
    pub(crate) guard: GuardSettings,
}

/// Takes passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    settings: BasicSettings,
    door: Arc<Door>,
    keys: Arc<Keys>,
    guard: Arc<Guard>,
    verdicts: Arc<Verdicts>,
}

/// What came of a name and a password.
pub(super) enum Login {
    /// They belong together.
    Proved(Arc<PasswordProof>),
    /// They do not, or it may not be tried now.
    Unproved(Unproved),
    /// The KDC could not be asked.
    Unavailable(GssError),
    /// Somebody said yes who is not the KDC.
    Impostor(GssError),
}

impl Passwords {
    /// Passwords under `settings`, behind `guard`. What `former` knows to be wrong still is.
    pub(super) fn new(
        settings: BasicSettings,
        (door, keys): (Arc<Door>, Arc<Keys>),
        guard: Arc<Guard>,
        former: Option<&Self>,
    ) -> Self {
        let verdicts = former.map_or_else(|| Arc::new(Verdicts::new()), |former| Arc::clone(&former.verdicts));
        // What is believed was learnt under another configuration.
        verdicts.forget_the_right_ones();
        Self { settings, door, keys, guard, verdicts }
    }

    /// Forgets what is over.
    pub(super) fn sweep(&self) {
        self.verdicts.sweep(Instant::now());
    }

    /// Judges `user:password`.
    pub(super) async fn log_in(&self, bytes: &[u8], realms: &Realms, source: Source) -> Login {
        let began = Instant::now();
        let Some(pair) = Pair::parse(bytes) else {
            return Login::Unproved(Unproved::new("malformed_credentials", "the name or the password is malformed"));
        };
        let login = match pair.principal(realms, self.settings.default_realm.as_deref()) {
            Ok(principal) => self.judge(principal, &pair, source).await,
            // Whoever is nobody here may be somebody elsewhere: told to the record alone.
            Err(error) => match self.guard.try_name(source, began) {
                Ok(attempt) => {
                    attempt.failed();
                    Login::Unproved(wrong("unknown_user", format!("the name is nobody's: {error}")))
                }
                Err(locked) => Login::Unproved(locked),
            },
        };
        if matches!(login, Login::Unproved(_)) {
            // How long the KDC took would tell whether it knows the name.
            let slots = u32::try_from(began.elapsed().as_nanos() / SLOT.as_nanos()).unwrap_or(u32::MAX);
            tokio::time::sleep_until(began + SLOT.saturating_mul(slots.saturating_add(1))).await;
        }
        login
    }

    async fn judge(&self, principal: Principal, pair: &Pair<'_>, source: Source) -> Login {
        let print = self.verdicts.fingerprint(&principal, pair.password());
        if let Some(login) = self.known(&principal, print, source) {
            return login;
        }
        // One at a time asks about one password; the others learn from its answer.
        let flight = self.verdicts.flight(print);
        let _one_at_a_time = flight.lock().await;
        if let Some(login) = self.known(&principal, print, source) {
            return login;
        }
        let attempt = match self.guard.attempt(&principal, source, Instant::now()) {
            Ok(attempt) => attempt,
            Err(locked) => return Login::Unproved(locked),
        };
        let asked = self.door.from_password(&principal.to_string(), pair.secret()).await;
        let ticket = match asked {
            Ok(ticket) => ticket,
            Err(error) => {
                let (login, tried) = refused(error);
                if tried {
                    attempt.failed();
                    self.verdicts.is_wrong(print, Instant::now() + BELIEVED.min(self.settings.guard.window));
                }
                return login;
            }
        };
        if let Err(error) = self.keys.vouch_for(&ticket).await {
            return if is_outage(&error) { Login::Unavailable(error) } else { Login::Impostor(error) };
        }
        attempt.succeeded();
        let until = Instant::from_std(ticket.expires()).min(Instant::now() + BELIEVED);
        let proof = Arc::new(PasswordProof { principal, ticket, password: pair.secret(), until });
        self.verdicts.is_right(print, Arc::clone(&proof), source);
        Login::Proved(proof)
    }

    /// What is known already.
    ///
    /// Why a locked person gets in by a password that is believed only from where it was used before: otherwise the cache would answer, without
    /// any bound, whether a guess is right; and without the exception anybody could lock anybody out.
    fn known(&self, principal: &Principal, print: Fingerprint, source: Source) -> Option<Login> {
        let now = Instant::now();
        match self.verdicts.known(print, now)? {
            Known::Wrong => {
                Some(Login::Unproved(wrong("wrong_password", "the same wrong password as before".to_owned())))
            }
            Known::Right(proof, used_from) => {
                let locked = self.guard.is_locked(principal, source, used_from.contains(&source), now);
                if let Some(locked) = locked {
                    return Some(Login::Unproved(locked));
                }
                self.verdicts.was_used(print, source);
                Some(Login::Proved(proof))
            }
        }
    }
}

/// What the KDC's refusal means, and whether it counted as an attempt there.
fn refused(error: GssError) -> (Login, bool) {
    let text = error.to_string();
    let unproved = |reason, tried| (Login::Unproved(wrong(reason, text.clone())), tried);
    match error.classify() {
        Class::WrongPassword => unproved("wrong_password", true),
        Class::UnknownPrincipal => unproved("unknown_user", true),
        Class::AccountDisabled => unproved("account_disabled", true),
        Class::AccountExpired => unproved("account_expired", true),
        Class::PasswordExpired => unproved("password_expired", true),
        Class::Skew => unproved("clock_skew", false),
        Class::KdcUnreachable | Class::TimedOut | Class::BreakerOpen | Class::Overloaded => {
            (Login::Unavailable(error), false)
        }
        Class::UnknownService
        | Class::NotDelegable
        | Class::OtherIdentity
        | Class::Expired
        | Class::Replay
        | Class::OutOfSequence
        | Class::BadBindings
        | Class::NoKey
        | Class::NotSealed
        | Class::MissingFlags
        | Class::Other => unproved("wrong_password", true),
    }
}

fn is_outage(error: &GssError) -> bool {
    matches!(
        error.classify(),
        Class::KdcUnreachable | Class::TimedOut | Class::BreakerOpen | Class::Overloaded | Class::Skew
    )
}

fn wrong(reason: &'static str, private: String) -> Unproved {
    Unproved::new(reason, REFUSED).because(private)
}

/// How long a verdict is believed (I8).
const BELIEVED: Duration = Duration::from_secs(600);
/// Refusals are told at multiples of this after the request.
const SLOT: Duration = Duration::from_millis(250);
