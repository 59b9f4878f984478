//! Why an NTLM exchange or a sealed message is refused.

/// A refusal. It ends the exchange or the context that it happened in; no text shows anything secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NtlmError {
    /// Bytes that are not what they must be.
    #[error("the NTLM token is malformed: {0}")]
    Malformed(&'static str),
    /// More bytes than any honest peer sends, or than a message can hold.
    #[error("the NTLM token is too large")]
    TooLarge,
    /// SPNEGO for another mechanism, or neither SPNEGO nor NTLM.
    #[error("the token is not for NTLM")]
    OtherMechanism,
    /// An NTLM message out of turn.
    #[error("this NTLM message is not the one that comes next")]
    UnexpectedMessage,
    /// A peer without 128-bit keys, extended session security, key exchange, signing, sealing or Unicode, or with what excludes them.
    #[error("the peer does not agree to sealing with 128-bit keys of its own for each session")]
    WeakFlags,
    /// Nobody in particular.
    #[error("an anonymous client is nobody")]
    Anonymous,
    /// The response of LAN Manager alone.
    #[error("an LM response proves nothing")]
    LmOnly,
    /// A response of 24 bytes.
    #[error("an NTLMv1 response proves too little")]
    NtlmV1,
    /// A challenge or a response without a description of the server.
    #[error("the message does not say which server it is for")]
    NoTargetInfo,
    /// A response for another challenge, or another server.
    #[error("the response describes another server or another challenge than ours")]
    TargetInfoChanged,
    /// A challenge without the server's time, with which no MIC would follow.
    #[error("the challenge carries no time")]
    NoTimestamp,
    /// A response from another time.
    #[error("the response's time differs too much from ours")]
    ClockSkew,
    /// A response that comes too late.
    #[error("the challenge is too old")]
    ChallengeExpired,
    /// A name that the table does not have. To be told to nobody but the record.
    #[error("no such NTLM account")]
    UnknownAccount,
    /// A proof that was made with another password, another name or for another challenge.
    #[error("the NTLMv2 proof is wrong")]
    WrongPassword,
    /// No promise of a MIC, or no room for one.
    #[error("the response carries no MIC")]
    NoMic,
    /// A MIC that does not cover these three messages.
    #[error("the MIC is wrong: a message was changed on its way")]
    WrongMic,
    /// No channel binding where there must be one.
    #[error("the response carries no channel binding")]
    NoBindings,
    /// Sixteen zeros, which some take for "no binding".
    #[error("the response's channel binding is empty")]
    ZeroBindings,
    /// A binding to another channel.
    #[error("the response is bound to another channel than this one")]
    WrongBindings,
    /// A binding to a channel where there is none.
    #[error("the response is bound to a channel, and this connection has none")]
    UnexpectedBindings,
    /// SPNEGO that does not protect the list of mechanisms.
    #[error("the list of mechanisms is not protected")]
    NoMechListMic,
    /// SPNEGO whose list of mechanisms was changed.
    #[error("the list of mechanisms was changed on its way")]
    WrongMechListMic,
    /// The peer refuses.
    #[error("the peer refuses")]
    Rejected,
    /// An account without a password.
    #[error("an empty password is none")]
    EmptyPassword,
    /// A message that was sealed with other keys, or changed.
    #[error("the sealed message is not authentic")]
    WrongSeal,
    /// A message that was lost, repeated or moved.
    #[error("the sealed message is out of sequence")]
    OutOfSequence,
    /// The context has ended, by an earlier failure or by its last sequence number.
    #[error("the security context has ended")]
    Ended,
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

impl NtlmError {
    /// Every reason, for the metrics.
    pub(crate) const REASONS: [&'static str; 29] = [
        "malformed",
        "too_large",
        "other_mechanism",
        "unexpected_message",
        "weak_flags",
        "anonymous",
        "lm_only",
        "ntlm_v1",
        "no_target_info",
        "target_info_changed",
        "no_timestamp",
        "clock_skew",
        "challenge_expired",
        "unknown_account",
        "wrong_password",
        "no_mic",
        "wrong_mic",
        "no_bindings",
        "zero_bindings",
        "wrong_bindings",
        "unexpected_bindings",
        "no_mech_list_mic",
        "wrong_mech_list_mic",
        "rejected",
        "empty_password",
        "wrong_seal",
        "out_of_sequence",
        "ended",
        "no_randomness",
    ];

    /// Names the refusal in records and metrics.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge => "too_large",
            Self::OtherMechanism => "other_mechanism",
            Self::UnexpectedMessage => "unexpected_message",
            Self::WeakFlags => "weak_flags",
            Self::Anonymous => "anonymous",
            Self::LmOnly => "lm_only",
            Self::NtlmV1 => "ntlm_v1",
            Self::NoTargetInfo => "no_target_info",
            Self::TargetInfoChanged => "target_info_changed",
            Self::NoTimestamp => "no_timestamp",
            Self::ClockSkew => "clock_skew",
            Self::ChallengeExpired => "challenge_expired",
            Self::UnknownAccount => "unknown_account",
            Self::WrongPassword => "wrong_password",
            Self::NoMic => "no_mic",
            Self::WrongMic => "wrong_mic",
            Self::NoBindings => "no_bindings",
            Self::ZeroBindings => "zero_bindings",
            Self::WrongBindings => "wrong_bindings",
            Self::UnexpectedBindings => "unexpected_bindings",
            Self::NoMechListMic => "no_mech_list_mic",
            Self::WrongMechListMic => "wrong_mech_list_mic",
            Self::Rejected => "rejected",
            Self::EmptyPassword => "empty_password",
            Self::WrongSeal => "wrong_seal",
            Self::OutOfSequence => "out_of_sequence",
            Self::Ended => "ended",
            Self::NoRandomness => "no_randomness",
        }
    }
}
