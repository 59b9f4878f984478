//! Calls to the client's user interface and their answers ([MS-PSRP] 2.2.2.15, 2.2.2.16, 2.2.3.17).

use crate::wsman::clixml::{ClixmlError, Value};

/// The host asks for something to be shown or typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCall {
    /// The number that its answer has.
    pub call: i64,
    /// The number of the method.
    pub method: i64,
    /// What is written to the console, where the method writes.
    pub written: Option<String>,
    /// All parameters as somebody would type them, bounded.
    pub parameters: String,
}

/// What the client answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostResponse {
    /// The number of the call.
    pub call: i64,
    /// The number of the method.
    pub method: i64,
    /// What was typed or chosen, bounded; none where nothing was, or an error came.
    pub result: Option<String>,
    /// The error.
    pub error: Option<String>,
}

impl HostCall {
    pub(super) fn read(root: Value<'_>) -> Result<Self, ClixmlError> {
        let (call, method) = numbers(root)?;
        let parameters = root.required("mp")?;
        let last = parameters.items()?.last();
        let newline = if WRITES_A_LINE.contains(&method) { "\n" } else { "" };
        let written = (newline == "\n" || WRITES.contains(&method))
            .then(|| last.map_or_else(String::new, Value::display) + newline);
        Ok(Self { call, method, written, parameters: parameters.literal() })
    }

    /// The name of the method.
    #[must_use]
    pub fn name(&self) -> &'static str {
        method_name(self.method)
    }
}

impl HostResponse {
    pub(super) fn read(root: Value<'_>) -> Result<Self, ClixmlError> {
        let (call, method) = numbers(root)?;
        let held = |name| root.member(name).map(|value| value.filter(|value| !value.is_nil()));
        Ok(Self {
            call,
            method,
            result: held("mr")?.map(Value::display),
            error: held("me")?.map(Value::display),
        })
    }

    /// The name of the method.
    #[must_use]
    pub fn name(&self) -> &'static str {
        method_name(self.method)
    }
}

fn numbers(root: Value<'_>) -> Result<(i64, i64), ClixmlError> {
    let number = |name| root.required(name)?.as_i64().ok_or(ClixmlError::Missing { name });
    Ok((number("ci")?, number("mi")?))
}

fn method_name(number: i64) -> &'static str {
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    index.and_then(|index| METHODS.get(index)).copied().unwrap_or("Other")
}

/// `Write1`, `Write2`.
const WRITES: [i64; 2] = [13, 14];
/// `WriteLine1` to `WriteDebugLine`, `WriteVerboseLine`, `WriteWarningLine`. The text is the last parameter.
const WRITES_A_LINE: [i64; 7] = [15, 16, 17, 18, 19, 21, 22];

/// From 1 on.
const METHODS: [&str; 56] = [
    "GetName",
    "GetVersion",
    "GetInstanceId",
    "GetCurrentCulture",
    "GetCurrentUICulture",
    "SetShouldExit",
    "EnterNestedPrompt",
    "ExitNestedPrompt",
    "NotifyBeginApplication",
    "NotifyEndApplication",
    "ReadLine",
    "ReadLineAsSecureString",
    "Write1",
    "Write2",
    "WriteLine1",
    "WriteLine2",
    "WriteLine3",
    "WriteErrorLine",
    "WriteDebugLine",
    "WriteProgress",
    "WriteVerboseLine",
    "WriteWarningLine",
    "Prompt",
    "PromptForCredential1",
    "PromptForCredential2",
    "PromptForChoice",
    "GetForegroundColor",
    "SetForegroundColor",
    "GetBackgroundColor",
    "SetBackgroundColor",
    "GetCursorPosition",
    "SetCursorPosition",
    "GetWindowPosition",
    "SetWindowPosition",
    "GetCursorSize",
    "SetCursorSize",
    "GetBufferSize",
    "SetBufferSize",
    "GetWindowSize",
    "SetWindowSize",
    "GetWindowTitle",
    "SetWindowTitle",
    "GetMaxWindowSize",
    "GetMaxPhysicalWindowSize",
    "GetKeyAvailable",
    "ReadKey",
    "FlushInputBuffer",
    "SetBufferContents1",
    "SetBufferContents2",
    "GetBufferContents",
    "ScrollBufferContents",
    "PushRunspace",
    "PopRunspace",
    "GetIsRunspacePushed",
    "GetRunspace",
    "PromptForChoiceMultipleSelection",
];
