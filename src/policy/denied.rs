//! Why a request is not permitted.

use super::host::HostError;
use crate::{
    authn::{AuthMethod, GroupName, Principal},
    wsman::ActionClass,
};

/// A refusal by policy. The texts are for the operator's log; the client sees [`Denied::public_text`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// Nothing matches the listener, the server name and the path.
    #[error("no route matches the listener, the server name and the path of the request")]
    NoRoute,
    /// What stands for `{host}` is no host name.
    #[error("what the request names as host is not a host name: {0}")]
    MalformedHost(HostError),
    /// The host is none of the route's.
    #[error("route {route} does not serve the host {host}: `hosts` does not name it")]
    HostNotAllowed {
        /// The route that matched.
        route: String,
        /// What the client asked for.
        host: String,
    },
    /// The person came in by a method that does not count on this route.
    #[error("route {route} does not accept the method {method}")]
    NotAccepted {
        /// The route that matched.
        route: String,
        /// How the person came in.
        method: AuthMethod,
    },
    /// `service.deny` names the person.
    #[error("{principal} is refused by name in `service.deny`")]
    RefusedByName {
        /// The person.
        principal: Principal,
    },
    /// `service.deny` names a group of the person.
    #[error("{principal} is refused as a member of {}, which `service.deny` names", .group.as_str())]
    RefusedByGroup {
        /// The person.
        principal: Principal,
        /// The group.
        group: GroupName,
    },
    /// A built-in or machine account that the gateway does not impersonate.
    #[error("{principal} is an account that is never impersonated, unless `service.s4u_allow` names it")]
    NotImpersonated {
        /// The person.
        principal: Principal,
    },
    /// The person is in none of `service.remote_access_groups`.
    #[error("{principal} is in none of the groups of `service.remote_access_groups`")]
    NotInRemoteAccessGroups {
        /// The person.
        principal: Principal,
    },
    /// No rule of the route is about the person.
    #[error("no rule lets {principal} reach {route}")]
    NoRule {
        /// The person.
        principal: Principal,
        /// The route.
        route: String,
    },
    /// The first rule about the person does not hold the action class.
    #[error("rule {rule} of route {route} does not let {principal} {class}")]
    ActionNotAllowed {
        /// The person.
        principal: Principal,
        /// The route.
        route: String,
        /// The rule that decided.
        rule: String,
        /// What was asked for.
        class: ActionClass,
    },
    /// The shell or enumeration belongs to somebody else, or to another route or endpoint.
    #[error(
        "the shell or enumeration that {principal} names was created by another person, or on another route or endpoint"
    )]
    NotOwner {
        /// The person.
        principal: Principal,
    },
    /// Nobody is known to have created the shell, and the host could not tell people apart.
    #[error(
        "{principal} names a shell or enumeration that nobody is known to have created, on a shared account"
    )]
    UnknownShellForSharedAccount {
        /// The person.
        principal: Principal,
    },
    /// The person, or the gateway, has as many shells as the limits allow.
    #[error("{principal} has as many shells open as `limits` allows")]
    TooManyShells {
        /// The person.
        principal: Principal,
    },
    /// The host would prove nothing, and the configuration does not say that it need not.
    #[error(
        "{host} would have to prove who it is: HTTPS is not the transport, {auth} proves nothing of the host, and `client.trusted_hosts` does not list it"
    )]
    NotTrusted {
        /// The host.
        host: String,
        /// How the gateway would have gone there.
        auth: &'static str,
    },
}

impl Denied {
    /// Every reason, for tests and for registering metrics.
    pub(crate) const REASONS: [&'static str; 14] = [
        "no_route",
        "malformed_host",
        "host_not_allowed",
        "method_not_accepted",
        "refused_by_name",
        "refused_by_group",
        "not_impersonated",
        "not_in_remote_access_groups",
        "no_rule",
        "action_not_allowed",
        "not_owner",
        "unknown_shell_for_shared_account",
        "too_many_shells",
        "not_trusted",
    ];

    /// The reason in records and metric labels: one of [`Denied::REASONS`], whatever the request said.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::MalformedHost(_) => "malformed_host",
            Self::HostNotAllowed { .. } => "host_not_allowed",
            Self::NotAccepted { .. } => "method_not_accepted",
            Self::RefusedByName { .. } => "refused_by_name",
            Self::RefusedByGroup { .. } => "refused_by_group",
            Self::NotImpersonated { .. } => "not_impersonated",
            Self::NotInRemoteAccessGroups { .. } => "not_in_remote_access_groups",
            Self::NoRule { .. } => "no_rule",
            Self::ActionNotAllowed { .. } => "action_not_allowed",
            Self::NotOwner { .. } => "not_owner",
            Self::UnknownShellForSharedAccount { .. } => "unknown_shell_for_shared_account",
            Self::TooManyShells { .. } => "too_many_shells",
            Self::NotTrusted { .. } => "not_trusted",
        }
    }

    /// What the client is told: no name of a route, rule, group or person.
    pub(crate) const fn public_text(&self) -> &'static str {
        match self {
            Self::NoRoute => "The gateway serves nothing at this address.",
            Self::MalformedHost(_) => "What the request names as host is not a host name.",
            Self::HostNotAllowed { .. } => "The gateway does not serve this host at this address.",
            Self::NotAccepted { .. } => "This way of authenticating is not accepted here.",
            Self::RefusedByName { .. } | Self::RefusedByGroup { .. } | Self::NotImpersonated { .. } => {
                "This account may not use the gateway."
            }
            Self::NotInRemoteAccessGroups { .. } => "This account is in no group that may use the gateway.",
            Self::NoRule { .. } => "Access is denied: no rule lets this account reach the host.",
            Self::ActionNotAllowed { class, .. } => match class {
                ActionClass::Read => "Access is denied: this account may not read from the host.",
                ActionClass::Write => "Access is denied: this account may not change anything on the host.",
                ActionClass::Execute => "Access is denied: this account may not run anything on the host.",
            },
            Self::NotOwner { .. } | Self::UnknownShellForSharedAccount { .. } => {
                "The request names a shell or an enumeration that is not this account's."
            }
            Self::TooManyShells { .. } => {
                "This account has as many shells open as the gateway allows; close some."
            }
            Self::NotTrusted { .. } => "The gateway does not trust this host without a proof of who it is.",
        }
    }
}
