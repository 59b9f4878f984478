//! What must hold of credentials: sharing and bounds without a KDC, everything else against a real one.

mod flights;
mod grounds;
mod identity;
mod realm;
mod support;
