//! Why an envelope is refused, and the fault that its sender gets.

use super::fault::FaultKind;
use super::operation::Operation;

/// Why an envelope was not accepted. Each variant is one reason with one label and one fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// More bytes than allowed.
    #[error("the envelope has more than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// A content type other than SOAP's.
    #[error("the content type is not application/soap+xml")]
    ContentType,
    /// Neither UTF-8 nor UTF-16LE with a byte order mark.
    #[error("the character set is neither UTF-8 nor UTF-16LE with a byte order mark")]
    CharsetUnsupported,
    /// Byte order mark, declared character set and XML declaration name different encodings.
    #[error("the declared character set and the bytes of the envelope disagree")]
    CharsetDisagrees,
    /// Bytes that are not text in the encoding they claim.
    #[error("the envelope is not valid text in its character set")]
    BadEncoding,
    /// A character outside XML 1.0 section 2.2, raw or by reference.
    #[error("the envelope holds a character that XML 1.0 does not allow")]
    ForbiddenCharacter,
    /// Not well-formed XML 1.0 with namespaces.
    #[error("the envelope is not well-formed XML: {problem}")]
    NotWellFormed {
        /// What is wrong, a constant.
        problem: &'static str,
    },
    /// A document type declaration (SOAP 1.2 part 1, section 5).
    #[error("the envelope holds a document type declaration")]
    Doctype,
    /// A processing instruction (SOAP 1.2 part 1, section 5).
    #[error("the envelope holds a processing instruction")]
    ProcessingInstruction,
    /// A reference to an entity other than the five predefined ones.
    #[error("the envelope refers to an undefined entity")]
    UnknownEntity,
    /// Elements too deep.
    #[error("the elements of the envelope are nested too deep")]
    TooDeep,
    /// Too many attributes on one element.
    #[error("an element of the envelope has too many attributes")]
    TooManyAttributes,
    /// Too many namespace declarations in scope.
    #[error("too many namespaces are in scope in the envelope")]
    TooManyNamespaces,
    /// A start tag that is too long.
    #[error("a tag of the envelope is too long")]
    TagTooLong,
    /// SOAP of another version than 1.2.
    #[error("the message is not a SOAP 1.2 envelope")]
    OtherSoap,
    /// WS-Addressing of another version than 2004/08.
    #[error("the envelope uses another version of WS-Addressing")]
    OtherAddressing,
    /// Not exactly one header followed by one body.
    #[error("the envelope does not consist of one header followed by one body")]
    EnvelopeShape,
    /// A SOAP element or an action below the body.
    #[error("the body holds what belongs into the header")]
    HeaderInBody,
    /// A header block that may stand once stands twice.
    #[error("the header {header} is there twice")]
    DuplicateHeader {
        /// Its local name.
        header: &'static str,
    },
    /// A required header block is missing.
    #[error("the header {header} is missing")]
    MissingHeader {
        /// Its local name.
        header: &'static str,
    },
    /// A header block whose value cannot be.
    #[error("the value of the header {header} is not valid")]
    InvalidHeader {
        /// Its local name.
        header: &'static str,
    },
    /// A value that is not one plain run of text, so that two readers may read two values.
    #[error("the value of {name} is not plain text")]
    NotPlainText {
        /// The element.
        name: &'static str,
    },
    /// A header block that must be understood and is not known.
    #[error("a header that must be understood is not known")]
    MustUnderstand,
    /// A header block meant for somebody else.
    #[error("a header is meant for another role")]
    WrongRole,
    /// A locale that must be understood.
    #[error("a locale cannot be made mandatory")]
    MandatoryLocale,
    /// An answer wanted elsewhere than on this connection.
    #[error("answers are sent to the anonymous address only")]
    ReplyElsewhere,
    /// An `OperationTimeout` above the gateway's `max_timeout_ms`.
    #[error("the OperationTimeout of the request is longer than allowed")]
    TimeoutTooLong,
    /// `MaxEnvelopeSize` under 8192.
    #[error("the MaxEnvelopeSize of the request is too small")]
    MaxEnvelopeSizeTooSmall,
    /// More selectors than allowed.
    #[error("the request has too many selectors")]
    TooManySelectors,
    /// More options than allowed.
    #[error("the request has too many options")]
    TooManyOptions,
    /// One selector name twice.
    #[error("a selector is there twice")]
    DuplicateSelector,
    /// A resource URI that two readers may read as two resources.
    #[error("the resource URI is not valid")]
    InvalidResourceUri,
    /// An action that differs from a known one in case only.
    #[error("the action differs from a known one in case only")]
    ActionCase,
    /// The body does not hold what the action needs.
    #[error("the body does not belong to the action {}", .operation.as_str())]
    BodyDisagrees {
        /// What the header asks for.
        operation: Operation,
    },
    /// The action cannot be done to this kind of resource.
    #[error("the action {} does not belong to this resource", .operation.as_str())]
    ResourceDisagrees {
        /// What the header asks for.
        operation: Operation,
    },
    /// An operation on a shell that names none.
    #[error("the request names no shell")]
    ShellIdMissing,
    /// Two different shells in one envelope.
    #[error("the envelope names two shells")]
    ShellIdsDisagree,
    /// Two different commands in one envelope.
    #[error("the envelope names two commands")]
    CommandIdsDisagree,
    /// A compression other than xpress.
    #[error("the compression type is not supported")]
    UnsupportedCompression,
}

impl EnvelopeError {
    /// Every reason, for registering metrics.
    pub const REASONS: &'static [&'static str] = &[
        "envelope_too_large",
        "content_type",
        "charset_unsupported",
        "charset_disagrees",
        "bad_encoding",
        "forbidden_character",
        "not_well_formed",
        "doctype",
        "processing_instruction",
        "unknown_entity",
        "too_deep",
        "too_many_attributes",
        "too_many_namespaces",
        "tag_too_long",
        "other_soap",
        "other_addressing",
        "envelope_shape",
        "header_in_body",
        "duplicate_header",
        "missing_header",
        "invalid_header",
        "not_plain_text",
        "must_understand",
        "wrong_role",
        "mandatory_locale",
        "reply_elsewhere",
        "timeout_too_long",
        "max_envelope_size_too_small",
        "too_many_selectors",
        "too_many_options",
        "duplicate_selector",
        "invalid_resource_uri",
        "action_case",
        "body_disagrees",
        "resource_disagrees",
        "shell_id_missing",
        "shell_ids_disagree",
        "command_ids_disagree",
        "unsupported_compression",
    ];

    /// A label for metrics and records, from a fixed set.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "envelope_too_large",
            Self::ContentType => "content_type",
            Self::CharsetUnsupported => "charset_unsupported",
            Self::CharsetDisagrees => "charset_disagrees",
            Self::BadEncoding => "bad_encoding",
            Self::ForbiddenCharacter => "forbidden_character",
            Self::NotWellFormed { .. } => "not_well_formed",
            Self::Doctype => "doctype",
            Self::ProcessingInstruction => "processing_instruction",
            Self::UnknownEntity => "unknown_entity",
            Self::TooDeep => "too_deep",
            Self::TooManyAttributes => "too_many_attributes",
            Self::TooManyNamespaces => "too_many_namespaces",
            Self::TagTooLong => "tag_too_long",
            Self::OtherSoap => "other_soap",
            Self::OtherAddressing => "other_addressing",
            Self::EnvelopeShape => "envelope_shape",
            Self::HeaderInBody => "header_in_body",
            Self::DuplicateHeader { .. } => "duplicate_header",
            Self::MissingHeader { .. } => "missing_header",
            Self::InvalidHeader { .. } => "invalid_header",
            Self::NotPlainText { .. } => "not_plain_text",
            Self::MustUnderstand => "must_understand",
            Self::WrongRole => "wrong_role",
            Self::MandatoryLocale => "mandatory_locale",
            Self::ReplyElsewhere => "reply_elsewhere",
            Self::TimeoutTooLong => "timeout_too_long",
            Self::MaxEnvelopeSizeTooSmall => "max_envelope_size_too_small",
            Self::TooManySelectors => "too_many_selectors",
            Self::TooManyOptions => "too_many_options",
            Self::DuplicateSelector => "duplicate_selector",
            Self::InvalidResourceUri => "invalid_resource_uri",
            Self::ActionCase => "action_case",
            Self::BodyDisagrees { .. } => "body_disagrees",
            Self::ResourceDisagrees { .. } => "resource_disagrees",
            Self::ShellIdMissing => "shell_id_missing",
            Self::ShellIdsDisagree => "shell_ids_disagree",
            Self::CommandIdsDisagree => "command_ids_disagree",
            Self::UnsupportedCompression => "unsupported_compression",
        }
    }

    /// The fault that the sender gets.
    #[must_use]
    pub const fn fault(&self) -> FaultKind {
        match self {
            Self::TooLarge { .. } => FaultKind::ServiceEnvelopeLimit,
            Self::CharsetUnsupported | Self::CharsetDisagrees | Self::BadEncoding => FaultKind::CharacterSet,
            Self::ContentType
            | Self::ForbiddenCharacter
            | Self::NotWellFormed { .. }
            | Self::Doctype
            | Self::ProcessingInstruction
            | Self::UnknownEntity
            | Self::TooDeep
            | Self::TooManyAttributes
            | Self::TooManyNamespaces
            | Self::TagTooLong
            | Self::EnvelopeShape
            | Self::HeaderInBody
            | Self::NotPlainText { .. }
            | Self::BodyDisagrees { .. } => FaultKind::SchemaValidation,
            Self::OtherSoap | Self::OtherAddressing => FaultKind::VersionMismatch,
            Self::MissingHeader { .. } => FaultKind::HeaderRequired,
            Self::DuplicateHeader { .. }
            | Self::InvalidHeader { .. }
            | Self::TimeoutTooLong
            | Self::CommandIdsDisagree => FaultKind::InvalidHeader,
            Self::MustUnderstand | Self::WrongRole => FaultKind::MustUnderstand,
            Self::MandatoryLocale => FaultKind::UnsupportedLocale,
            Self::ReplyElsewhere => FaultKind::AddressingMode,
            Self::MaxEnvelopeSizeTooSmall => FaultKind::MaxEnvelopeSize,
            Self::TooManySelectors => FaultKind::SelectorLimit,
            Self::TooManyOptions => FaultKind::OptionLimit,
            Self::DuplicateSelector | Self::ShellIdMissing | Self::ShellIdsDisagree => {
                FaultKind::InvalidSelectors
            }
            Self::InvalidResourceUri => FaultKind::InvalidResourceUri,
            Self::ActionCase | Self::ResourceDisagrees { .. } => FaultKind::ActionNotSupported,
            Self::UnsupportedCompression => FaultKind::UnsupportedFeature,
        }
    }
}
