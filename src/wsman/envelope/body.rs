//! The body: at most one element, and the few names in it that say whose shell, command or enumeration it is.

use super::super::error::EnvelopeError;
use super::super::ids::{CommandId, EnumerationContext, ShellId};
use super::super::names::Ns;
use super::super::xml::{Name, Scanner, Token, is_space};

/// What the body of a request says.
#[derive(Debug, Default)]
pub(super) struct BodyFacts<'x> {
    /// The one element in it.
    pub(super) root: Option<Name<'x>>,
    pub(super) shell_id: Option<ShellId>,
    pub(super) command_id: Option<CommandId>,
    pub(super) enumeration_context: Option<EnumerationContext>,
    /// Whether an element that may carry a command id was there without one.
    whole_shell: bool,
}

impl<'x> BodyFacts<'x> {
    /// Reads the children of `s:Body`, whose start tag was just passed.
    pub(super) fn read(scanner: &mut Scanner<'x>) -> Result<Self, EnvelopeError> {
        let mut facts = Self::default();
        let body = scanner.depth();
        while scanner.depth() >= body {
            let depth = scanner.depth();
            match scanner.next_token()? {
                Token::Open(name) => facts.element(name, depth - body, scanner)?,
                Token::Close | Token::Comment => {}
                Token::Text(text) if depth > body || text.chars().all(is_space) => {}
                Token::CData(_) | Token::Reference(_) if depth > body => {}
                Token::Text(_) | Token::CData(_) | Token::Reference(_) | Token::End => {
                    return Err(EnvelopeError::EnvelopeShape);
                }
            }
        }
        Ok(facts)
    }

    /// The same without what borrows from the text.
    pub(super) fn owned(self) -> BodyFacts<'static> {
        BodyFacts {
            root: None,
            shell_id: self.shell_id,
            command_id: self.command_id,
            enumeration_context: self.enumeration_context,
            whole_shell: self.whole_shell,
        }
    }

    fn element(
        &mut self,
        name: Name<'x>,
        level: usize,
        scanner: &mut Scanner<'x>,
    ) -> Result<(), EnvelopeError> {
        if name.ns == Ns::Soap || name.is(Ns::Addressing, "Action") {
            return Err(EnvelopeError::HeaderInBody);
        }
        if name.ns == Ns::OtherSoap {
            return Err(EnvelopeError::OtherSoap);
        }
        if name.ns == Ns::OtherAddressing {
            return Err(EnvelopeError::OtherAddressing);
        }
        match (level, self.root) {
            (0, None) => {
                self.root = Some(name);
                self.names_of_root(name, scanner)
            }
            (0, Some(_)) => Err(EnvelopeError::EnvelopeShape),
            (1, Some(root)) => self.names_of_child(root, name, scanner),
            _ => Ok(()),
        }
    }

    fn names_of_root(&mut self, root: Name<'x>, scanner: &Scanner<'x>) -> Result<(), EnvelopeError> {
        if root.ns != Ns::Shell {
            return Ok(());
        }
        match root.local {
            "Shell" => {
                let invalid = |_| EnvelopeError::InvalidHeader { header: "ShellId" };
                self.shell_id =
                    scanner.plain_attribute("ShellId")?.map(str::parse).transpose().map_err(invalid)?;
                Ok(())
            }
            "CommandLine" | "Signal" | "Connect" | "Disconnect" | "Reconnect" => self.command(scanner),
            _ => Ok(()),
        }
    }

    fn names_of_child(
        &mut self,
        root: Name<'x>,
        name: Name<'x>,
        scanner: &mut Scanner<'x>,
    ) -> Result<(), EnvelopeError> {
        match (root.ns, root.local, name.ns, name.local) {
            (Ns::Shell, "Send", Ns::Shell, "Stream") | (Ns::Shell, "Receive", Ns::Shell, "DesiredStream") => {
                self.command(scanner)
            }
            // The answer's way of naming a shell; a host may read it in a request as well.
            (Ns::Shell, "Shell", Ns::Shell, "ShellId") => {
                let header = "ShellId";
                let wanted: ShellId = scanner
                    .plain_text(header)?
                    .parse()
                    .map_err(|_| EnvelopeError::InvalidHeader { header })?;
                match self.shell_id.replace(wanted.clone()) {
                    Some(known) if known != wanted => Err(EnvelopeError::ShellIdsDisagree),
                    Some(_) | None => Ok(()),
                }
            }
            (Ns::Enumeration, "Pull" | "Release", Ns::Enumeration, "EnumerationContext") => {
                let header = "EnumerationContext";
                let invalid = |_| EnvelopeError::InvalidHeader { header };
                let context = scanner.plain_text(header)?.parse().map_err(invalid)?;
                match self.enumeration_context.replace(context) {
                    Some(_) => Err(EnvelopeError::DuplicateHeader { header }),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Takes the command id of the element just opened; all of them in one body are the same.
    fn command(&mut self, scanner: &Scanner<'_>) -> Result<(), EnvelopeError> {
        let invalid = |_| EnvelopeError::InvalidHeader { header: "CommandId" };
        let found: Option<CommandId> =
            scanner.plain_attribute("CommandId")?.map(str::parse).transpose().map_err(invalid)?;
        let agrees = match (&self.command_id, &found) {
            (Some(known), Some(found)) => known == found,
            (None, Some(_)) => !self.whole_shell,
            (known, None) => known.is_none(),
        };
        if !agrees {
            return Err(EnvelopeError::CommandIdsDisagree);
        }
        self.whole_shell |= found.is_none();
        self.command_id = found.or_else(|| self.command_id.take());
        Ok(())
    }
}
