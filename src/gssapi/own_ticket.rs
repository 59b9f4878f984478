//! What the realm says of a person whom the gateway impersonates: read from the person's `S4U2Self` ticket, which is a ticket to the gateway's
//! own account and so one that it can accept.

use std::path::Path;

use super::{
    acceptor::{Accepted, Acceptor},
    credential::{self, Credential},
    door::Door,
    error::GssError,
    initiator,
    name::realm_of,
    stats::Call,
};

impl Door {
    /// The PAC's logon information in the `S4U2Self` ticket of `person`, made by the account `own` whose keys are in `keytab`; none where
    /// the realm writes none.
    ///
    /// # Errors
    /// When the ticket can't be accepted, is in another name, or nobody vouches for what it says.
    pub(crate) async fn logon_info(
        &self,
        person: &Credential,
        own: &Credential,
        keytab: &Path,
    ) -> Result<Option<Vec<u8>>, GssError> {
        let (theirs, own, keytab) = (person.clone(), own.name().to_owned(), keytab.to_owned());
        let deadline = self.deadline();
        let running = self.start(Call::Initiate, deadline, move || read(&theirs, &own, &keytab)).await?;
        self.result(person.realm(), deadline, running).await
    }
}

fn read(person: &Credential, own: &str, keytab: &Path) -> Result<Option<Vec<u8>>, GssError> {
    realm_of(own)?;
    // Whoever is named as target is the account that made the ticket: libkrb5 takes the ticket at hand and asks nobody.
    let (_initiator, token) = initiator::initiate_to_principal(person, own)?;
    let keys = credential::acceptor_of_own_tokens(keytab)?;
    match Acceptor::new(&keys, None).step(&token)? {
        Accepted::Established(context, _) => {
            // INVARIANT: what one person's ticket says is never taken for another's.
            credential::verify(person.name(), Some(context.initiator_name()))?;
            context.pac()
        }
        Accepted::Continue(..) => Err(GssError::MissingFlags { missing: "an end".to_owned() }),
    }
}
