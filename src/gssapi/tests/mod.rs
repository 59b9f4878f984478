//! What must hold of this module, shown against a real KDC.

mod acquire;
mod active_directory;
mod bindings;
mod delegation;
mod door;
mod handshake;
mod impostor;
pub(crate) mod realm;
mod sealing;

use std::{sync::Arc, time::Duration};

use super::{
    Accepted, Acceptor, ChannelBindings, Credential, Door, DoorSettings, GssError, Initiated, Mechanism,
    SecurityContext,
};
use realm::Realm;

const GATEWAY: &str = "svc-gw@CORP.EXAMPLE";
const ALICE: &str = "alice@CORP.EXAMPLE";
const WEB01: &str = "HTTP/web01.corp.example";
const BOTH_MECHANISMS: [Mechanism; 2] = [Mechanism::Krb5, Mechanism::Spnego];

/// A door that is patient enough for a busy machine.
fn door() -> Arc<Door> {
    door_with(8, Duration::from_secs(20))
}

fn door_with(threads: usize, deadline: Duration) -> Arc<Door> {
    let breaker_pause = Duration::from_millis(300);
    Arc::new(Door::new(DoorSettings { threads, deadline, breaker_failures: 3, breaker_pause }))
}

/// The gateway's own credential.
async fn gateway(door: &Door, realm: &Realm) -> Credential {
    gateway_of(door, realm, GATEWAY).await
}

async fn gateway_of(door: &Door, realm: &Realm, name: &str) -> Credential {
    door.from_keytab(name, &realm.keytab("svc-gw"), None).await.expect("the gateway's ticket")
}

/// A person, by `S4U2Self`.
async fn person(door: &Door, realm: &Realm, name: &str) -> Credential {
    let service = gateway(door, realm).await;
    door.impersonate(&service, name).await.expect("a ticket in the person's name")
}

/// A host's keys.
async fn host(door: &Door, realm: &Realm, name: &str) -> Credential {
    let replay_cache = realm.dir().join("rcache");
    door.acceptor(&realm.keytab(name), Some(&replay_cache)).await.expect("the host's keys")
}

/// A finished handshake: the client's and the server's context.
struct Pair {
    client: SecurityContext,
    server: SecurityContext,
}

/// Shakes hands with web01, with each side's own idea of the channel.
async fn try_shake(
    door: &Door,
    (client, server): (&Credential, &Credential),
    mechanism: Mechanism,
    bindings: (Option<&ChannelBindings>, Option<&ChannelBindings>),
) -> Result<Pair, GssError> {
    shake_with(door, WEB01, (client, server), mechanism, bindings).await
}

/// Shakes hands with any host.
async fn shake_with(
    door: &Door,
    spn: &str,
    (client, server): (&Credential, &Credential),
    mechanism: Mechanism,
    (theirs, ours): (Option<&ChannelBindings>, Option<&ChannelBindings>),
) -> Result<Pair, GssError> {
    let (mut initiator, mut token) = door.initiate(client, spn, mechanism, theirs).await?;
    let mut acceptor = Acceptor::new(server, ours);
    loop {
        let (server, reply) = match acceptor.step(&token)? {
            Accepted::Continue(next, reply) => {
                acceptor = next;
                match initiator.step(&reply)? {
                    Initiated::Continue(next, leg) => (initiator, token) = (next, leg),
                    Initiated::Established(..) => panic!("the client is content before the server is"),
                }
                continue;
            }
            Accepted::Established(server, reply) => (server, reply.expect("the server's proof")),
        };
        match initiator.step(&reply)? {
            Initiated::Established(client, None) => return Ok(Pair { client, server }),
            Initiated::Established(_, Some(_)) | Initiated::Continue(..) => panic!("one round is enough"),
        }
    }
}

/// Shakes hands with web01 as `name`.
async fn shake(door: &Door, realm: &Realm, name: &str, mechanism: Mechanism) -> Pair {
    let (client, server) = (person(door, realm, name).await, host(door, realm, "web01").await);
    try_shake(door, (&client, &server), mechanism, (None, None)).await.expect("a handshake")
}
