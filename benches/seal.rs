//! How long it takes to shake hands, to seal and to unseal, as the gateway and a host do it.
#![expect(clippy::expect_used, reason = "a benchmark that can't set up what it measures must fail")]
#![expect(missing_docs, reason = "criterion's macros write undocumented functions")]

#[expect(dead_code, unused_imports, reason = "the module as the gateway has it, of which a part is measured")]
#[path = "../src/gssapi/mod.rs"]
mod gssapi;
#[expect(dead_code, reason = "not every benchmark sends every envelope")]
mod support;

use std::{hint::black_box, path::PathBuf, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use secrecy::SecretString;
use tokio::runtime::Runtime;

use self::gssapi::{
    Accepted, Acceptor, Credential, Door, DoorSettings, Initiated, Mechanism, SecurityContext,
};

/// Alice and a host in the realm that `make bench` has started.
struct Parties {
    runtime: Runtime,
    door: Door,
    alice: Credential,
    web01: Credential,
}

impl Parties {
    fn new() -> Self {
        let realm = PathBuf::from(std::env::var_os("BENCH_REALM").expect("a realm: run `make bench`"));
        let runtime = Runtime::new().expect("a runtime");
        let deadline = Duration::from_secs(10);
        let door =
            Door::new(DoorSettings { threads: 2, deadline, breaker_failures: 100, breaker_pause: deadline });
        let password = SecretString::from("Passw0rd!");
        let alice = runtime.block_on(door.from_password("alice@CORP.EXAMPLE", password)).expect("alice");
        let keys = realm.join("kt/web01.keytab");
        let web01 = runtime.block_on(door.acceptor(&keys, None)).expect("the keys of web01");
        Self { runtime, door, alice, web01 }
    }

    /// Both ends of a finished handshake.
    fn shake(&self, mechanism: Mechanism) -> (SecurityContext, SecurityContext) {
        let begun = self.door.initiate(&self.alice, "HTTP/web01.corp.example", mechanism, None);
        let (initiator, token) = self.runtime.block_on(begun).expect("the first token");
        let accepted = Acceptor::new(&self.web01, None).step(&token).expect("a sound token");
        let Accepted::Established(host, Some(token)) = accepted else { return unfinished() };
        let Initiated::Established(client, None) = initiator.step(&token).expect("a proof") else {
            return unfinished();
        };
        (client, host)
    }
}

fn handshake(criterion: &mut Criterion) {
    let parties = Parties::new();
    let mut group = criterion.benchmark_group("handshake");
    for (name, mechanism) in [("kerberos", Mechanism::Krb5), ("spnego", Mechanism::Spnego)] {
        group.bench_function(BenchmarkId::new("both ends", name), |bencher| {
            bencher.iter(|| parties.shake(mechanism));
        });
    }
    group.finish();
}

fn seal(criterion: &mut Criterion) {
    let parties = Parties::new();
    let mut group = criterion.benchmark_group("seal");
    for (name, bytes) in [("1.2 KB", support::SMALL), ("150 KB", support::LARGE)] {
        let plain = support::output(bytes).bytes().to_vec();
        group.throughput(Throughput::Bytes(u64::try_from(plain.len()).unwrap_or(u64::MAX)));
        let (mut client, _host) = parties.shake(Mechanism::Krb5);
        group.bench_with_input(BenchmarkId::new("seal", name), &plain, |bencher, plain| {
            bencher.iter(|| client.seal(black_box(plain)).expect("a sealed message"));
        });
        // Messages are unsealed in the order in which they were sealed, or not at all.
        let (mut client, mut host) = parties.shake(Mechanism::Krb5);
        group.bench_with_input(BenchmarkId::new("unseal", name), &plain, |bencher, plain| {
            let sealed = || client.seal(plain).expect("a sealed message");
            let unseal =
                |sealed: gssapi::Sealed| host.unseal(&sealed.header, &sealed.data).expect("a sound message");
            bencher.iter_batched(sealed, unseal, BatchSize::SmallInput);
        });
    }
    group.finish();
}

#[expect(clippy::panic, reason = "nothing can be measured")]
fn unfinished() -> (SecurityContext, SecurityContext) {
    panic!("the handshake takes more legs than Kerberos needs")
}

fn brief() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
        .sample_size(30)
        .without_plots()
}

criterion_group! { name = seals; config = brief(); targets = handshake, seal }
criterion_main!(seals);
