//! Who somebody is in Active Directory, and in which groups: the logon information of a ticket's PAC ([MS-PAC] section 2.5).
//!
//! In come the bytes of `KERB_VALIDATION_INFO`, which GSSAPI hands out only where the KDC's signature was checked. Out come security
//! identifiers. Names in it are not read: whose ticket it is, is known from the ticket.
//!
//! INVARIANT: nothing in the bytes panics, and no more is allocated than the bytes hold. What is not exactly as specified is an error and
//! never a person without groups: a rule that refuses by group would otherwise let that person pass.
//!
//! Why not a crate: those that read NDR generate whole interfaces or belong to offensive tools; the part that is needed is one structure.

mod ndr;
#[cfg(test)]
mod tests;

use super::sid::{NotASid, Sid};
use ndr::{Membership, Reader};
use std::collections::BTreeSet;

/// The identifiers of one account and of the groups that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogonInfo {
    user: Sid,
    groups: BTreeSet<Sid>,
}

/// Why bytes are no logon information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogonInfoError {
    /// They end in the middle.
    #[error("the logon information of the ticket is cut short")]
    Truncated,
    /// More than a ticket could carry.
    #[error("the logon information of the ticket is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Something is not as [MS-PAC] has it.
    #[error("{what} in the logon information of the ticket is not as it should be")]
    Malformed {
        /// What.
        what: &'static str,
    },
    /// A group that the person is in for some purposes only.
    #[error("the logon information of the ticket has a group that is not switched on, or that only refuses")]
    PartialMembership,
}

impl LogonInfo {
    /// The identifiers in `bytes`.
    ///
    /// # Errors
    /// When they are anything else than one whole `KERB_VALIDATION_INFO`.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, LogonInfoError> {
        if bytes.len() > MAX_BYTES {
            return Err(LogonInfoError::TooLong);
        }
        let mut reader = Reader::new(bytes)?;
        if reader.pointer()?.is_null() {
            return Err(LogonInfoError::Malformed { what: "the pointer to the whole" });
        }
        let parts = Parts::read(&mut reader)?;
        reader.end()?;
        parts.assemble()
    }

    /// The account.
    pub(crate) fn user(&self) -> &Sid {
        &self.user
    }

    /// Its groups.
    pub(crate) fn groups(&self) -> &BTreeSet<Sid> {
        &self.groups
    }

    /// The logon information of `user` in `groups`, for tests of what is decided on it.
    #[cfg(test)]
    pub(crate) fn for_test(user: &str, groups: &[&str]) -> Self {
        let sid = |text: &str| text.parse::<Sid>().unwrap_or_else(|error| panic!("{text}: {error}"));
        Self { user: sid(user), groups: groups.iter().map(|text| sid(text)).collect() }
    }
}

/// What of the structure says who somebody is.
struct Parts {
    user: u32,
    primary_group: u32,
    groups: Vec<Membership>,
    domain: Option<Sid>,
    extra: Vec<(Sid, u32)>,
    resource_domain: Option<Sid>,
    resource_groups: Vec<Membership>,
}

impl Parts {
    /// The fixed part of the structure, in its order, and then what its pointers point to, in the same order.
    fn read(reader: &mut Reader<'_>) -> Result<Self, LogonInfoError> {
        reader.skip(TIMES)?;
        // Account name, full name, logon script, profile, home directory and its drive.
        let mut names = [reader.string_head()?; 6];
        for name in names.iter_mut().skip(1) {
            *name = reader.string_head()?;
        }
        let (_logons, _bad_passwords) = (reader.u16()?, reader.u16()?);
        let (user, primary_group) = (reader.u32()?, reader.u32()?);
        let (group_count, groups) = (reader.u32()?, reader.pointer()?);
        let _flags = reader.u32()?;
        reader.skip(SESSION_KEY)?;
        let (server, domain_name) = (reader.string_head()?, reader.string_head()?);
        let domain = reader.pointer()?;
        reader.skip(RESERVED)?;
        let (extra_count, extra) = (reader.u32()?, reader.pointer()?);
        let resource_domain = reader.pointer()?;
        let (resource_count, resource_groups) = (reader.u32()?, reader.pointer()?);
        for name in names {
            reader.skip_string(name)?;
        }
        let groups = reader.memberships(group_count, groups)?;
        reader.skip_string(server)?;
        reader.skip_string(domain_name)?;
        Ok(Self {
            user,
            primary_group,
            groups,
            domain: reader.sid(domain)?,
            extra: reader.sids(extra_count, extra)?,
            resource_domain: reader.sid(resource_domain)?,
            resource_groups: reader.memberships(resource_count, resource_groups)?,
        })
    }

    fn assemble(self) -> Result<LogonInfo, LogonInfoError> {
        let malformed = |_: NotASid| LogonInfoError::Malformed { what: "a security identifier" };
        let no_domain = LogonInfoError::Malformed { what: "the domain" };
        let mut groups = BTreeSet::new();
        for group in &self.groups {
            is_full(group.attributes)?;
            groups.insert(self.domain.as_ref().ok_or(no_domain)?.with(group.relative).map_err(malformed)?);
        }
        for group in &self.resource_groups {
            is_full(group.attributes)?;
            let domain = self.resource_domain.as_ref().ok_or(no_domain)?;
            groups.insert(domain.with(group.relative).map_err(malformed)?);
        }
        for (sid, attributes) in &self.extra {
            is_full(*attributes)?;
            groups.insert(sid.clone());
        }
        if let (Some(domain), true) = (&self.domain, self.primary_group != 0) {
            groups.insert(domain.with(self.primary_group).map_err(malformed)?);
        }
        // An account of no domain has the number 0 and is the first of the extra identifiers.
        let user = match (&self.domain, self.user) {
            (_, 0) => self.extra.first().map(|(sid, _)| sid.clone()).ok_or(no_domain)?,
            (Some(domain), number) => domain.with(number).map_err(malformed)?,
            (None, _) => return Err(no_domain),
        };
        groups.remove(&user);
        Ok(LogonInfo { user, groups })
    }
}

/// A KDC writes memberships that hold without reservation and no others; one that does not is not guessed about.
fn is_full(attributes: u32) -> Result<(), LogonInfoError> {
    if attributes & ENABLED != 0 && attributes & DENY_ONLY == 0 {
        Ok(())
    } else {
        Err(LogonInfoError::PartialMembership)
    }
}

/// The most that is read; a ticket itself is at most as long.
const MAX_BYTES: usize = 65_535;
/// The most entries of one list.
const MAX_LIST: usize = 4096;
/// Six `FILETIME`s: logon, logoff, kick off, and three of the password.
const TIMES: usize = 6 * 8;
/// `UserSessionKey`, for NTLM only.
const SESSION_KEY: usize = 16;
/// `Reserved1`, `UserAccountControl`, `SubAuthStatus`, two `FILETIME`s, `FailedILogonCount` and `Reserved3`.
const RESERVED: usize = 2 * 4 + 4 + 4 + 2 * 8 + 4 + 4;
/// `SE_GROUP_ENABLED`.
const ENABLED: u32 = 0x4;
/// `SE_GROUP_USE_FOR_DENY_ONLY`.
const DENY_ONLY: u32 = 0x10;
