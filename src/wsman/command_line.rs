//! Scripts that stand in base64 on a command line: `powershell -EncodedCommand …`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// One script that a command line hands to PowerShell in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedCommand {
    /// As it stands on the line.
    pub encoded: String,
    /// The script; `None` where PowerShell would not accept it.
    pub script: Option<String>,
}

/// Finds them: in what PowerShell itself takes for `-EncodedCommand`, behind any path and within quotes.
pub(super) fn encoded_commands(line: &str) -> Vec<EncodedCommand> {
    let mut found = Vec::new();
    search(line, 0, &mut found);
    found
}

fn search(line: &str, depth: usize, found: &mut Vec<EncodedCommand>) {
    let words = split(line);
    for (at, word) in words.iter().enumerate() {
        match word {
            Word::Plain(text) if is_powershell(text) => {
                found.extend(encoded_argument(words.get(at + 1..).unwrap_or_default()));
            }
            // `cmd /c "powershell …"`
            Word::Plain(text) if depth < MOST_DEPTH && text.contains(char::is_whitespace) => {
                search(text, depth + 1, found);
            }
            Word::Plain(_) | Word::Break => {}
        }
        if found.len() >= MOST_FOUND {
            return;
        }
    }
}

/// The value of `-EncodedCommand` among PowerShell's own arguments, which end where a command or a file begins.
fn encoded_argument(arguments: &[Word]) -> Option<EncodedCommand> {
    let mut takes_value = false;
    let mut rest = arguments.iter().take(MOST_ARGUMENTS);
    while let Some(Word::Plain(argument)) = rest.next() {
        let Some(switch) = switch(argument) else {
            if takes_value {
                takes_value = false;
                continue;
            }
            return None;
        };
        if abbreviates(&switch, "encodedcommand", "e") || switch == "ec" {
            let Some(Word::Plain(encoded)) = rest.next() else { return None };
            return Some(EncodedCommand { encoded: encoded.clone(), script: decode(encoded) });
        }
        if abbreviates(&switch, "command", "c") || abbreviates(&switch, "file", "f") {
            return None;
        }
        takes_value = WITH_VALUE.iter().any(|(name, shortest)| abbreviates(&switch, name, shortest));
    }
    None
}

/// The name of a switch, in lower case: behind one of four dashes or a slash, and one dash more.
fn switch(argument: &str) -> Option<String> {
    let dash = |c: char| matches!(c, '-' | '\u{2013}' | '\u{2014}' | '\u{2015}');
    let name = argument.strip_prefix(dash).or_else(|| argument.strip_prefix('/'))?;
    Some(name.strip_prefix(dash).unwrap_or(name).to_lowercase())
}

fn abbreviates(switch: &str, name: &str, shortest: &str) -> bool {
    name.starts_with(switch) && switch.starts_with(shortest)
}

fn is_powershell(word: &str) -> bool {
    let name = word.rsplit(['\\', '/']).next().unwrap_or_default().trim_start_matches('@');
    ["powershell", "powershell.exe", "pwsh", "pwsh.exe"].iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Base64 of UTF-16LE, as .NET reads it.
fn decode(encoded: &str) -> Option<String> {
    let bytes = BASE64.decode(encoded).ok()?;
    let (units, odd) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
    let mut script: String =
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    script.extend(odd.first().map(|_| char::REPLACEMENT_CHARACTER));
    Some(script)
}

/// A part of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    /// One argument, its quotes and carets taken away.
    Plain(String),
    /// What ends a command for cmd.exe.
    Break,
}

/// Cuts a line roughly as cmd.exe and the C runtime do.
fn split(line: &str) -> Vec<Word> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&'"') => word.get_or_insert_default().extend(chars.next()),
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '^' if !quoted => word.get_or_insert_default().extend(chars.next()),
            '&' | '|' | '(' | ')' | '\n' | '\r' if !quoted => {
                words.extend(word.take().map(Word::Plain));
                words.push(Word::Break);
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take().map(Word::Plain)),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.map(Word::Plain));
    words
}

/// PowerShell's other switches that take a value, with the shortest form of each.
const WITH_VALUE: [(&str, &str); 16] = [
    ("version", "v"),
    ("psconsolefile", "p"),
    ("executionpolicy", "ex"),
    ("ep", "ep"),
    ("inputformat", "i"),
    ("if", "if"),
    ("outputformat", "o"),
    ("of", "of"),
    ("windowstyle", "w"),
    ("configurationname", "config"),
    ("encodedarguments", "encodeda"),
    ("ea", "ea"),
    ("workingdirectory", "wo"),
    ("wd", "wd"),
    ("settingsfile", "settings"),
    ("custompipename", "cus"),
];

/// .NET wants the padding and does not look at the bits that it leaves over.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);
/// Quotes within quotes that are looked into.
const MOST_DEPTH: usize = 3;
/// Arguments of one PowerShell that are looked at; it has some twenty switches.
const MOST_ARGUMENTS: usize = 128;
/// Scripts of one line.
const MOST_FOUND: usize = 16;

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::proptest;

    use super::encoded_commands;

    fn encode(script: &str) -> String {
        let bytes: Vec<u8> = script.encode_utf16().flat_map(u16::to_le_bytes).collect();
        BASE64_STANDARD.encode(bytes)
    }

    fn scripts(line: &str) -> Vec<Option<String>> {
        encoded_commands(line).into_iter().map(|command| command.script).collect()
    }

    #[test]
    fn every_abbreviation_that_powershell_accepts_is_read() {
        let encoded = encode("whoami /all");
        let name = "encodedcommand";
        let short = (1..=name.len()).map(|length| name.chars().take(length).collect());
        for switch in short.chain(["ec".to_owned(), "EC".to_owned(), "EncodedCommand".to_owned()]) {
            for dash in ["-", "/", "--", "\u{2013}", "\u{2014}", "\u{2015}"] {
                let line = format!("powershell {dash}{switch} {encoded}");
                assert_eq!(scripts(&line), [Some("whoami /all".to_owned())], "{line}");
            }
        }
    }

    #[test]
    fn it_is_read_wherever_clients_put_it() {
        let encoded = encode("Get-Date; '\u{e9}\u{1f600}'");
        for line in [
            "powershell -encodedcommand B64",
            "powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Unrestricted -EncodedCommand B64",
            "PowerShell -NoP -Ex bypass -w hidden -V 2 -ENC B64",
            "\"C:\\Program Files\\PowerShell\\7\\pwsh.exe\" -wd \"C:\\a b\" -e \"B64\"",
            "cmd.exe /c \"powershell -e B64\"",
            "cmd /c \"chcp 65001 & \\\"powershell\\\" -nop -enc B64\"",
            "chcp 65001 >nul&&@powershell.exe /enc B64",
            "p^owershell -e^nc B64",
            "powershell -Command powershell -enc B64",
            "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe -enc B64",
        ] {
            let line = line.replace("B64", &encoded);
            let found = encoded_commands(&line);
            assert_eq!(found.len(), 1, "{line}");
            assert_eq!(found[0].script.as_deref(), Some("Get-Date; '\u{e9}\u{1f600}'"), "{line}");
            assert_eq!(found[0].encoded, encoded, "{line}");
        }
        let two = format!("powershell -e {} & powershell -e {}", encode("a"), encode("b"));
        assert_eq!(scripts(&two), [Some("a".to_owned()), Some("b".to_owned())]);
    }

    #[test]
    fn what_powershell_takes_for_something_else_is_left_alone() {
        for line in [
            "",
            "powershell",
            "powershell -enc",
            "powershell -enc & echo dwBoAG8A",
            "powershell -ex dwBoAG8A",
            "powershell -ep dwBoAG8A",
            "powershell -encodeda dwBoAG8A",
            "powershell -encodedcommands dwBoAG8A",
            "powershell -Command Get-Item -enc dwBoAG8A",
            "powershell -File x.ps1 -enc dwBoAG8A",
            "powershell Get-Item -enc dwBoAG8A",
            "notpowershell -enc dwBoAG8A",
            "echo -enc dwBoAG8A",
        ] {
            assert_eq!(scripts(line), [], "{line}");
        }
    }

    #[test]
    fn what_is_no_base64_is_told_as_such() {
        for encoded in ["dwBoAG8", "dwBo*G8A", "="] {
            assert_eq!(scripts(&format!("powershell -e {encoded}")), [None], "{encoded}");
        }
        assert_eq!(
            scripts("powershell -e dwBoAG9="),
            [Some("wh\u{fffd}".to_owned())],
            "odd, and bits left over"
        );
        assert_eq!(scripts("powershell -e ANg="), [Some("\u{fffd}".to_owned())], "half a character");
    }

    #[test]
    fn a_line_has_a_bounded_number_of_scripts() {
        assert_eq!(scripts(&"powershell -e YQA= & ".repeat(1000)).len(), 16);
    }

    proptest! {
        #[test]
        fn any_script_comes_back(script in "\\PC{0,80}") {
            let encoded = encode(&format!("{script}  "));
            let found = scripts(&format!("powershell -NoProfile -EncodedCommand {encoded}"));
            assert_eq!(found, [Some(format!("{script}  "))]);
        }

        #[test]
        fn no_line_panics(line in "(powershell|-e|\"|\\^|&| |dwBo|\\\\|\u{e9}){0,40}") {
            assert!(scripts(&line).len() <= 16);
        }
    }
}
