//! Exchanges with real Windows hosts: every command and script in them is recovered.
//!
//! `make recordings RECORDINGS=folder` runs these; the folder holds vcr cassettes, a list `messages` of `request` and
//! `response` envelopes.
#![expect(clippy::expect_used, reason = "tests say what must hold")]

#[path = "readers/session.rs"]
mod session;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use session::Session;
use sha2::{Digest as _, Sha256};

#[derive(Deserialize)]
struct Cassette {
    messages: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Exchange {
    request: String,
    response: String,
}

/// Every cassette in the folder, followed to its end, by its name.
fn sessions() -> BTreeMap<String, Session> {
    let folder = std::env::var("RECORDINGS").expect("RECORDINGS names the folder with the recordings");
    // `cargo test` runs in the package's root, where `make` runs as well.
    let folder = Path::new(&folder).canonicalize().expect("the folder that RECORDINGS names is there");
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let yaml = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "yml"));
    yaml.map(|path| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(path).expect("UTF-8");
        let cassette: Cassette = serde_saphyr::from_str(&text).expect("a cassette");
        assert!(!cassette.messages.is_empty(), "{name} is empty");
        let mut session = Session::default();
        for exchange in &cassette.messages {
            session.exchange(exchange.request.as_bytes(), exchange.response.as_bytes());
        }
        (name, session)
    })
    .collect()
}

/// What one cassette's client sent, as its test says.
enum Sent {
    /// Word for word.
    Text(&'static str),
    /// Longer than is worth repeating: bytes and SHA-256 of the script, and the parameters behind it.
    Script { bytes: usize, sha256: &'static str, parameters: &'static str },
}

const COPY: &str = "3c882b445a28347be063d8d369b1792dc5a5403a8c0d6ca3c3ec2444167f71bf";

/// By cassette. The sealed value is a `SecureString`, whose key only client and host have.
const SENT: &[(&str, &[Sent])] = &[
    (
        "test_client_copy_file",
        &[
            Sent::Script { bytes: 2717, sha256: COPY, parameters: " test_file $false" },
            Sent::Script {
                bytes: 2717,
                sha256: COPY,
                parameters: r" C:\Users\vagrant-domain\Documents\test_file $false",
            },
            Sent::Text(r"powershell.exe Get-Content C:\Users\vagrant-domain\Documents\test_file"),
            Sent::Text(r"powershell Remove-Item -Path 'C:\Users\vagrant-domain\Documents\test_file'"),
        ],
    ),
    ("test_client_execute_cmd", &[Sent::Text("dir"), Sent::Text("echo abc")]),
    (
        "test_client_execute_ps",
        &[Sent::Text(
            "Invoke-Expression -Command '$serv = Get-Service -Name winrm; $serv.Name; $serv.Status; $serv' \
             | Out-String -Stream",
        )],
    ),
    (
        "test_client_execute_ps_failure",
        &[Sent::Text("Invoke-Expression -Command 'Get-ServiceTypo -Name winrm' | Out-String -Stream")],
    ),
    ("test_psrp_disconnect_runspaces", &[]),
    (
        "test_psrp_get_command_metadata",
        &[
            Sent::Text("Get-Command -Name @(new-pssession*) -CommandType 511"),
            Sent::Text("Get-Command -Name @(new-*) -CommandType 2"),
            Sent::Text("Get-Command -Name @(Get-*) -CommandType 511 -Module @(Microsoft.WSMan.Management)"),
        ],
    ),
    ("test_psrp_key_exchange_timeout", &[]),
    ("test_psrp_long_running_cmdlet", &[Sent::Text("Start-Sleep -Seconds 10\necho hi")]),
    (
        "test_psrp_multiple_commands",
        &[Sent::Text(
            "Set-Variable -Name sec_string -Value «sealed»\n\
             [System.Runtime.InteropServices.marshal]::PtrToStringAuto(\
             [System.Runtime.InteropServices.marshal]::SecureStringToBSTR($sec_string))\n\
             ConvertTo-SecureString -String abc -AsPlainText -Force\n\
             Set-Variable -Name unicode_string -Value 'こんにちは - actual_x000A_string\nnewline: \u{10437}'\n\
             $unicode_string\n\
             cmd.exe '/c echo hi'\n\
             whoami.exe\n\
             Set-Variable -Name integer -Value 123\n\
             $integer\n\
             Get-Service -Name winrm",
        )],
    ),
    ("test_psrp_open_runspace", &[]),
    (
        "test_psrp_with_input",
        &[Sent::Text(
            r#"begin {
                $DebugPreference = 'Continue'
                Write-Debug "Start Block"
            }
            process {
                $input
            }
            end {
                Write-Debug "End Block"
            }"#,
        )],
    ),
    (
        "test_psrp_with_jea_configuration",
        &[
            Sent::Text(r"Get-Item -Path WSMan:\localhost\Service\AllowUnencrypted"),
            Sent::Text(
                "Get-Item -Path C:\\Windows\n\
                 Set-Item -Path WSMan:\\localhost\\Service\\AllowUnencrypted -Value $false",
            ),
        ],
    ),
    ("test_winrs_environment", &[Sent::Text("cmd.exe /c set")]),
    (
        "test_winrs_operation_timeout",
        &[Sent::Text("powershell.exe Write-Host hi; Start-Sleep 30; Write-Host hi again")],
    ),
    (
        "test_winrs_send",
        &[
            Sent::Text("powershell.exe -"),
            Sent::Text("stdin: Write-Host \"output 1\";"),
            Sent::Text("stdin: Write-Host \"output 2\";"),
        ],
    ),
    ("test_winrs_standard", &[Sent::Text("cmd.exe /c echo hi")]),
    ("test_winrs_stderr_rc", &[Sent::Text("cmd.exe /c echo out && echo err>&2 && exit 1")]),
    ("test_wsman_update_envelope_size_500", &[]),
];

#[test]
#[ignore = "needs the folder that RECORDINGS names: make recordings"]
fn every_command_and_script_is_recovered_as_it_was_sent() {
    let sessions = sessions();
    let known: Vec<&str> = SENT.iter().map(|(name, _)| *name).collect();
    assert_eq!(sessions.keys().map(String::as_str).collect::<Vec<_>>(), known, "every cassette has its line");
    for ((name, sent), session) in SENT.iter().zip(sessions.values()) {
        assert_eq!(session.ran.len(), sent.len(), "{name}: {:#?}", session.ran);
        for (recovered, sent) in session.ran.iter().zip(*sent) {
            match sent {
                Sent::Text(text) => assert_eq!(recovered, text, "{name}"),
                Sent::Script { bytes, sha256, parameters } => {
                    let (script, rest) = recovered.split_at(*bytes);
                    let digest = Sha256::digest(script.as_bytes());
                    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                    assert_eq!((digest.as_str(), rest), (*sha256, *parameters), "{name}");
                }
            }
        }
    }
}

#[test]
#[ignore = "needs the folder that RECORDINGS names: make recordings"]
fn every_exchange_is_read_as_what_it_is() {
    let mut told = String::new();
    for (name, session) in sessions() {
        assert_eq!(session.unfinished(), 0, "{name}");
        let _ = write!(told, "\n=== {name}\n{}", session.told);
    }
    insta::assert_snapshot!(told);
}
