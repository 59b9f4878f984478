//! The other side is pyspnego, in the lab's Python.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;

const BINDING: &[u8] = b"tls-server-end-point:0123456789abcdef0123456789abcdef";
const DEADLINE: Duration = Duration::from_secs(30);

/// pyspnego in a process of its own. It goes when this does.
struct Peer {
    process: Child,
    requests: ChildStdin,
    answers: mpsc::Receiver<String>,
}

impl Peer {
    fn start(role: &str, framing: Framing, binding: Option<&[u8]>) -> Self {
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/target/lab/venv/bin/python3");
        let framing = if framing == Framing::Raw { "raw" } else { "spnego" };
        let binding = binding
            .map_or_else(|| "-".to_owned(), |data| data.iter().map(|byte| format!("{byte:02x}")).collect());
        let mut process = Command::new(python)
            .args(["-c", include_str!("peer.py"), role, framing, &binding])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{python}: {error}; tests/lab/install.sh makes it"));
        let output = BufReader::new(process.stdout.take().unwrap());
        let (send, answers) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { requests: process.stdin.take().unwrap(), process, answers }
    }

    /// The words of the answer, without the first, which must be `expected`.
    fn ask(&mut self, verb: &str, arguments: &[&[u8]], expected: &str) -> Vec<String> {
        let mut line = verb.to_owned();
        for argument in arguments {
            line.push(' ');
            line.push_str(&if argument.is_empty() {
                "-".to_owned()
            } else {
                BASE64_STANDARD.encode(argument)
            });
        }
        writeln!(self.requests, "{line}").unwrap();
        let answer = self.answers.recv_timeout(DEADLINE).expect("an answer in time");
        let (first, rest) = answer.split_once(' ').unwrap();
        assert_eq!(first, expected, "{answer}");
        rest.split(' ').map(str::to_owned).collect()
    }

    /// Its next token, and whether it is done.
    fn step(&mut self, token: &[u8]) -> (Vec<u8>, bool) {
        let answer = self.ask("step", &[token], "token");
        (decode(&answer[0]), answer[1] == "done")
    }

    /// Both ways, twice: everything that one side seals must come out on the other.
    fn exchange(&mut self, context: &mut SecurityContext) {
        for plain in [b"<s:Envelope/>".as_slice(), &[0x20; 40_000]] {
            let sealed = context.seal(plain).ok().unwrap();
            assert_eq!(decode(&self.ask("unwrap", &[&sealed.header, &sealed.data], "plain")[0]), plain);
            let answer = self.ask("wrap", &[plain], "sealed");
            assert_eq!(context.unseal(&decode(&answer[0]), &decode(&answer[1])).unwrap(), plain);
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn decode(text: &str) -> Vec<u8> {
    if text == "-" { Vec::new() } else { BASE64_STANDARD.decode(text).unwrap() }
}

/// Raw and SPNEGO, without a binding and with one.
fn everything() -> [(Framing, Option<&'static [u8]>); 4] {
    [
        (Framing::Raw, None),
        (Framing::Raw, Some(BINDING)),
        (Framing::Spnego, None),
        (Framing::Spnego, Some(BINDING)),
    ]
}

#[expect(clippy::disallowed_types, reason = "the other implementation takes its time from the system")]
fn now() -> FileTime {
    FileTime::from_unix(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap())
}

fn begin(password: &str, framing: Framing, binding: Option<&[u8]>) -> (Initiator, Vec<u8>) {
    let credentials = Credentials::new("Alice", "EXAMPLE", NtHash::of_password(password).ok().unwrap());
    let binding = binding.map(ChannelBindings::from_application_data);
    Initiator::begin(credentials, "HTTP/server01", binding, framing).ok().unwrap()
}

#[test]
fn our_client_proves_itself_to_pyspnego() {
    for (framing, binding) in everything() {
        let mut peer = Peer::start("accept", framing, binding);
        let (initiator, token) = begin("Passw0rd!", framing, binding);
        let (challenge, _) = peer.step(&token);
        let mut context = match framing {
            Framing::Raw => {
                let (context, token) = proved(initiator.step(&challenge));
                assert!(peer.step(&token.unwrap()).1);
                context
            }
            Framing::Spnego => {
                let (initiator, token) = goes_on(initiator.step(&challenge));
                let (end, done) = peer.step(&token);
                assert!(done);
                proved(initiator.step(&end)).0
            }
        };
        assert_eq!(peer.ask("who", &[], "who"), [r"EXAMPLE\Alice"]);
        peer.exchange(&mut context);
    }
}

#[test]
fn pyspnego_refuses_our_client_when_it_must() {
    for framing in [Framing::Raw, Framing::Spnego] {
        for (password, binding) in
            [("Passw0rd?", Some(BINDING)), ("Passw0rd!", None), ("Passw0rd!", Some(b"x".as_slice()))]
        {
            let mut peer = Peer::start("accept", framing, Some(BINDING));
            let (initiator, token) = begin(password, framing, binding);
            let (challenge, _) = peer.step(&token);
            let token = match initiator.step(&challenge).ok().unwrap() {
                Initiated::Established(_, token) => token.unwrap(),
                Initiated::Continue(_, token) => token,
            };
            peer.ask("step", &[&token], "failed");
        }
    }
}

fn accept(channel: Channel) -> Acceptor {
    Acceptor::new(verifier(), channel).ok().unwrap()
}

#[test]
fn pyspnegos_client_proves_itself_to_us() {
    for (framing, binding) in everything() {
        let mut peer = Peer::start("initiate", framing, binding);
        let channel =
            binding.map_or(Channel::Plain, |data| Channel::Tls(ChannelBindings::from_application_data(data)));
        let (acceptor, challenge) = asked(accept(channel).step(&peer.step(&[]).0, now()));
        let (mut context, end) = accepted(acceptor.step(&peer.step(&challenge).0, now()));
        assert_eq!(end.is_some(), framing == Framing::Spnego);
        if let Some(end) = end {
            assert!(peer.step(&end).1);
        }
        assert_eq!((context.account(), context.target()), ("alice", "HTTP/server01"));
        assert_eq!(context.is_channel_bound(), binding.is_some());
        peer.exchange(&mut context);
    }
}

#[test]
fn pyspnegos_client_is_refused_when_it_must_be() {
    let bound = |data: &[u8]| Channel::Tls(ChannelBindings::from_application_data(data));
    for (channel, binding, reason) in [
        (bound(BINDING), None, "no_bindings"),
        (bound(b"other"), Some(BINDING), "wrong_bindings"),
        (Channel::Plain, Some(BINDING), "unexpected_bindings"),
    ] {
        for framing in [Framing::Raw, Framing::Spnego] {
            let mut peer = Peer::start("initiate", framing, binding);
            let (acceptor, challenge) = asked(accept(channel).step(&peer.step(&[]).0, now()));
            assert_eq!(refused(acceptor.step(&peer.step(&challenge).0, now())).reason(), reason);
        }
    }
}
