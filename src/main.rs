//! The command line: arguments, configuration, run, exit code. Nothing is decided here.

use std::{os::unix::process::CommandExt as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use winrm_gateway::{Config, Gateway};

/// An authenticating reverse proxy for WinRM.
///
/// Any WinRM client comes in with a client certificate, Kerberos, Negotiate or Basic; the gateway decides who that is and what the person may
/// do, speaks Kerberos to the Windows host as that person, and records it.
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

/// 78 for a configuration that can't be served (`EX_CONFIG` of sysexits), 1 for everything else.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    let is_configuration = error.downcast_ref::<winrm_gateway::ConfigErrors>().is_some()
        || error
            .downcast_ref::<winrm_gateway::StartError>()
            .is_some_and(winrm_gateway::StartError::is_configuration);
    if is_configuration { ExitCode::from(EX_CONFIG) } else { ExitCode::FAILURE }
}

const DEFAULT_CONFIG: &str = "/etc/winrm-gateway/gateway.yaml";

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
  1   could not start, or a probe that was not answered with 200
  2   wrong arguments
  78  the configuration is wrong; every finding is printed with its file, line and key

Examples:
  winrm-gateway check --syntax --config config/fleet.yaml
  winrm-gateway serve --config /etc/winrm-gateway/gateway.yaml
  winrm-gateway probe --url http://127.0.0.1:9090/readyz";
