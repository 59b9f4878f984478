//! How much of a message is read before it is refused.

/// Bounds for one envelope, from a client or from a host.
///
/// The defaults are four times what the largest real message was seen to need, and WinRM's own
/// `MaxEnvelopeSizekb` of 500 for the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one envelope as UTF-8 (`MaxEnvelopeSizekb` × 1024). UTF-16 may have twice as many.
    pub envelope_bytes: usize,
    /// Elements within elements.
    pub depth: usize,
    /// Attributes of one element, namespace declarations included.
    pub attributes: usize,
    /// Namespace declarations in scope at one element.
    pub namespaces: usize,
    /// Selectors in the selector set (DSP0226 5.4.2).
    pub selectors: usize,
    /// Options in the option set (DSP0226 6.4).
    pub options: usize,
    /// Bytes of one start tag.
    pub tag_bytes: usize,
}

impl Limits {
    /// The default bounds with another envelope size, in bytes.
    #[must_use]
    pub fn with_envelope_bytes(envelope_bytes: usize) -> Self {
        Self { envelope_bytes, ..Self::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            envelope_bytes: 500 * 1024,
            depth: 64,
            attributes: 64,
            namespaces: 64,
            selectors: 64,
            options: 64,
            tag_bytes: 64 * 1024,
        }
    }
}
