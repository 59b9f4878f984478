//! What a host asks for in `WWW-Authenticate` (RFC 9110 section 11.6.1, RFC 7616 section 3.3).

use super::{Algorithm, DigestError};

/// The schemes that a host offers, in its own words; what is no scheme is left out.
pub(in crate::backend) fn offered(challenges: &[String]) -> Vec<String> {
    let mut offered = Vec::new();
    for line in challenges.iter().take(MOST) {
        match parse(line) {
            Ok(parsed) => offered.extend(parsed.into_iter().map(|challenge| challenge.scheme)),
            Err(_) => offered.extend(line.split(' ').next().filter(|word| is_token(word)).map(str::to_owned)),
        }
    }
    offered.iter_mut().for_each(|scheme| scheme.truncate(MOST_SCHEME));
    offered
}

/// A challenge of the scheme `Digest` that the gateway can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) realm: String,
    pub(super) nonce: String,
    pub(super) opaque: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) stale: bool,
}

impl Challenge {
    /// The strongest of the challenges that can be answered.
    ///
    /// # Errors
    /// Where there is none, or one of them is malformed.
    pub(super) fn strongest(challenges: &[String]) -> Result<Self, DigestError> {
        let (mut best, mut problem): (Option<Self>, _) = (None, DigestError::NoChallenge);
        for line in challenges.iter().take(MOST) {
            for raw in parse(line)?.iter().filter(|raw| raw.scheme.eq_ignore_ascii_case("Digest")) {
                match Self::read(raw) {
                    Ok(found) if best.as_ref().is_none_or(|best| best.algorithm < found.algorithm) => {
                        best = Some(found);
                    }
                    Ok(_) => {}
                    Err(error @ DigestError::Unsupported(_)) => problem = error,
                    Err(error) => return Err(error),
                }
            }
        }
        best.ok_or(problem)
    }

    fn read(raw: &Raw) -> Result<Self, DigestError> {
        let algorithm = match raw.value("algorithm") {
            None => Algorithm::Md5,
            Some(name) => Algorithm::named(name).ok_or(DigestError::Unsupported("algorithm"))?,
        };
        let qop = raw.value("qop").ok_or(DigestError::Unsupported("qop"))?;
        if !qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")) {
            return Err(DigestError::Unsupported("qop"));
        }
        if raw.value("userhash").is_some_and(|value| !value.eq_ignore_ascii_case("false")) {
            return Err(DigestError::Unsupported("userhash"));
        }
        if raw.value("charset").is_some_and(|value| !value.eq_ignore_ascii_case("UTF-8")) {
            return Err(DigestError::Unsupported("charset"));
        }
        let nonce = raw.value("nonce").filter(|nonce| !nonce.is_empty());
        Ok(Self {
            realm: raw.value("realm").ok_or(DigestError::Malformed)?.to_owned(),
            nonce: nonce.ok_or(DigestError::Malformed)?.to_owned(),
            opaque: raw.value("opaque").map(str::to_owned),
            algorithm,
            stale: raw.value("stale").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        })
    }
}

/// A challenge as it is written.
#[derive(Debug, Default)]
struct Raw {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Raw {
    fn value(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The parameters in `name=value, name="value"`.
pub(super) fn parameters(text: &str) -> Result<Vec<(String, String)>, DigestError> {
    let mut whole = parse(&format!("Info {text}"))?;
    match (whole.pop(), whole.is_empty()) {
        (Some(raw), true) => Ok(raw.parameters),
        _ => Err(DigestError::Malformed),
    }
}

/// The challenges of one field: a scheme, then its token or its parameters, then perhaps the next scheme.
fn parse(line: &str) -> Result<Vec<Raw>, DigestError> {
    let mut found: Vec<Raw> = Vec::new();
    for part in split(line)? {
        let part = part.trim();
        let (word, rest) = part.split_once([' ', '\t']).unwrap_or((part, ""));
        let (word, rest) = (word.trim(), rest.trim());
        if is_token(word) && !rest.starts_with('=') {
            found.push(Raw { scheme: word.to_owned(), parameters: Vec::new() });
            // A token of another scheme is nothing to us.
            if rest.is_empty() || parameter(rest).is_err() {
                continue;
            }
            add(&mut found, parameter(rest)?)?;
        } else {
            add(&mut found, parameter(part)?)?;
        }
    }
    if found.len() > MOST { Err(DigestError::Malformed) } else { Ok(found) }
}

fn add(found: &mut [Raw], (name, value): (String, String)) -> Result<(), DigestError> {
    let last = found.last_mut().ok_or(DigestError::Malformed)?;
    if last.value(&name).is_some() || last.parameters.len() >= MOST {
        return Err(DigestError::Malformed);
    }
    last.parameters.push((name, value));
    Ok(())
}

fn parameter(text: &str) -> Result<(String, String), DigestError> {
    let (name, value) = text.split_once('=').ok_or(DigestError::Malformed)?;
    let (name, value) = (name.trim(), value.trim());
    if !is_token(name) {
        return Err(DigestError::Malformed);
    }
    let value = match value.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None if is_token(value) => value.to_owned(),
        None => return Err(DigestError::Malformed),
    };
    Ok((name.to_ascii_lowercase(), value))
}

/// What stands before the closing quote, which must be the end.
fn unquoted(text: &str) -> Result<String, DigestError> {
    let (mut value, mut characters) = (String::new(), text.chars());
    loop {
        match characters.next().ok_or(DigestError::Malformed)? {
            '"' => break,
            '\\' => value.push(characters.next().ok_or(DigestError::Malformed)?),
            c => value.push(c),
        }
    }
    if characters.next().is_none() { Ok(value) } else { Err(DigestError::Malformed) }
}

/// Cuts at the commas that stand outside of quotes.
fn split(line: &str) -> Result<Vec<&str>, DigestError> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(line.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        return Err(DigestError::Malformed);
    }
    parts.push(line.get(start..).unwrap_or_default());
    // Empty elements of a list mean nothing (RFC 9110 section 5.6.1).
    parts.retain(|part| !part.trim().is_empty());
    Ok(parts)
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// More challenges, or parameters of one, than anybody sends.
const MOST: usize = 16;
const MOST_SCHEME: usize = 32;
