//! The envelopes that are measured, shaped as pypsrp's and as large as the budgets say.

/// The size of a usual request and of a usual answer.
pub(crate) const SMALL: usize = 1_200;
/// The size of a piece of input or output as large as clients make them.
pub(crate) const LARGE: usize = 150_000;

/// An envelope of `SMALL` bytes: a command line in `shell`.
pub(crate) fn command(shell: &str) -> Numbered {
    let wrapped =
        |line: &str| format!("<rsp:CommandLine><rsp:Command>{line}</rsp:Command></rsp:CommandLine>");
    let request = |line: &str| {
        request("http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Command", CMD, shell, &wrapped(line))
    };
    filled(SMALL, "powershell -File C:\\Jobs\\inventory.ps1 -Verbose ", request)
}

/// An envelope of `LARGE` bytes: input for a command in `shell`.
pub(crate) fn send(shell: &str) -> Numbered {
    let body = |base64: &str| {
        format!(
            r#"<rsp:Send><rsp:Stream Name="stdin" CommandId="{COMMAND}">{base64}</rsp:Stream></rsp:Send>"#
        )
    };
    let request = |base64: &str| {
        request("http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Send", CMD, shell, &body(base64))
    };
    filled(LARGE, BASE64, request)
}

/// Asks for a shell.
pub(crate) fn create_shell() -> Numbered {
    let body = "<rsp:Shell><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>";
    Numbered::new(request("http://schemas.xmlsoap.org/ws/2004/09/transfer/Create", CMD, "", body))
}

/// Asks for the configuration, which needs no shell.
pub(crate) fn get_config() -> Numbered {
    let resource = "http://schemas.microsoft.com/wbem/wsman/1/config";
    Numbered::new(request("http://schemas.xmlsoap.org/ws/2004/09/transfer/Get", resource, "", ""))
}

/// An answer of `bytes` bytes: output of a command.
pub(crate) fn output(bytes: usize) -> Numbered {
    let answer = |base64: &str| {
        let body = format!(
            r#"<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="{COMMAND}">{base64}</rsp:Stream><rsp:CommandState CommandId="{COMMAND}" State="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Running"/></rsp:ReceiveResponse>"#
        );
        answer("http://schemas.microsoft.com/wbem/wsman/1/windows/shell/ReceiveResponse", &body)
    };
    filled(bytes, BASE64, answer)
}

/// The answer that names a new shell.
pub(crate) fn shell_created(shell: &str) -> Numbered {
    let body = format!(
        r#"<rsp:Shell><rsp:ShellId>{shell}</rsp:ShellId><rsp:State>Connected</rsp:State></rsp:Shell>"#
    );
    Numbered::new(answer("http://schemas.xmlsoap.org/ws/2004/09/transfer/CreateResponse", &body))
}

/// The id of the message in `envelope`: what the first `MessageID` holds.
pub(crate) fn message_id(envelope: &[u8]) -> Option<&[u8]> {
    let at = find(envelope, b"MessageID>")? + b"MessageID>".len();
    envelope.get(at..at + ID.len())
}

/// Where `wanted` begins in `bytes`.
pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// An envelope whose id can be written anew in place.
#[derive(Clone)]
pub(crate) struct Numbered {
    bytes: Vec<u8>,
    at: usize,
}

impl Numbered {
    fn new(text: String) -> Self {
        let bytes = text.into_bytes();
        let at = find(&bytes, ID.as_bytes()).expect("the id to replace");
        Self { bytes, at }
    }

    /// The envelope as it is.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The envelope with the number `number` in its id.
    pub(crate) fn number(&mut self, number: u64) -> &[u8] {
        self.id(format!("uuid:00000000-0000-4000-8000-{number:012}").as_bytes())
    }

    /// The envelope with `id` in place of its own (of `RelatesTo` in an answer).
    pub(crate) fn id(&mut self, id: &[u8]) -> &[u8] {
        self.bytes.get_mut(self.at..self.at + id.len()).expect("room for the id").copy_from_slice(id);
        &self.bytes
    }
}

fn request(action: &str, resource: &str, shell: &str, body: &str) -> String {
    let selector = if shell.is_empty() {
        String::new()
    } else {
        format!(r#"<w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet>"#)
    };
    format!(
        r#"<s:Envelope {NAMESPACES}><s:Header><a:Action s:mustUnderstand="true">{action}</a:Action><a:MessageID>{ID}</a:MessageID><w:OperationTimeout>PT20S</w:OperationTimeout><w:MaxEnvelopeSize s:mustUnderstand="true">512000</w:MaxEnvelopeSize><a:ReplyTo><a:Address s:mustUnderstand="true">{ANONYMOUS}</a:Address></a:ReplyTo><w:ResourceURI s:mustUnderstand="true">{resource}</w:ResourceURI><a:To>http://host:5985/wsman</a:To>{selector}</s:Header><s:Body>{body}</s:Body></s:Envelope>"#
    )
}

fn answer(action: &str, body: &str) -> String {
    format!(
        r#"<s:Envelope xml:lang="en-US" {NAMESPACES}><s:Header><a:Action>{action}</a:Action><a:MessageID>uuid:11111111-1111-4111-8111-111111111111</a:MessageID><a:To>{ANONYMOUS}</a:To><a:RelatesTo>{ID}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"#
    )
}

/// What `write` makes of as much of `filling`, again and again, as gives `bytes` bytes.
fn filled(bytes: usize, filling: &str, write: impl Fn(&str) -> String) -> Numbered {
    let room = bytes.saturating_sub(write("").len());
    Numbered::new(write(&filling.chars().cycle().take(room).collect::<String>()))
}

const NAMESPACES: &str = r#"xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell""#;
const ANONYMOUS: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
const CMD: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd";
const COMMAND: &str = "1D3E4B50-D109-49DF-8923-8FD081967F8A";
const ID: &str = "uuid:00000000-0000-4000-8000-000000000000";
const BASE64: &str = "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZy4g";
