//! The header lines that the gateway reads; all others are checked for form and dropped.

use secrecy::SecretString;

use super::super::refusal::Reason;
use super::is_token;

/// The values of the headers that count, without the blanks around them.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) close: bool,
    content_length: Option<&'a str>,
    content_type: Option<&'a str>,
    authorization: Option<&'a str>,
    expect: Option<&'a str>,
    wsmanidentify: Option<&'a str>,
    user_agent: Option<&'a str>,
}

impl<'a> Fields<'a> {
    pub(super) fn parse(lines: impl Iterator<Item = &'a str>) -> Result<Self, Reason> {
        let mut fields = Self::default();
        for line in lines {
            fields.line(line)?;
        }
        Ok(fields)
    }

    fn line(&mut self, line: &'a str) -> Result<(), Reason> {
        if line.starts_with([' ', '\t']) {
            return Err(Reason::HeaderLine);
        }
        let (name, value) = line.split_once(':').ok_or(Reason::HeaderLine)?;
        // An underscore is a dash to some servers, which makes two headers out of one.
        if !is_token(name) || name.contains('_') {
            return Err(Reason::HeaderName);
        }
        let known = KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((_, field)) = known else { return Ok(()) };
        let value = value.strip_prefix(' ').unwrap_or(value);
        // What frames or addresses the request is written in one way only.
        let exact = value.trim_matches([' ', '\t']) == value;
        match field {
            Field::Host if !exact => Err(Reason::Host),
            Field::ContentLength if !exact => Err(Reason::Length),
            Field::Expect if !exact => Err(Reason::Expectation),
            Field::Host => once(&mut self.host, value),
            Field::ContentLength => once(&mut self.content_length, value),
            Field::Expect => once(&mut self.expect, value),
            Field::ContentType => once(&mut self.content_type, value.trim_matches([' ', '\t'])),
            Field::Authorization => once(&mut self.authorization, value.trim_matches([' ', '\t'])),
            Field::WsmanIdentify => once(&mut self.wsmanidentify, value.trim_matches([' ', '\t'])),
            Field::UserAgent => once(&mut self.user_agent, value.trim_matches([' ', '\t'])),
            Field::Connection => self.connection(value),
            Field::TransferEncoding => Err(Reason::TransferEncoding),
            Field::ContentEncoding => Err(Reason::ContentEncoding),
            Field::Upgrade => Err(Reason::Upgrade),
            Field::Trailer => Err(Reason::Trailer),
            // Browsers send these, WinRM clients never do: a page must not run commands with its reader's certificate.
            Field::Browser => Err(Reason::Browser),
        }
    }

    /// Reads `Connection`: `close` is obeyed, a change of protocol is refused, and names of other headers do
    /// nothing, since no header is passed on.
    fn connection(&mut self, value: &str) -> Result<(), Reason> {
        for option in value.split(',').map(|option| option.trim_matches([' ', '\t'])) {
            if option.eq_ignore_ascii_case("upgrade") || option.eq_ignore_ascii_case("http2-settings") {
                return Err(Reason::Upgrade);
            }
            self.close |= option.eq_ignore_ascii_case("close");
        }
        Ok(())
    }

    /// The body's length: decimal digits without sign, list or leading zero, and within `limit`.
    pub(super) fn content_length(&self, limit: usize) -> Result<usize, Reason> {
        let digits = self.content_length.ok_or(Reason::NoLength)?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || (digits.starts_with('0') && digits != "0") {
            return Err(Reason::Length);
        }
        let length: u64 = digits.parse().map_err(|_| Reason::Length)?;
        usize::try_from(length).ok().filter(|length| *length <= limit).ok_or(Reason::TooLarge)
    }

    pub(super) fn content_type(&self) -> Result<Option<String>, Reason> {
        let Some(value) = self.content_type else { return Ok(None) };
        if value.is_empty() || value.len() > CONTENT_TYPE_BYTES || value.contains('\t') {
            return Err(Reason::ContentType);
        }
        Ok(Some(value.to_owned()))
    }

    pub(super) fn authorization(&self) -> Result<Option<SecretString>, Reason> {
        let Some(value) = self.authorization else { return Ok(None) };
        if value.is_empty() || value.contains('\t') {
            return Err(Reason::Authorization);
        }
        Ok(Some(SecretString::from(value)))
    }

    pub(super) fn wsmanidentify(&self) -> bool {
        self.wsmanidentify.is_some_and(|value| value.eq_ignore_ascii_case("unauthenticated"))
    }

    pub(super) fn user_agent(&self) -> Option<String> {
        self.user_agent.map(|value| value.chars().take(USER_AGENT_BYTES).collect())
    }

    pub(super) fn expects_continue(&self) -> Result<bool, Reason> {
        match self.expect {
            None => Ok(false),
            Some("100-continue") => Ok(true),
            Some(_) => Err(Reason::Expectation),
        }
    }
}

fn once<'a>(field: &mut Option<&'a str>, value: &'a str) -> Result<(), Reason> {
    if field.replace(value).is_some() { Err(Reason::Repeated) } else { Ok(()) }
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Host,
    ContentLength,
    ContentType,
    Authorization,
    Expect,
    WsmanIdentify,
    UserAgent,
    Connection,
    TransferEncoding,
    ContentEncoding,
    Upgrade,
    Trailer,
    Browser,
}

const KNOWN: [(&str, Field); 19] = [
    ("host", Field::Host),
    ("content-length", Field::ContentLength),
    ("content-type", Field::ContentType),
    ("authorization", Field::Authorization),
    ("expect", Field::Expect),
    ("wsmanidentify", Field::WsmanIdentify),
    ("user-agent", Field::UserAgent),
    ("connection", Field::Connection),
    ("proxy-connection", Field::Connection),
    ("transfer-encoding", Field::TransferEncoding),
    ("content-encoding", Field::ContentEncoding),
    ("upgrade", Field::Upgrade),
    ("http2-settings", Field::Upgrade),
    ("trailer", Field::Trailer),
    ("origin", Field::Browser),
    ("sec-fetch-site", Field::Browser),
    ("sec-fetch-mode", Field::Browser),
    ("sec-fetch-dest", Field::Browser),
    ("sec-fetch-user", Field::Browser),
];

const CONTENT_TYPE_BYTES: usize = 512;
const USER_AGENT_BYTES: usize = 200;
