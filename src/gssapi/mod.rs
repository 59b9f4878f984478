//! gssapi
