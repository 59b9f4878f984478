//! How long it takes to read and to write what goes over the wire.
#![expect(clippy::expect_used, reason = "a benchmark that can't set up what it measures must fail")]
#![expect(missing_docs, reason = "criterion's macros write undocumented functions")]

#[expect(dead_code, reason = "not every benchmark sends every envelope")]
mod support;

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use winrm_gateway::wsman::{
    AnswerSplitter, Charset, Envelope, Fault, FaultKind, Limits, inspect_answer,
    sealed::{self, Protocol},
};

const SHELL: &str = "F04DF3D0-4BF2-4ECE-92A1-688F0F14C144";

/// What Kerberos puts before the data with AES.
const HEADER: [u8; 60] = [0x5a; 60];

/// As much as arrives at once.
const PIECE: usize = 16 * 1024;

fn requests() -> [(&'static str, Vec<u8>); 2] {
    let (small, large) = (support::command(SHELL), support::send(SHELL));
    [("command, 1.2 KB", small.bytes().to_vec()), ("send, 150 KB", large.bytes().to_vec())]
}

fn answers() -> [(&'static str, Vec<u8>); 2] {
    let output = |bytes| support::output(bytes).bytes().to_vec();
    [("1.2 KB", output(support::SMALL)), ("150 KB", output(support::LARGE))]
}

fn envelope(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("envelope");
    for (name, bytes) in requests() {
        let body = Bytes::from(bytes);
        group.throughput(throughput(&body));
        group.bench_with_input(BenchmarkId::new("parse", name), &body, |bencher, body| {
            bencher.iter(|| {
                Envelope::parse(body.clone(), Some(Charset::Utf8), &limits).expect("a sound request")
            });
        });
    }
    group.finish();
}

fn fault(criterion: &mut Criterion) {
    let text = "no rule lets alice@CORP.EXAMPLE run commands on web01.corp.example (request 0d1f7c52)";
    let fault = Fault::new(FaultKind::AccessDenied, text).from_machine("gw.corp.example");
    let mut group = criterion.benchmark_group("fault");
    group.bench_function("write", |bencher| {
        bencher.iter(|| black_box(&fault).to_xml(None, "uuid:11111111-1111-4111-8111-111111111111"));
    });
    group.finish();
}

fn sealed_bodies(criterion: &mut Criterion) {
    let limits = Limits::default();
    let content_type = sealed::content_type(Protocol::Kerberos);
    let mut group = criterion.benchmark_group("sealed");
    for (name, data) in answers() {
        let encode =
            |data: &[u8]| sealed::encode(Protocol::Kerberos, Charset::Utf8, data.len(), &HEADER, data);
        let body = encode(&data);
        group.throughput(throughput(&data));
        group.bench_with_input(BenchmarkId::new("encode", name), &data, |bencher, data| {
            bencher.iter(|| encode(data));
        });
        group.bench_with_input(BenchmarkId::new("decode", name), &body, |bencher, body| {
            bencher.iter(|| {
                sealed::decode(content_type, black_box(body), &limits).expect("a sealed body").data.len()
            });
        });
    }
    group.finish();
}

fn splitter(criterion: &mut Criterion) {
    let limits = Limits::default();
    let content_type = sealed::content_type(Protocol::Kerberos);
    let mut group = criterion.benchmark_group("splitter");
    for (name, plain) in answers() {
        group.throughput(throughput(&plain));
        group.bench_with_input(BenchmarkId::new("plain", name), &plain, |bencher, body| {
            bencher.iter(|| split(AnswerSplitter::plain(&limits), body));
        });
        let sealed = sealed::encode(Protocol::Kerberos, Charset::Utf8, plain.len(), &HEADER, &plain);
        group.bench_with_input(BenchmarkId::new("sealed", name), &sealed, |bencher, body| {
            bencher
                .iter(|| split(AnswerSplitter::sealed(content_type, &limits).expect("a sealed type"), body));
        });
    }
    group.finish();
}

fn answer(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("answer");
    for (name, body) in answers() {
        group.throughput(throughput(&body));
        group.bench_with_input(BenchmarkId::new("inspect", name), &body, |bencher, body| {
            bencher.iter(|| inspect_answer(black_box(body), &limits).expect("a sound answer"));
        });
    }
    group.finish();
}

/// Takes the one envelope out of a body that arrives in pieces.
fn split(mut splitter: AnswerSplitter, body: &[u8]) -> Bytes {
    let mut envelope = None;
    for piece in body.chunks(PIECE) {
        splitter.push(piece);
        envelope = splitter.next_envelope().expect("a sound answer");
    }
    splitter.finish().expect("a whole answer");
    envelope.expect("an envelope")
}

fn throughput(bytes: &[u8]) -> Throughput {
    Throughput::Bytes(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

fn brief() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
        .sample_size(30)
        .without_plots()
}

criterion_group! { name = codecs; config = brief(); targets = envelope, fault, sealed_bodies, splitter, answer }
criterion_main!(codecs);
