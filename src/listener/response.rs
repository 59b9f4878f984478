//! An answer to a client, and its head on the wire.

use std::fmt;

use bytes::Bytes;
use rustls::pki_types::UnixTime;

use super::refusal::Reason;

/// What a client is answered. Framing, `Date` and `Connection` are the listener's to add.
#[derive(Clone)]
pub(crate) struct Response {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Further headers, in order.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(crate) body: Bytes,
}

/// How the end of an answer is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
}

/// Without the body: what commands print is nobody's to log.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("length", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Response {
    /// The gate's own answer: fixed text that says what was wrong and names nothing.
    pub(super) fn refusal(reason: Reason) -> Self {
        let mut headers = vec![("Content-Type", "text/plain".to_owned())];
        if reason == Reason::Method {
            headers.push(("Allow", "POST".to_owned()));
        }
        if reason == Reason::Overloaded {
            headers.push(("Retry-After", "1".to_owned()));
        }
        Self { status: reason.status(), headers, body: Bytes::from(format!("{reason}\n")) }
    }

    /// The head on the wire, or the name of a header that may not be in it.
    pub(super) fn head(&self, framing: Framing, close: bool) -> Result<Vec<u8>, &'static str> {
        let phrase = http::StatusCode::from_u16(self.status).ok();
        let phrase = phrase.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let mut head =
            format!("HTTP/1.1 {} {phrase}\r\nDate: {}\r\n", self.status, date(UnixTime::now().as_secs()));
        for (name, value) in &self.headers {
            let ours = RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name));
            if ours || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return Err(name);
            }
            head.extend([*name, ": ", value, "\r\n"]);
        }
        match framing {
            Framing::Length(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
        }
        if close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        Ok(head.into_bytes())
    }
}

/// A time, in seconds since 1970, as `Date` has it (RFC 9110 section 5.6.7).
fn date(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Civil date from a day count, with years that begin in March so that the leap day comes last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        pick(&DAYS, days % 7),
        pick(&MONTHS, month),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

fn pick(names: &[&'static str], index: u64) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or_default()
}

/// Headers that no caller sets.
const RESERVED: [&str; 5] = ["Content-Length", "Transfer-Encoding", "Connection", "Date", "Upgrade"];
/// 1 January 1970 was a Thursday.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_has_them() {
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(1_709_210_096), "Thu, 29 Feb 2024 12:34:56 GMT");
        assert_eq!(date(4_102_444_799), "Thu, 31 Dec 2099 23:59:59 GMT");
    }

    #[test]
    fn threat_60_neither_requests_nor_the_bodies_of_answers_can_be_shown() {
        trait Silent {
            const SHOWN: bool = false;
        }
        struct Probe<T>(std::marker::PhantomData<T>);
        impl<T> Silent for Probe<T> {}
        impl<T: fmt::Debug> Probe<T> {
            const SHOWN: bool = true;
        }
        let shown = [
            Probe::<crate::listener::Request>::SHOWN,
            Probe::<crate::listener::ClientConnection>::SHOWN,
            Probe::<Response>::SHOWN,
        ];
        assert_eq!(shown, [false, false, true], "the probe sees what can be shown");
        let response = Response { status: 200, headers: Vec::new(), body: Bytes::from_static(b"hunter2") };
        assert!(!format!("{response:?}").contains("hunter2"));
    }

    #[test]
    fn no_header_of_an_answer_can_break_its_framing() {
        for (name, value) in
            [("X-Request-Id", "a\r\nSet-Cookie: b"), ("content-length", "3"), ("Connection", "x")]
        {
            let response =
                Response { status: 200, headers: vec![(name, value.to_owned())], body: Bytes::new() };
            assert_eq!(response.head(Framing::Length(0), false), Err(name));
        }
    }
}
