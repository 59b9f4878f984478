//! What is to run: `CREATE_PIPELINE` and `GET_COMMAND_METADATA` ([MS-PSRP] 2.2.2.10, 2.2.2.14, 2.2.3.11 to 2.2.3.13).

use std::fmt::Write as _;

use crate::wsman::clixml::{ClixmlError, Document, Value};

/// One `CREATE_PIPELINE` message.
///
/// PowerShell runs `ExtraCmds` where it is there, and `Cmds` otherwise; an honest client repeats its first statement in
/// `Cmds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// What runs, one after the other.
    pub statements: Vec<Statement>,
    /// What `Cmds` says where that is not the first statement that runs. Somebody wanted to mislead a reader.
    pub stray: Option<Statement>,
    /// Whether it runs within another pipeline, at a nested prompt.
    pub nested: bool,
    /// The text for the history, where the client sent any. Nothing runs it.
    pub history: Option<String>,
}

/// Commands that hand their output to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statement {
    /// In order.
    pub commands: Vec<Command>,
}

/// One command or script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The name of a command, or the text of a script.
    pub name: String,
    /// Whether `name` is a script.
    pub is_script: bool,
    /// In order.
    pub parameters: Vec<Parameter>,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; none for one that goes by its place.
    pub name: Option<String>,
    /// Its value as somebody would type it, bounded. `None` for null: a switch, or nothing.
    pub value: Option<String>,
}

/// One `GET_COMMAND_METADATA` message: a `Get-Command` that runs on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandQuery {
    /// The names that are looked for, each as somebody would type it.
    pub names: Option<String>,
    /// Which kinds, a sum of `CommandTypes`.
    pub kinds: Option<i64>,
    /// Of which modules.
    pub modules: Option<String>,
    /// Arguments that the commands would have.
    pub arguments: Option<String>,
}

impl Pipeline {
    pub(super) fn read(document: &Document) -> Result<Self, ClixmlError> {
        let mut allowance = Allowance::of(document);
        let shell = document.root().required("PowerShell")?;
        let first = Statement::read(shell, &mut allowance)?;
        let mut statements = Vec::new();
        if let Some(all) = shell.member("ExtraCmds")?.filter(|all| !all.is_nil()) {
            for statement in all.items()? {
                statements.push(Statement::read(statement, &mut allowance)?);
            }
        }
        let stray = match statements.first() {
            Some(runs) => (*runs != first).then_some(first),
            None => {
                statements.push(first);
                None
            }
        };
        Ok(Self {
            statements,
            stray,
            nested: shell.member("IsNested")?.and_then(Value::as_bool).unwrap_or_default(),
            history: shell.member("History")?.and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// Whether every command is a name: nothing of it is a script.
    #[must_use]
    pub fn is_commands_only(&self) -> bool {
        self.commands().all(|command| !command.is_script)
    }

    /// Every command, in the order in which they stand; of `stray` as well.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        self.statements.iter().chain(&self.stray).flat_map(|statement| &statement.commands)
    }

    /// As somebody would type it, roughly: scripts as they are, one statement to a line.
    #[must_use]
    pub fn text(&self) -> String {
        self.statements.iter().map(Statement::text).collect::<Vec<_>>().join("\n")
    }
}

impl Statement {
    /// From anything that has `Cmds`.
    fn read(holder: Value<'_>, allowance: &mut Allowance) -> Result<Self, ClixmlError> {
        allowance.take(size_of::<Self>())?;
        let items = holder.required("Cmds")?.items()?;
        let commands = items.map(|command| Command::read(command, allowance)).collect::<Result<_, _>>()?;
        Ok(Self { commands })
    }

    /// As somebody would type it, roughly.
    #[must_use]
    pub fn text(&self) -> String {
        self.commands.iter().map(Command::text).collect::<Vec<_>>().join(" | ")
    }
}

impl Command {
    fn read(command: Value<'_>, allowance: &mut Allowance) -> Result<Self, ClixmlError> {
        let name = command.required("Cmd")?.as_str().ok_or(ClixmlError::Missing { name: "Cmd" })?;
        let is_script =
            command.required("IsScript")?.as_bool().ok_or(ClixmlError::Missing { name: "IsScript" })?;
        allowance.take(size_of::<Self>() + name.len())?;
        let mut parameters = Vec::new();
        if let Some(all) = command.member("Args")?.filter(|all| !all.is_nil()) {
            for parameter in all.items()? {
                let parameter = Parameter::read(parameter)?;
                let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
                allowance
                    .take(size_of::<Parameter>() + length(&parameter.name) + length(&parameter.value))?;
                parameters.push(parameter);
            }
        }
        Ok(Self { name: name.to_owned(), is_script, parameters })
    }

    /// As somebody would type it, roughly.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.name.clone();
        for parameter in &self.parameters {
            if let Some(name) = &parameter.name {
                let dash = if name.starts_with('-') { "" } else { "-" };
                // Writing to a `String` can't fail.
                let _ = write!(text, " {dash}{name}");
            }
            if let Some(value) = &parameter.value {
                let _ = write!(text, " {value}");
            } else if parameter.name.is_none() {
                text.push_str(" $null");
            }
        }
        text
    }
}

impl Parameter {
    fn read(parameter: Value<'_>) -> Result<Self, ClixmlError> {
        let name = match parameter.member("N")? {
            Some(name) if !name.is_nil() => {
                Some(name.as_str().ok_or(ClixmlError::Missing { name: "N" })?.to_owned())
            }
            Some(_) | None => None,
        };
        Ok(Self { name, value: literal(parameter, "V")? })
    }
}

impl CommandQuery {
    pub(super) fn read(root: Value<'_>) -> Result<Self, ClixmlError> {
        Ok(Self {
            names: literal(root, "Name")?,
            kinds: root.member("CommandType")?.and_then(Value::as_i64),
            modules: literal(root, "Namespace")?,
            arguments: literal(root, "ArgumentList")?,
        })
    }

    /// As somebody would type it, roughly.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from("Get-Command");
        let kinds = self.kinds.map(|kinds| kinds.to_string());
        for (name, value) in [
            ("Name", &self.names),
            ("CommandType", &kinds),
            ("Module", &self.modules),
            ("ArgumentList", &self.arguments),
        ] {
            if let Some(value) = value {
                let _ = write!(text, " -{name} {value}");
            }
        }
        text
    }
}

/// How much may still be made of a document.
struct Allowance {
    left: usize,
    whole: usize,
}

impl Allowance {
    const fn of(document: &Document) -> Self {
        Self { left: document.allowance(), whole: document.allowance() }
    }

    fn take(&mut self, bytes: usize) -> Result<(), ClixmlError> {
        self.left = self.left.checked_sub(bytes).ok_or(ClixmlError::TooLarge { limit: self.whole })?;
        Ok(())
    }
}

/// A member as somebody would type it; `None` where it is null or missing.
fn literal(holder: Value<'_>, name: &'static str) -> Result<Option<String>, ClixmlError> {
    Ok(holder.member(name)?.filter(|value| !value.is_nil()).map(Value::literal))
}
