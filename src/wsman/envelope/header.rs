//! The header blocks: each at most once, plain values, understood or refused.

use std::time::Duration;

use super::super::error::EnvelopeError;
use super::super::ids::{Action, MessageId, OperationId, ResourceUri, SessionId, ShellId};
use super::super::limits::Limits;
use super::super::names::{ANONYMOUS, Ns, ROLE_NONE, ROLE_ULTIMATE};
use super::super::xml::{Name, Scanner, Token, is_space};
use super::{Compression, Selector, Switch, duration};

/// What the header of a request says.
#[derive(Debug, Clone, Default)]
pub(super) struct Headers {
    pub(super) action: Option<Action>,
    pub(super) message_id: Option<MessageId>,
    pub(super) resource_uri: Option<ResourceUri>,
    pub(super) shell_id: Option<ShellId>,
    pub(super) selectors: Vec<Selector>,
    pub(super) options: Vec<Switch>,
    pub(super) operation_timeout: Option<Duration>,
    pub(super) max_envelope_size: Option<u32>,
    pub(super) operation_id: Option<OperationId>,
    pub(super) session_id: Option<SessionId>,
    pub(super) compression: Option<Compression>,
    /// Every known block that was there.
    seen: Vec<&'static str>,
}

impl Headers {
    /// Reads the children of `s:Header`, whose start tag was just passed.
    pub(super) fn read(scanner: &mut Scanner<'_>, limits: &Limits) -> Result<Self, EnvelopeError> {
        let mut headers = Self::default();
        loop {
            match scanner.next_token()? {
                Token::Open(name) => headers.block(name, scanner, limits)?,
                Token::Close => return Ok(headers),
                Token::Comment => {}
                Token::Text(text) if text.chars().all(is_space) => {}
                Token::Text(_) | Token::CData(_) | Token::Reference(_) | Token::End => {
                    return Err(EnvelopeError::EnvelopeShape);
                }
            }
        }
    }

    /// Every operation but Identify says where to, what, under which id and where the answer goes ([MS-WSMV] 3.1.4.1).
    pub(super) fn check_required(&self) -> Result<(), EnvelopeError> {
        match ["To", "Action", "MessageID", "ReplyTo"].into_iter().find(|header| !self.seen.contains(header))
        {
            Some(header) => Err(EnvelopeError::MissingHeader { header }),
            None => Ok(()),
        }
    }

    fn block(
        &mut self,
        name: Name<'_>,
        scanner: &mut Scanner<'_>,
        limits: &Limits,
    ) -> Result<(), EnvelopeError> {
        if name.ns == Ns::OtherAddressing {
            return Err(EnvelopeError::OtherAddressing);
        }
        if matches!(name.ns, Ns::Soap | Ns::OtherSoap) {
            return Err(EnvelopeError::EnvelopeShape);
        }
        let mandatory = check_soap_attributes(scanner)?;
        let Some((_, _, known)) = KNOWN.iter().find(|(ns, local, _)| name.is(*ns, local)) else {
            return if mandatory { Err(EnvelopeError::MustUnderstand) } else { scanner.skip() };
        };
        if role(scanner) == Some(ROLE_NONE) {
            return Err(EnvelopeError::WrongRole);
        }
        if self.seen.contains(&name_of(*known)) {
            return Err(EnvelopeError::DuplicateHeader { header: name_of(*known) });
        }
        self.seen.push(name_of(*known));
        self.known(*known, mandatory, scanner, limits)
    }

    fn known(
        &mut self,
        known: Known,
        mandatory: bool,
        scanner: &mut Scanner<'_>,
        limits: &Limits,
    ) -> Result<(), EnvelopeError> {
        let header = name_of(known);
        match known {
            Known::Action => self.action = Some(value(scanner, header)?),
            Known::MessageId => self.message_id = Some(value(scanner, header)?),
            Known::ResourceUri => {
                let text = scanner.plain_text(header)?;
                self.resource_uri = Some(text.parse().map_err(|_| EnvelopeError::InvalidResourceUri)?);
            }
            Known::ReplyTo | Known::FaultTo => reply_address(scanner)?,
            Known::SelectorSet => self.selector_set(scanner, limits)?,
            Known::OptionSet => self.option_set(scanner, limits)?,
            Known::OperationTimeout => {
                let timeout = duration::parse(scanner.plain_text(header)?);
                self.operation_timeout = Some(timeout.ok_or(EnvelopeError::InvalidHeader { header })?);
            }
            Known::MaxEnvelopeSize => self.max_envelope_size = Some(envelope_size(scanner, header)?),
            Known::OperationId => self.operation_id = Some(value(scanner, header)?),
            Known::SessionId => self.session_id = Some(value(scanner, header)?),
            Known::Compression => {
                if !scanner.plain_text(header)?.eq_ignore_ascii_case("xpress") {
                    return Err(EnvelopeError::UnsupportedCompression);
                }
                self.compression = Some(Compression::Xpress);
            }
            Known::Locale | Known::DataLocale if mandatory => return Err(EnvelopeError::MandatoryLocale),
            Known::Locale | Known::DataLocale | Known::Passed(_) => scanner.skip()?,
        }
        Ok(())
    }

    fn selector_set(&mut self, scanner: &mut Scanner<'_>, limits: &Limits) -> Result<(), EnvelopeError> {
        while let Some(name) = next_item(scanner, "Selector")? {
            if self.selectors.len() >= limits.selectors {
                return Err(EnvelopeError::TooManySelectors);
            }
            if self.selectors.iter().any(|s| s.name.eq_ignore_ascii_case(&name)) {
                return Err(EnvelopeError::DuplicateSelector);
            }
            let value = if name.eq_ignore_ascii_case("ShellId") {
                let shell_id: ShellId = value(scanner, "Selector")?;
                let text = shell_id.as_str().to_owned();
                self.shell_id = Some(shell_id);
                Some(text)
            } else {
                scanner.value_text("Selector")?.map(std::borrow::Cow::into_owned)
            };
            self.selectors.push(Selector { name, value });
        }
        Ok(())
    }

    fn option_set(&mut self, scanner: &mut Scanner<'_>, limits: &Limits) -> Result<(), EnvelopeError> {
        while let Some(name) = next_item(scanner, "Option")? {
            if self.options.len() >= limits.options {
                return Err(EnvelopeError::TooManyOptions);
            }
            let value =
                scanner.value_text("Option")?.ok_or(EnvelopeError::NotPlainText { name: "Option" })?;
            self.options.push(Switch { name, value: value.into_owned() });
        }
        Ok(())
    }
}

/// A block that this module knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Action,
    MessageId,
    ResourceUri,
    ReplyTo,
    FaultTo,
    SelectorSet,
    OptionSet,
    OperationTimeout,
    MaxEnvelopeSize,
    OperationId,
    SessionId,
    Compression,
    Locale,
    DataLocale,
    /// Known to be harmless: the host's business.
    Passed(&'static str),
}

const fn name_of(known: Known) -> &'static str {
    match known {
        Known::Action => "Action",
        Known::MessageId => "MessageID",
        Known::ResourceUri => "ResourceURI",
        Known::ReplyTo => "ReplyTo",
        Known::FaultTo => "FaultTo",
        Known::SelectorSet => "SelectorSet",
        Known::OptionSet => "OptionSet",
        Known::OperationTimeout => "OperationTimeout",
        Known::MaxEnvelopeSize => "MaxEnvelopeSize",
        Known::OperationId => "OperationID",
        Known::SessionId => "SessionId",
        Known::Compression => "CompressionType",
        Known::Locale => "Locale",
        Known::DataLocale => "DataLocale",
        Known::Passed(name) => name,
    }
}

/// The next child of a set, which has this local name: the value of its `Name`. `None` at the set's end.
fn next_item(scanner: &mut Scanner<'_>, item: &'static str) -> Result<Option<String>, EnvelopeError> {
    let invalid = EnvelopeError::InvalidHeader { header: item };
    loop {
        match scanner.next_token()? {
            Token::Open(name) if name.is(Ns::Wsman, item) => {
                let name = scanner.plain_attribute("Name")?.filter(|n| (1..=1024).contains(&n.len()));
                return Ok(Some(name.ok_or(invalid)?.to_owned()));
            }
            Token::Close => return Ok(None),
            Token::Text(text) if text.chars().all(is_space) => {}
            Token::Open(_)
            | Token::Text(_)
            | Token::Comment
            | Token::CData(_)
            | Token::Reference(_)
            | Token::End => return Err(invalid),
        }
    }
}

/// A plain value of a type that checks itself.
fn value<T: std::str::FromStr>(scanner: &mut Scanner<'_>, header: &'static str) -> Result<T, EnvelopeError> {
    scanner.plain_text(header)?.parse().map_err(|_| EnvelopeError::InvalidHeader { header })
}

/// `a:ReplyTo/a:Address` must be the anonymous role: answers go back on the connection.
fn reply_address(scanner: &mut Scanner<'_>) -> Result<(), EnvelopeError> {
    let inside = scanner.depth();
    let mut address = None;
    while scanner.depth() >= inside {
        match scanner.next_token()? {
            Token::Open(name) if name.is(Ns::Addressing, "Address") && scanner.depth() == inside + 1 => {
                if address.replace(scanner.plain_text("Address")?).is_some() {
                    return Err(EnvelopeError::DuplicateHeader { header: "Address" });
                }
            }
            Token::Open(_)
            | Token::Close
            | Token::Text(_)
            | Token::CData(_)
            | Token::Reference(_)
            | Token::Comment
            | Token::End => {}
        }
    }
    if address == Some(ANONYMOUS) { Ok(()) } else { Err(EnvelopeError::ReplyElsewhere) }
}

fn envelope_size(scanner: &mut Scanner<'_>, header: &'static str) -> Result<u32, EnvelopeError> {
    let text = scanner.plain_text(header)?;
    let size: u32 = text
        .parse()
        .ok()
        .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
        .ok_or(EnvelopeError::InvalidHeader { header })?;
    if size < 8192 { Err(EnvelopeError::MaxEnvelopeSizeTooSmall) } else { Ok(size) }
}

/// `s:mustUnderstand`, `s:role`, `s:relay`; attributes without namespace mean nothing to SOAP. Gives whether it must be
/// understood.
fn check_soap_attributes(scanner: &Scanner<'_>) -> Result<bool, EnvelopeError> {
    let mut mandatory = false;
    for attribute in scanner.attributes().iter().filter(|a| a.ns == Ns::Soap) {
        let truth = match attribute.value.trim_matches(is_space) {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        };
        match (attribute.local, truth) {
            ("mustUnderstand", Some(value)) => mandatory = value,
            ("mustUnderstand", None) => {
                return Err(EnvelopeError::InvalidHeader { header: "mustUnderstand" });
            }
            ("relay", Some(false)) => {}
            ("relay", _) => return Err(EnvelopeError::WrongRole),
            _ => {}
        }
    }
    match role(scanner) {
        None | Some(ROLE_ULTIMATE | ROLE_NONE) => Ok(mandatory),
        Some(_) => Err(EnvelopeError::WrongRole),
    }
}

fn role<'s>(scanner: &'s Scanner<'_>) -> Option<&'s str> {
    let role = scanner.attributes().iter().find(|a| a.ns == Ns::Soap && a.local == "role")?;
    Some(role.value.trim_matches(is_space))
}

const KNOWN: [(Ns, &str, Known); 26] = [
    (Ns::Addressing, "To", Known::Passed("To")),
    (Ns::Addressing, "Action", Known::Action),
    (Ns::Addressing, "MessageID", Known::MessageId),
    (Ns::Addressing, "ReplyTo", Known::ReplyTo),
    (Ns::Addressing, "FaultTo", Known::FaultTo),
    (Ns::Addressing, "From", Known::Passed("From")),
    (Ns::Addressing, "RelatesTo", Known::Passed("RelatesTo")),
    (Ns::Wsman, "ResourceURI", Known::ResourceUri),
    (Ns::Wsman, "SelectorSet", Known::SelectorSet),
    (Ns::Wsman, "OptionSet", Known::OptionSet),
    (Ns::Wsman, "OperationTimeout", Known::OperationTimeout),
    (Ns::Wsman, "MaxEnvelopeSize", Known::MaxEnvelopeSize),
    (Ns::Wsman, "Locale", Known::Locale),
    (Ns::Wsman, "FragmentTransfer", Known::Passed("FragmentTransfer")),
    (Ns::Wsman, "RequestEPR", Known::Passed("RequestEPR")),
    (Ns::Wsman, "RequestTotalItemsCountEstimate", Known::Passed("RequestTotalItemsCountEstimate")),
    (Ns::Wsman, "AckRequested", Known::Passed("AckRequested")),
    (Ns::MsWsman, "DataLocale", Known::DataLocale),
    (Ns::MsWsman, "SessionId", Known::SessionId),
    (Ns::MsWsman, "OperationID", Known::OperationId),
    (Ns::MsWsman, "SequenceId", Known::Passed("SequenceId")),
    (Ns::MsWsman, "ActivityId", Known::Passed("ActivityId")),
    (Ns::MsWsman, "FunctionID", Known::Passed("FunctionID")),
    (Ns::Shell, "CompressionType", Known::Compression),
    (Ns::Eventing, "Identifier", Known::Passed("Identifier")),
    (Ns::MachineId, "MachineID", Known::Passed("MachineID")),
];
