//! winrm-gateway
pub(crate) mod audit;
pub(crate) mod authn;
pub(crate) mod backend;
pub(crate) mod config;
pub(crate) mod credential;
pub(crate) mod diagnose;
pub(crate) mod gssapi;
pub(crate) mod listener;
pub(crate) mod policy;
pub(crate) mod telemetry;
pub mod wsman;
