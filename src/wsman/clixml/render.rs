//! Values as text, within bounds that references can't get around: each object within another shows at least its
//! brackets, so that the bound on the text bounds the work.

use super::{Base, Kind, Object, SEALED, Value};

/// For whom a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As the console shows results.
    Display,
    /// As a parameter would be typed; shows what is held rather than what it is called.
    Literal,
}

/// Writes a value, at most `rendered_bytes` of it.
pub(super) fn render(value: Value<'_>, style: Style) -> String {
    let limit = value.document.limits.rendered_bytes;
    let mut writer = Writer { text: String::new(), limit, style };
    if writer.value(value, 0).is_none() {
        writer.text.push('…');
    }
    writer.text
}

struct Writer {
    text: String,
    limit: usize,
    style: Style,
}

/// `None` where the bound was met.
type Written = Option<()>;

impl Writer {
    fn value(&mut self, value: Value<'_>, depth: usize) -> Written {
        if depth > MOST_DEPTH {
            return self.push("…");
        }
        match value.kind() {
            Kind::Nil if self.style == Style::Literal || depth > 0 => self.push("$null"),
            Kind::Nil => Some(()),
            Kind::Text(text) if self.style == Style::Display => self.push(text),
            Kind::Text(text) => self.quoted(text),
            Kind::Bool(true) if self.style == Style::Display => self.push("True"),
            Kind::Bool(false) if self.style == Style::Display => self.push("False"),
            Kind::Bool(true) => self.push("$true"),
            Kind::Bool(false) => self.push("$false"),
            Kind::Number(text) | Kind::Other(text) => self.push(text),
            Kind::Bytes(length) => self.push(&format!("[{length} bytes]")),
            Kind::Sealed => self.push(SEALED),
            Kind::Object(object) => self.object(value, object, depth),
            Kind::Alias(_) => self.push("…"),
        }
    }

    fn object(&mut self, value: Value<'_>, object: &Object, depth: usize) -> Written {
        match (&object.base, &object.display, self.style) {
            (Some(Base::Single(node)), Some(display), _) if is_number(value.at(*node)) => {
                self.push(display)?;
                if self.style == Style::Display {
                    return Some(());
                }
                self.push(" (")?;
                self.value(value.at(*node), depth + 1)?;
                self.push(")")
            }
            (Some(Base::Single(node)), _, _) => self.value(value.at(*node), depth),
            (Some(Base::List(items) | Base::Stack(items)), _, Style::Display) if depth == 0 => {
                self.all(value, items, "\n", depth)
            }
            (Some(Base::List(items) | Base::Stack(items)), _, _) => {
                self.push("@(")?;
                self.all(value, items, ", ", depth)?;
                self.push(")")
            }
            (Some(Base::Dictionary(pairs)), _, _) => self
                .pairs(pairs.iter().map(|(key, held)| (Key::Value(value.at(*key)), value.at(*held))), depth),
            (None, Some(display), Style::Display) => self.push(display),
            (None, Some(display), Style::Literal) if object.members.is_empty() => self.quoted(display),
            (None, _, _) => {
                let members = object.members.iter().map(|node| value.at(*node));
                self.pairs(
                    members.map(|member| (Key::Name(member.name().unwrap_or_default()), member)),
                    depth,
                )
            }
        }
    }

    fn all(&mut self, holder: Value<'_>, items: &[usize], between: &str, depth: usize) -> Written {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.push(between)?;
            }
            self.value(holder.at(*item), depth + 1)?;
        }
        Some(())
    }

    fn pairs<'d>(&mut self, pairs: impl Iterator<Item = (Key<'d>, Value<'d>)>, depth: usize) -> Written {
        self.push("@{")?;
        for (index, (key, held)) in pairs.enumerate() {
            if index > 0 {
                self.push("; ")?;
            }
            match key {
                Key::Name(name) => self.push(name)?,
                Key::Value(key) => self.value(key, depth + 1)?,
            }
            self.push("=")?;
            self.value(held, depth + 1)?;
        }
        self.push("}")
    }

    /// As PowerShell quotes: only where it has to.
    fn quoted(&mut self, text: &str) -> Written {
        let plain =
            |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '\\' | '/' | ':' | '-' | '*' | '+');
        if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
            return self.push(text);
        }
        self.push("'")?;
        for (index, part) in text.split('\'').enumerate() {
            self.push(if index > 0 { "''" } else { "" })?;
            self.push(part)?;
        }
        self.push("'")
    }

    fn push(&mut self, text: &str) -> Written {
        let room = self.limit.saturating_sub(self.text.len());
        let fits = text.floor_char_boundary(room);
        self.text.push_str(text.get(..fits).unwrap_or_default());
        (fits == text.len()).then_some(())
    }
}

enum Key<'d> {
    Name(&'d str),
    Value(Value<'d>),
}

fn is_number(value: Value<'_>) -> bool {
    matches!(value.kind(), Kind::Number(_))
}

/// Objects within objects that are shown.
const MOST_DEPTH: usize = 16;
