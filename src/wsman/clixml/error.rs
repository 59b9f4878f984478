//! Why CLIXML can't be read.

use crate::wsman::EnvelopeError;

/// Why a message's content can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClixmlError {
    /// More bytes than allowed.
    #[error("the document has more than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// Elements too deep.
    #[error("the elements of the document are nested too deep")]
    TooDeep,
    /// More values than allowed.
    #[error("the document has more than {limit} values")]
    TooManyValues {
        /// The bound.
        limit: usize,
    },
    /// More references than allowed.
    #[error("the document has more than {limit} references")]
    TooManyReferences {
        /// The bound.
        limit: usize,
    },
    /// A document type declaration, a processing instruction or an entity.
    #[error("the document declares or uses entities or processing instructions")]
    Declares,
    /// Not well-formed XML 1.0 in UTF-8.
    #[error("the document is not well-formed XML")]
    NotXml,
    /// An element that has no place there.
    #[error("the document holds an element that has no place there")]
    Element,
    /// A value that is not what its element says.
    #[error("a value of the document is not {expected}")]
    Shape {
        /// What it should be.
        expected: &'static str,
    },
    /// A reference to an object that did not come before it.
    #[error("the document refers to an object that is not there")]
    UndefinedReference,
    /// Two objects of one name.
    #[error("two objects of the document have one reference id")]
    RepeatedReference,
    /// Two members of one name.
    #[error("the member {name} is there twice")]
    Ambiguous {
        /// Its name.
        name: &'static str,
    },
    /// A member that has to be there.
    #[error("the member {name} is missing or of another kind")]
    Missing {
        /// Its name.
        name: &'static str,
    },
}

impl ClixmlError {
    /// The label for metrics and records, from a fixed set.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "clixml_too_large",
            Self::TooDeep => "clixml_too_deep",
            Self::TooManyValues { .. } => "clixml_too_many_values",
            Self::TooManyReferences { .. } => "clixml_too_many_references",
            Self::Declares => "clixml_declares",
            Self::NotXml => "clixml_not_xml",
            Self::Element => "clixml_element",
            Self::Shape { .. } => "clixml_shape",
            Self::UndefinedReference => "clixml_undefined_reference",
            Self::RepeatedReference => "clixml_repeated_reference",
            Self::Ambiguous { .. } => "clixml_ambiguous",
            Self::Missing { .. } => "clixml_missing",
        }
    }
}

impl From<EnvelopeError> for ClixmlError {
    fn from(error: EnvelopeError) -> Self {
        if error == EnvelopeError::TooDeep {
            Self::TooDeep
        } else if matches!(
            error,
            EnvelopeError::Doctype | EnvelopeError::ProcessingInstruction | EnvelopeError::UnknownEntity
        ) {
            Self::Declares
        } else {
            Self::NotXml
        }
    }
}
