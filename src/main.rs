//! The command line: arguments, configuration, run, exit code. Nothing is decided here.

use std::{os::unix::process::CommandExt as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use winrm_gateway::{Config, Gateway, records};

/// An authenticating reverse proxy for WinRM.
///
/// Any WinRM client comes in over HTTPS with a client certificate; the gateway decides who that is and what the person may do, speaks
/// Kerberos to the Windows host as that person, and records it.
#[derive(Parser)]
#[command(name = "winrm-gateway", version, max_term_width = 110, after_long_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve requests until SIGTERM or SIGINT.
    ///
    /// Reads the configuration, checks every file that it names, listens, and prints one line when it is ready. On SIGTERM idle
    /// connections are closed at once, requests under way have 30 seconds to end.
    Serve {
        /// The configuration: a YAML file; `gateway.d/*.yaml` beside it is read after it.
        #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
    /// Check a configuration without serving it.
    ///
    /// Prints one line for each finding, with file, line and key, and exits with 78 where there is any.
    Check {
        /// The configuration to check.
        #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
        /// The text alone: certificates, keytabs and the other files that it names need not be there.
        #[arg(long)]
        syntax: bool,
    },
    /// Ask the admin listener of a running gateway, as a probe in a container does.
    ///
    /// Prints the answer and exits with 0 where it is 200, else with 1.
    Probe {
        /// What to ask: `/healthz`, `/readyz` or `/metrics` on the admin address.
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090/readyz")]
        url: String,
    },
    /// Read the audit records, and verify that they are what was written.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Verify that no record was changed, dropped, moved, inserted or cut off.
    ///
    /// Reads all files of the directory, rotated ones included, also while the gateway writes. Prints one line and exits with 0, or names
    /// the first record that is wrong, by file, line and number, and exits with 1. Without --head a tail that was cut is not missed;
    /// without --public-key a whole log that was made anew passes.
    #[command(after_long_help = VERIFY_EXAMPLES)]
    Verify {
        #[command(flatten)]
        from: Directory,
        /// The head that the gateway writes (`audit.head`).
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
        /// The public key, from `audit keygen`: this one, or one that it endorsed, must have signed.
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
    },
    /// List requests, one a line: time, id, person, host, operation, how it ended.
    ///
    /// Requests without an outcome come last, as `running`. Control and direction characters are shown as \\uXXXX.
    List {
        #[command(flatten)]
        filter: FilterArguments,
        /// The records themselves, one JSON object a line.
        #[arg(long)]
        json: bool,
        /// Go on with what is written from now on.
        #[arg(long)]
        follow: bool,
    },
    /// Show all that is known of one request.
    Show {
        #[command(flatten)]
        from: Directory,
        /// Its id, or the beginning of it.
        id: String,
    },
    /// Write a pack of evidence: records, configuration, public key, and a script that verifies it offline.
    Export {
        #[command(flatten)]
        filter: FilterArguments,
        /// A directory, which must not be there yet.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Make a key that signs the records: FILE (mode 0600) and FILE.pub.
    ///
    /// Name FILE in `audit.signing_key` and keep FILE.pub where the gateway can't write. To change keys, name the one in use with
    /// --former: it endorses the new one, and `audit verify` follows from one to the other.
    Keygen {
        /// Where the key goes; nothing is written over.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The key in use until now.
        #[arg(long, value_name = "FILE")]
        former: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Directory {
    /// Where the records are (`audit.directory`).
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    directory: PathBuf,
}

#[derive(Args)]
struct FilterArguments {
    #[command(flatten)]
    from: Directory,
    /// A part of the person's name.
    #[arg(long, value_name = "TEXT")]
    person: Option<String>,
    /// A part of the host's name.
    #[arg(long, value_name = "TEXT")]
    host: Option<String>,
    /// Not before: 2026-03-01, 2026-03-01T12:00 (UTC), or 90m, 12h, 7d ago.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// A part of any text of the record.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// How it ended.
    #[arg(long, value_parser = ["succeeded", "refused", "failed", "abandoned"])]
    outcome: Option<String>,
}

impl From<FilterArguments> for records::Wanted {
    fn from(arguments: FilterArguments) -> Self {
        let FilterArguments { from, person, host, since, until, text, outcome } = arguments;
        Self { directory: from.directory, person, host, since, until, text, outcome }
    }
}

#[expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "the answer of a command belongs on the terminal"
)]
fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve { config } => serve(&config),
        Command::Check { config, syntax } => check(&config, syntax).map(|line| println!("{line}")),
        Command::Probe { url } => {
            winrm_gateway::probe(&url).map(|text| print!("{text}")).context("not ready")
        }
        Command::Audit { command } => audit(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("winrm-gateway: {error:#}");
            exit_code(&error)
        }
    }
}

fn serve(path: &std::path::Path) -> anyhow::Result<()> {
    log_to_stderr();
    let config = Config::load(path)?;
    config.check_files()?;
    if let Some(krb5) = config.kerberos_config()
        && std::env::var_os(KRB5_CONFIG).is_none_or(|set| set != krb5)
    {
        return Err(again_with(krb5));
    }
    Ok(Gateway::start(config, path)?.run()?)
}

/// Starts this program anew, in the same process, with the environment by which libkrb5 finds its configuration.
///
/// Why: the library reads the variable whenever it likes, from any thread, so it can only be set before there are threads.
fn again_with(krb5: &std::path::Path) -> anyhow::Error {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let arguments = std::env::args_os().skip(1);
    let error = std::process::Command::new(program).args(arguments).env(KRB5_CONFIG, krb5).exec();
    anyhow::Error::new(error).context("the program can't be started anew with `kerberos.config`")
}

/// One JSON object a line: nothing that a peer sent can forge a line or reach a terminal.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(DEFAULT_LOG));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

fn check(config: &std::path::Path, syntax: bool) -> anyhow::Result<String> {
    let loaded = Config::load(config)?;
    if !syntax {
        loaded.check_files()?;
    }
    Ok(format!("{}: ok, {}", config.display(), loaded.summary()))
}

#[expect(clippy::print_stdout, reason = "the answer of a command belongs on the terminal")]
fn audit(command: AuditCommand) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match command {
        AuditCommand::Verify { from, head, public_key } => {
            let intact = records::verify(&from.directory, head.as_deref(), public_key.as_deref())
                .context("not intact")?;
            println!("{intact}");
        }
        AuditCommand::List { filter, json, follow } => records::list(&filter.into(), json, follow, &mut out)?,
        AuditCommand::Show { from, id } => records::show(&from.directory, &id, &mut out)?,
        AuditCommand::Export { filter, out } => println!("{}", records::export(&filter.into(), &out)?),
        AuditCommand::Keygen { out, former } => {
            let key = records::keygen(&out, former.as_deref())?;
            println!("{}: a new key, public half {key}", out.display());
        }
    }
    Ok(())
}

/// 78 for a configuration that can't be served (`EX_CONFIG` of sysexits), 1 for everything else.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    let is_configuration = error.downcast_ref::<winrm_gateway::ConfigErrors>().is_some()
        || error
            .downcast_ref::<winrm_gateway::StartError>()
            .is_some_and(winrm_gateway::StartError::is_configuration);
    if is_configuration { ExitCode::from(EX_CONFIG) } else { ExitCode::FAILURE }
}

const DEFAULT_CONFIG: &str = "/etc/winrm-gateway/gateway.yaml";

const DEFAULT_DIRECTORY: &str = "/var/log/winrm-gateway";

const VERIFY_EXAMPLES: &str = "\
Examples:
  winrm-gateway audit verify --directory /var/log/winrm-gateway --head /var/lib/winrm-gateway/audit.head \\
      --public-key /root/audit.key.pub

What is found, beside a changed byte:
  a record that is missing, stands twice, out of its place or was inserted; a file that is missing, unless a record says that it was
  removed for its age; a tail that was cut (with --head); a wrong signature, and a key that the former one has not endorsed.
What a crash or a full disk left behind is named by the record that follows it, and is no error.";

const EX_CONFIG: u8 = 78;

const KRB5_CONFIG: &str = "KRB5_CONFIG";

/// pingora tells of every step of its own start and end; that is for those who ask.
const DEFAULT_LOG: &str = "info,pingora_core=warn";

const AFTER_HELP: &str = "\
Files:
  /etc/winrm-gateway/gateway.yaml      the configuration
  /etc/winrm-gateway/gateway.d/*.yaml  read after it, in the order of their names; later values win

Environment:
  KRB5_CONFIG      where libkrb5 finds its configuration, unless `kerberos.config` names a file
  RUST_LOG         what is logged to standard error, such as `info` (the default) or `winrm_gateway=debug`

Exit codes:
  0   done
  1   could not start, a probe that was not answered with 200, or records that are not intact
  2   wrong arguments
  78  the configuration is wrong; every finding is printed with its file, line and key

Examples:
  winrm-gateway check --syntax --config config/fleet.yaml
  winrm-gateway serve --config /etc/winrm-gateway/gateway.yaml
  winrm-gateway probe --url http://127.0.0.1:9090/readyz
  winrm-gateway audit list --person alice --since 12h
  winrm-gateway audit verify --head /var/lib/winrm-gateway/audit.head";
