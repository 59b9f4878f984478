//! The listener over real sockets: what passes the gate, what does not, and that it says so once.

mod answers;
mod certificates;
mod framing;
mod load;
mod reload;
pub(crate) mod support;
