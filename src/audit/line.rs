//! One record as one line of JSON that cannot pretend to be anything else.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{
    Serializer,
    ser::{CharEscape, CompactFormatter, Formatter},
};

/// `record` as JSON in one line, its end included.
///
/// INVARIANT: the line holds exactly one line feed, at its end, no control, escape or format character, and no text longer than
/// [`MAX_TEXT`]; whatever a peer sent is data to every reader and terminal.
pub(super) fn line(record: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(1024);
    record.serialize(&mut Serializer::with_formatter(&mut bytes, Plain::default()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The longest text in a record, in bytes as written; what is cut is counted in its place.
pub(super) const MAX_TEXT: usize = 2048;

/// Writes JSON in which every text is visible and bounded.
#[derive(Default)]
struct Plain {
    /// Bytes of the present text that are written.
    written: usize,
    /// Bytes of the present text that no longer fitted.
    cut: usize,
}

impl Plain {
    /// Whether `length` more bytes fit; once something is cut, nothing more does.
    fn admits(&mut self, length: usize, original: usize) -> bool {
        if self.cut > 0 || self.written + length > MAX_TEXT {
            self.cut += original;
            return false;
        }
        self.written += length;
        true
    }
}

impl Formatter for Plain {
    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        *self = Self::default();
        CompactFormatter.begin_string(writer)
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.cut > 0 {
            write!(writer, "[{} bytes cut]", self.cut)?;
        }
        CompactFormatter.end_string(writer)
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        for character in text.chars() {
            let original = character.len_utf8();
            if is_hidden(character) {
                let mut units = [0; 2];
                let units = character.encode_utf16(&mut units);
                if self.admits(6 * units.len(), original) {
                    units.iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
                }
            } else if self.admits(original, original) {
                writer.write_all(character.encode_utf8(&mut [0; 4]).as_bytes())?;
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        if self.admits(6, 1) { CompactFormatter.write_char_escape(writer, escape) } else { Ok(()) }
    }
}

/// `text` for a terminal, in one line: what is not seen or would act on the terminal is shown as JSON's escapes.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_hidden(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether `character` is not seen, or changes how its neighbours are seen: C1 controls, line separators and every format character of
/// Unicode (general category Cf). `serde_json` escapes the C0 controls itself.
fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1345f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// Texts that an attacker would choose, mixed with arbitrary ones.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\r\n".to_owned()),
            Just("\n{\"record\":\"outcome\",\"result\":\"succeeded\"}\n".to_owned()),
            Just("\u{1b}[2J\u{1b}]0;owned\u{7}".to_owned()),
            Just("\u{202e}\u{2066}evil\u{2069}\u{feff}".to_owned()),
            Just("\u{85}\u{9b}31m\u{2028}\u{2029}\u{0}\u{7f}".to_owned()),
            Just("\",\"principal\":\"root@CORP\\".to_owned()),
            Just("\u{e0041}\u{1d173}😀".to_owned()),
            any::<String>(),
        ];
        proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn threat_61_one_event_is_one_line_and_reads_back_as_it_was(texts in proptest::collection::vec(hostile(), 1..6)) {
            let texts: Vec<String> = texts.into_iter().map(|text| text.chars().take(300).collect()).collect();
            let bytes = line(&json!({ "texts": texts, "n": 1 })).unwrap();
            prop_assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
            let written = std::str::from_utf8(&bytes).unwrap();
            let body = written.strip_suffix('\n').unwrap();
            prop_assert!(!body.chars().any(|c| c.is_control() || is_hidden(c)), "{}", body);
            prop_assert_eq!(body.lines().count(), 1);
            let read: Value = serde_json::from_str(body).unwrap();
            prop_assert_eq!(read, json!({ "texts": texts, "n": 1 }));
        }

        #[test]
        fn a_text_of_any_length_leaves_a_bounded_line(text in hostile(), times in 1_usize..400) {
            let bytes = line(&json!({ "text": text.repeat(times) })).unwrap();
            prop_assert!(bytes.len() < MAX_TEXT + 64, "{}", bytes.len());
            serde_json::from_slice::<Value>(&bytes).unwrap();
        }
    }

    #[test]
    fn what_is_cut_is_counted_and_nothing_follows_it() {
        let text = format!("{}é{}", "a".repeat(MAX_TEXT - 1), "b".repeat(10));
        let read: Value = serde_json::from_slice(&line(&json!({ "text": text })).unwrap()).unwrap();
        assert_eq!(read["text"], format!("{}[12 bytes cut]", "a".repeat(MAX_TEXT - 1)));
    }

    proptest! {
        #[test]
        fn threat_61_what_is_shown_is_one_line_and_moves_nothing(text in hostile()) {
            let shown = visible(&text);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_hidden(c)), "{}", shown);
        }
    }

    #[test]
    fn direction_marks_are_written_as_escapes() {
        let bytes = line(&json!({ "user": "a\u{202e}b\u{200b}\u{e0041}" })).unwrap();
        assert_eq!(bytes, b"{\"user\":\"a\\u202eb\\u200b\\udb40\\udc41\"}\n");
    }
}
