//! SOAP faults as WinRM clients read them (DSP0226 14, [MS-WSMV] 2.2.4.43).

use std::fmt::Write as _;

use super::ids::MessageId;
use super::names::{ADDRESSING, ANONYMOUS, FAULT, SOAP, WSMAN};
use super::xml::is_xml_char;

/// A fault that the gateway answers with. HTTP status 500, `application/soap+xml`.
///
/// The text is shown to people by every client, so it says what happened and under which request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    kind: FaultKind,
    text: String,
    machine: String,
}

impl Fault {
    /// A fault with the text that the client will show.
    #[must_use]
    pub fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), machine: String::new() }
    }

    /// Names the machine that speaks, shown by clients as `Machine`.
    #[must_use]
    pub fn from_machine(self, machine: impl Into<String>) -> Self {
        Self { machine: machine.into(), ..self }
    }

    /// Which fault it is.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// The envelope to send. `message_id` is the new message's own id, `uuid:…`.
    ///
    /// Text is cut at 2048 characters, and what XML cannot carry or a terminal would act on
    /// (controls, bidirectional overrides) becomes `?`.
    #[must_use]
    pub fn to_xml(&self, relates_to: Option<&MessageId>, message_id: &str) -> String {
        let row = self.kind.row();
        let text = escaped(&self.text, TEXT_CHARACTERS);
        let mut xml = String::with_capacity(1024 + 2 * text.len());
        xml.push_str(r#"<s:Envelope xml:lang="en-US" xmlns:s=""#);
        xml.push_str(SOAP);
        xml.push_str(r#"" xmlns:a=""#);
        xml.push_str(ADDRESSING);
        xml.push_str(r#"" xmlns:w=""#);
        xml.push_str(WSMAN);
        xml.push_str(r#""><s:Header><a:Action>"#);
        xml.push_str(row.action());
        xml.push_str("</a:Action><a:MessageID>");
        xml.push_str(&escaped(message_id, ID_CHARACTERS));
        xml.push_str("</a:MessageID><a:To>");
        xml.push_str(ANONYMOUS);
        xml.push_str("</a:To>");
        if let Some(id) = relates_to {
            xml.push_str("<a:RelatesTo>");
            xml.push_str(&escaped(id.as_str(), ID_CHARACTERS));
            xml.push_str("</a:RelatesTo>");
        }
        xml.push_str("</s:Header><s:Body><s:Fault><s:Code><s:Value>s:");
        xml.push_str(row.code);
        xml.push_str("</s:Value>");
        if let Some(subcode) = row.subcode {
            xml.push_str("<s:Subcode><s:Value>");
            xml.push_str(subcode);
            xml.push_str("</s:Value></s:Subcode>");
        }
        xml.push_str(r#"</s:Code><s:Reason><s:Text xml:lang="en-US">"#);
        xml.push_str(&text);
        xml.push_str("</s:Text></s:Reason><s:Detail>");
        if let Some(detail) = row.detail {
            // Writing to a string cannot fail.
            let _ = write!(xml, "<w:FaultDetail>{FAULT_DETAIL}{detail}</w:FaultDetail>");
        }
        let machine = escaped(&self.machine, ID_CHARACTERS);
        let _ = write!(
            xml,
            r#"<f:WSManFault xmlns:f="{FAULT}" Code="{}" Machine="{machine}"><f:Message>{text}</f:Message></f:WSManFault>"#,
            row.number
        );
        xml.push_str("</s:Detail></s:Fault></s:Body></s:Envelope>");
        xml
    }
}

/// Which fault: the number clients know it by, the SOAP code, the subcode and the detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// 5: the person may not do this.
    AccessDenied,
    /// 2150858770: no such target, or it refuses connections. Not an access code.
    DestinationUnreachable,
    /// 2150858772: the host or the gateway is down, draining or overloaded.
    EndpointUnavailable,
    /// 2150859046: the host did not answer in time on the network.
    NetworkTimedOut,
    /// 2150858793: the request's own `OperationTimeout` elapsed. Clients repeat a Receive for ever on it.
    OperationTimedOut,
    /// 995: cut by a shutdown or by an operator.
    OperationAborted,
    /// 2150858825: the request is larger than the service takes.
    ServiceEnvelopeLimit,
    /// 2150858823: the request's `MaxEnvelopeSize` is below 8192.
    MaxEnvelopeSize,
    /// 2150858824: the answer is larger than the request's `MaxEnvelopeSize`.
    MaxEnvelopeSizeExceeded,
    /// 2150858828: neither UTF-8 nor UTF-16.
    CharacterSet,
    /// 2150858826: too many selectors.
    SelectorLimit,
    /// 2150858827: too many options.
    OptionLimit,
    /// 2150858819: not XML at all.
    InvalidXml,
    /// 2150858817: not the shape that the action needs.
    SchemaValidation,
    /// 2150858771: no such action on this resource.
    ActionNotSupported,
    /// 2150858811: no such resource, or none that may be known.
    InvalidResourceUri,
    /// 2150858843: no such shell or command.
    InvalidSelectors,
    /// 2150858769: a required header is missing.
    HeaderRequired,
    /// 2150858767: a header has a bad value or is there twice.
    InvalidHeader,
    /// 2150858768: a mandatory header is not known.
    MustUnderstand,
    /// 2150858765: another version of SOAP or WS-Addressing.
    VersionMismatch,
    /// 2150858815: a limit without a number of its own.
    QuotaLimit,
    /// 2150859173: too many shells.
    QuotaMaxShells,
    /// 2150859174: too many operations at once.
    QuotaMaxOperations,
    /// 2150859175: too many operations of this user.
    QuotaUser,
    /// 2150858852: authenticated by a method that the target does not accept.
    AuthorizationMode,
    /// 2150858818: a feature that is refused, such as compression.
    UnsupportedFeature,
    /// 2150858818 with detail Locale: a mandatory locale.
    UnsupportedLocale,
    /// 2150858870: `ReplyTo` or `FaultTo` elsewhere.
    AddressingMode,
    /// 2150859177: somebody else's shell or enumeration.
    DifferentAuthzToken,
    /// 50: the request is not supported.
    NotSupported,
    /// 1359: a fault of the gateway itself.
    InternalError,
}

impl FaultKind {
    /// Every fault, for tests and tables.
    pub const ALL: [Self; 32] = [
        Self::AccessDenied,
        Self::DestinationUnreachable,
        Self::EndpointUnavailable,
        Self::NetworkTimedOut,
        Self::OperationTimedOut,
        Self::OperationAborted,
        Self::ServiceEnvelopeLimit,
        Self::MaxEnvelopeSize,
        Self::MaxEnvelopeSizeExceeded,
        Self::CharacterSet,
        Self::SelectorLimit,
        Self::OptionLimit,
        Self::InvalidXml,
        Self::SchemaValidation,
        Self::ActionNotSupported,
        Self::InvalidResourceUri,
        Self::InvalidSelectors,
        Self::HeaderRequired,
        Self::InvalidHeader,
        Self::MustUnderstand,
        Self::VersionMismatch,
        Self::QuotaLimit,
        Self::QuotaMaxShells,
        Self::QuotaMaxOperations,
        Self::QuotaUser,
        Self::AuthorizationMode,
        Self::UnsupportedFeature,
        Self::UnsupportedLocale,
        Self::AddressingMode,
        Self::DifferentAuthzToken,
        Self::NotSupported,
        Self::InternalError,
    ];

    /// The number in `f:WSManFault/@Code`.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.row().number
    }

    /// The subcode's local name, such as `AccessDenied`; none where SOAP's own code says all.
    #[must_use]
    pub fn subcode(self) -> Option<&'static str> {
        self.row().subcode.and_then(|name| name.split_once(':')).map(|(_, local)| local)
    }

    const fn row(self) -> Row {
        match self {
            Self::AccessDenied => Row::sender(5, "w:AccessDenied"),
            Self::DestinationUnreachable => Row::sender(2_150_858_770, "a:DestinationUnreachable"),
            Self::EndpointUnavailable => Row::receiver(2_150_858_772, "a:EndpointUnavailable"),
            Self::NetworkTimedOut => Row::receiver(2_150_859_046, "w:TimedOut"),
            Self::OperationTimedOut => Row::receiver(2_150_858_793, "w:TimedOut"),
            Self::OperationAborted => Row::receiver(995, "w:InternalError"),
            Self::ServiceEnvelopeLimit => {
                Row::sender(2_150_858_825, "w:EncodingLimit").with("ServiceEnvelopeLimit")
            }
            Self::MaxEnvelopeSize => Row::sender(2_150_858_823, "w:EncodingLimit").with("MaxEnvelopeSize"),
            Self::MaxEnvelopeSizeExceeded => {
                Row::sender(2_150_858_824, "w:EncodingLimit").with("MaxEnvelopeSizeExceeded")
            }
            Self::CharacterSet => Row::sender(2_150_858_828, "w:EncodingLimit").with("CharacterSet"),
            Self::SelectorLimit => Row::sender(2_150_858_826, "w:EncodingLimit").with("SelectorLimit"),
            Self::OptionLimit => Row::sender(2_150_858_827, "w:EncodingLimit").with("OptionLimit"),
            Self::InvalidXml => Row::sender(2_150_858_819, "w:InternalError").with("Invalid"),
            Self::SchemaValidation => Row::sender(2_150_858_817, "w:SchemaValidationError"),
            Self::ActionNotSupported => Row::sender(2_150_858_771, "a:ActionNotSupported"),
            Self::InvalidResourceUri => {
                Row::sender(2_150_858_811, "a:DestinationUnreachable").with("InvalidResourceURI")
            }
            Self::InvalidSelectors => {
                Row::sender(2_150_858_843, "w:InvalidSelectors").with("UnexpectedSelectors")
            }
            Self::HeaderRequired => Row::sender(2_150_858_769, "a:MessageInformationHeaderRequired"),
            Self::InvalidHeader => Row::sender(2_150_858_767, "a:InvalidMessageInformationHeader"),
            Self::MustUnderstand => Row::bare(2_150_858_768, "MustUnderstand"),
            Self::VersionMismatch => Row::bare(2_150_858_765, "VersionMismatch"),
            Self::QuotaLimit => Row::sender(2_150_858_815, "w:QuotaLimit"),
            Self::QuotaMaxShells => Row::sender(2_150_859_173, "w:QuotaLimit"),
            Self::QuotaMaxOperations => Row::sender(2_150_859_174, "w:QuotaLimit"),
            Self::QuotaUser => Row::sender(2_150_859_175, "w:QuotaLimit"),
            Self::AuthorizationMode => {
                Row::sender(2_150_858_852, "w:UnsupportedFeature").with("AuthorizationMode")
            }
            Self::UnsupportedFeature => Row::sender(2_150_858_818, "w:UnsupportedFeature"),
            Self::UnsupportedLocale => Row::sender(2_150_858_818, "w:UnsupportedFeature").with("Locale"),
            Self::AddressingMode => Row::sender(2_150_858_870, "w:UnsupportedFeature").with("AddressingMode"),
            Self::DifferentAuthzToken => Row::sender(2_150_859_177, "w:AccessDenied"),
            Self::NotSupported => Row::receiver(50, "w:InternalError"),
            Self::InternalError => Row::receiver(1359, "w:InternalError"),
        }
    }
}

#[derive(Clone, Copy)]
struct Row {
    number: u32,
    code: &'static str,
    subcode: Option<&'static str>,
    detail: Option<&'static str>,
}

impl Row {
    const fn sender(number: u32, subcode: &'static str) -> Self {
        Self { number, code: "Sender", subcode: Some(subcode), detail: None }
    }

    const fn receiver(number: u32, subcode: &'static str) -> Self {
        Self { number, code: "Receiver", subcode: Some(subcode), detail: None }
    }

    const fn bare(number: u32, code: &'static str) -> Self {
        Self { number, code, subcode: None, detail: None }
    }

    const fn with(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// The action of a fault follows the namespace of its subcode; SOAP's own faults travel as addressing faults.
    fn action(self) -> &'static str {
        match self.subcode {
            Some(subcode) if subcode.starts_with("w:") => "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault",
            Some(_) | None => "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault",
        }
    }
}

/// Text for element content and for attribute values in double quotes.
fn escaped(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(most) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if !is_xml_char(c) || c.is_control() || acts_on_a_terminal(c) => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// Characters that are invisible or turn the direction of what follows.
const fn acts_on_a_terminal(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

const FAULT_DETAIL: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/";
const TEXT_CHARACTERS: usize = 2048;
const ID_CHARACTERS: usize = 512;

#[cfg(test)]
mod tests;
