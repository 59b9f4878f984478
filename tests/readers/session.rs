//! Follows the exchanges of one client as a recorder would: every envelope, both ways.

use std::collections::HashMap;
use std::fmt::Write as _;

use bytes::Bytes;
use winrm_gateway::wsman::clixml;
use winrm_gateway::wsman::psrp::{Content, Direction, Message, Reassembler, ReassemblyLimits};
use winrm_gateway::wsman::{Envelope, Limits, Operation, ShellLimits, ShellMessage, inspect_answer};

/// What was recovered so far.
#[derive(Default)]
pub(crate) struct Session {
    /// Every command line, script and query that a host was given, and what was typed into command lines, in order.
    pub(crate) ran: Vec<String>,
    /// One paragraph for each exchange.
    pub(crate) told: String,
    pools: HashMap<String, Pool>,
    /// Ids in the order in which they came up, so that paragraphs can be read.
    ids: Vec<String>,
}

struct Pool {
    to_server: Reassembler,
    to_client: Reassembler,
}

impl Pool {
    fn new() -> Self {
        let limits = ReassemblyLimits::default();
        Self {
            to_server: Reassembler::new(Direction::ToServer, limits),
            to_client: Reassembler::new(Direction::ToClient, limits),
        }
    }
}

impl Session {
    /// One request with its answer.
    pub(crate) fn exchange(&mut self, request: &[u8], answer: &[u8]) {
        let limits = Limits::with_envelope_bytes(1024 * 1024);
        let envelope = Envelope::parse(Bytes::copy_from_slice(request), None, &limits).expect("a request");
        let facts = inspect_answer(answer, &limits).expect("an answer");
        let shell_limits = ShellLimits { envelope: limits, ..ShellLimits::default() };
        let asked = ShellMessage::read(envelope.bytes(), &shell_limits).expect("a request's contents");
        let answered = ShellMessage::read(answer, &shell_limits).expect("an answer's contents");

        let shell =
            envelope.shell_id().or(facts.shell_id.as_ref()).map(|id| id.as_str().to_ascii_uppercase());
        let resource = envelope.resource_uri().map_or("-", |uri| uri.as_str());
        let tail: Vec<&str> = resource.rsplit('/').take(2).collect();
        let _ = write!(
            self.told,
            "{} ({}) {}/{}",
            envelope.operation().as_str(),
            envelope.action_class().as_str(),
            tail.get(1).copied().unwrap_or_default(),
            tail.first().copied().unwrap_or_default()
        );
        for id in [shell.as_deref(), envelope.command_id().map(|id| id.as_str())].into_iter().flatten() {
            let name = self.name(id);
            let _ = write!(self.told, " {name}");
        }
        self.told.push('\n');
        if let Some(signal) = &asked.signal {
            let _ = writeln!(self.told, "  signal {}", signal.code.as_str());
        }
        let powershell = resource.contains("/powershell/");
        if powershell && matches!(*envelope.operation(), Operation::CreateShell | Operation::Connect) {
            self.pools.insert(shell.clone().expect("a pool has an id"), Pool::new());
        }
        match shell.filter(|_| powershell) {
            Some(shell) => self.pool(&shell, &asked, &answered),
            None => self.cmd(&asked, &answered),
        }
        for state in &answered.states {
            let code = state.exit_code.map_or_else(String::new, |code| format!(", exit code {code}"));
            let _ = writeln!(self.told, "  < command {}{code}", if state.done { "done" } else { "running" });
        }
        if let Some(fault) = &facts.fault {
            let _ = writeln!(self.told, "  < fault {}", fault.code.unwrap_or_default());
        }
    }

    /// Objects whose last fragment never came.
    pub(crate) fn unfinished(&self) -> usize {
        self.pools.values().map(|pool| pool.to_server.unfinished() + pool.to_client.unfinished()).sum()
    }

    fn cmd(&mut self, asked: &ShellMessage, answered: &ShellMessage) {
        if let Some(command) = &asked.command {
            self.tell(">", "command line", &command.line());
            self.ran.push(command.line());
            for encoded in command.encoded_commands() {
                let script = encoded.script.expect("base64");
                self.tell(">", "encoded script", &script);
                self.ran.push(script);
            }
        }
        for (arrow, streams) in [(">", &asked.streams), ("<", &answered.streams)] {
            for stream in streams.iter().filter(|stream| !stream.data.is_empty()) {
                let text = String::from_utf8_lossy(&stream.data);
                self.tell(arrow, &stream.name, &text);
                if arrow == ">" {
                    self.ran.push(format!("{}: {text}", stream.name));
                }
            }
        }
    }

    fn pool(&mut self, shell: &str, asked: &ShellMessage, answered: &ShellMessage) {
        let mut messages = Vec::new();
        let pool = self.pools.get_mut(shell).expect("a pool is created before it is used");
        let command = asked.command.as_ref().map(|command| command.fragments().expect("base64"));
        let streams = asked.streams.iter().map(|stream| &stream.data);
        for bytes in asked.opening.iter().chain(&command).chain(streams) {
            pool.to_server.push(bytes, &mut messages).expect("fragments of a real client");
        }
        let sent = messages.len();
        for bytes in answered.opening.iter().chain(answered.streams.iter().map(|stream| &stream.data)) {
            pool.to_client.push(bytes, &mut messages).expect("fragments of a real host");
        }
        for (index, message) in messages.iter().enumerate() {
            self.message(if index < sent { ">" } else { "<" }, message);
        }
    }

    fn message(&mut self, arrow: &str, message: &Message) {
        let kind = message.kind().as_str();
        let content = Content::read(message, &clixml::Limits::default()).expect(kind);
        if let Content::Pipeline(pipeline) = &content {
            assert!(pipeline.stray.is_none(), "an honest client");
            self.ran.push(pipeline.text());
        } else if let Content::CommandQuery(query) = &content {
            self.ran.push(query.text());
        }
        self.tell(arrow, kind, &text_of(&content));
    }

    /// How long a text is, and the start of it unless it is output.
    fn tell(&mut self, arrow: &str, what: &str, text: &str) {
        let output = arrow == "<" && matches!(what, "stdout" | "stderr" | "PIPELINE_OUTPUT");
        let head: String = if output { String::new() } else { text.trim_end().chars().take(60).collect() };
        let head = if head.is_empty() { head } else { format!(" {head:?}") };
        let length = if text.is_empty() { String::new() } else { format!(" [{}]", text.len()) };
        let _ = writeln!(self.told, "  {arrow} {what}{length}{head}");
    }

    fn name(&mut self, id: &str) -> String {
        let known = self.ids.iter().position(|known| known.eq_ignore_ascii_case(id));
        let at = known.unwrap_or_else(|| {
            self.ids.push(id.to_owned());
            self.ids.len() - 1
        });
        format!("#{at}")
    }
}

fn text_of(content: &Content) -> String {
    match content {
        Content::Pipeline(pipeline) => pipeline.text(),
        Content::CommandQuery(query) => query.text(),
        Content::PipelineState { state, error } => {
            format!("{} {}", state.as_str(), error.as_ref().map_or("", |error| &error.message))
        }
        Content::PoolState { state, .. } => state.as_str().to_owned(),
        Content::Error(error) => error.message.clone(),
        Content::Output(text) | Content::Input(text) | Content::Record { text, .. } => text.clone(),
        Content::Progress { activity, status } => format!("{activity} {status}"),
        Content::HostCall(call) => format!("{} {}", call.name(), call.parameters),
        Content::HostResponse(response) => response.name().to_owned(),
        Content::EndOfInput | Content::Housekeeping(_) => String::new(),
    }
}
