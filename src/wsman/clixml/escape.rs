//! `_xHHHH_` in strings and names ([MS-PSRP] 2.2.5.3.2).

use std::borrow::Cow;

/// Puts back what was escaped, as .NET does it: four or eight hexadecimal digits, `x` in either case, UTF-16 code
/// units of which two neighbours may be one character. Half of one becomes U+FFFD; what is no escape stays as it is.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains("_x") && !text.contains("_X") {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut high = None;
    let mut rest = text;
    while let Some((before, from)) = rest.find('_').and_then(|at| rest.split_at_checked(at)) {
        push(&mut plain, &mut high, before);
        rest = match escape(from) {
            Some((code, tail)) => {
                put(&mut plain, &mut high, code);
                tail
            }
            None => {
                push(&mut plain, &mut high, "_");
                from.get(1..).unwrap_or_default()
            }
        };
    }
    push(&mut plain, &mut high, rest);
    lone(&mut plain, &mut high);
    Cow::Owned(plain)
}

/// The code at the start of `text`, and what comes behind.
fn escape(text: &str) -> Option<(u32, &str)> {
    [4, 8].into_iter().find_map(|digits| {
        let code = text.get(2..2 + digits)?;
        let hexadecimal = code.bytes().all(|byte| byte.is_ascii_hexdigit());
        let tail = text.get(2 + digits..)?.strip_prefix('_')?;
        let marked = matches!(text.get(1..2), Some("x" | "X"));
        let code = u32::from_str_radix(code, 16).ok().filter(|code| *code <= 0x0010_ffff);
        code.filter(|_| marked && hexadecimal).map(|code| (code, tail))
    })
}

fn put(plain: &mut String, high: &mut Option<u32>, code: u32) {
    match (high.take(), code) {
        (Some(first), 0xdc00..=0xdfff) => {
            let pair = 0x1_0000 + ((first - 0xd800) << 10) + (code - 0xdc00);
            plain.push(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        (unpaired, _) => {
            plain.extend(unpaired.map(|_| char::REPLACEMENT_CHARACTER));
            match code {
                0xd800..=0xdbff => *high = Some(code),
                _ => plain.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
            }
        }
    }
}

fn push(plain: &mut String, high: &mut Option<u32>, text: &str) {
    if !text.is_empty() {
        lone(plain, high);
        plain.push_str(text);
    }
}

fn lone(plain: &mut String, high: &mut Option<u32>) {
    plain.extend(high.take().map(|_| char::REPLACEMENT_CHARACTER));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::unescape;

    #[test]
    fn escapes_are_read_as_net_reads_them() {
        for (escaped, plain) in [
            ("", ""),
            ("plain_text", "plain_text"),
            ("a_x000A_b_x000d_", "a\nb\r"),
            ("_x005F_x000A_", "_x000A_"),
            ("_X0041_", "A"),
            ("_xD83D__xDE00_", "\u{1f600}"),
            ("_x0001F600_", "\u{1f600}"),
            ("_xD83D_x", "\u{fffd}x"),
            ("_xD83D__xD83D__xDE00_", "\u{fffd}\u{1f600}"),
            ("_xDE00_", "\u{fffd}"),
            ("_xD83D_", "\u{fffd}"),
            ("_x000_", "_x000_"),
            ("_x000G_", "_x000G_"),
            ("_x+041_", "_x+041_"),
            ("_x00410_", "_x00410_"),
            ("_xFFFFFFFF_", "_xFFFFFFFF_"),
            ("__x0041__", "_A_"),
            ("_x0041x0042_", "_x0041x0042_"),
            ("_x004\u{e9}_", "_x004\u{e9}_"),
            ("_x\u{e9}\u{e9}_", "_x\u{e9}\u{e9}_"),
        ] {
            assert_eq!(unescape(escaped), plain, "{escaped}");
        }
    }

    proptest! {
        #[test]
        fn any_text_escaped_comes_back(text in "\\PC*") {
            let escaped: String =
                text.encode_utf16().map(|unit| format!("_x{unit:04X}_")).collect();
            assert_eq!(unescape(&escaped), text);
        }

        #[test]
        fn no_text_panics(text in "[_xX0-9A-F\u{e9}]{0,40}") {
            let plain = unescape(&text);
            assert!(plain.len() <= text.len());
        }
    }
}
