//! CLIXML: what PowerShell makes of objects ([MS-PSRP] 2.2.5).
//!
//! Comes in: the content of one message. Goes out: a [`Document`], whose [`Value`]s are looked up by name as PowerShell
//! looks them up: by local element name, without regard to namespaces, member names without regard to case, through
//! references, and the base value of an object before the text it goes by. What could be read in two ways is an error.
//!
//! INVARIANT: time and memory are linear in the input, and rendering is bounded whatever the references say.
//!
//! INVARIANT: what is in a `SecureString` is never kept; it is shown as [`SEALED`].

mod error;
mod escape;
mod reader;
mod render;

pub use self::error::ClixmlError;

/// How much of one document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the document.
    pub bytes: usize,
    /// Elements within elements. PowerShell writes about three for each object within an object.
    pub depth: usize,
    /// Objects and values.
    pub values: usize,
    /// `Ref` elements.
    pub references: usize,
    /// Bytes of one value where it is rendered as text.
    pub rendered_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 16 * 1024 * 1024,
            depth: 128,
            values: 200_000,
            references: 10_000,
            rendered_bytes: 16 * 1024,
        }
    }
}

/// One object with all it holds.
#[derive(Debug)]
pub struct Document {
    nodes: Vec<Node>,
    limits: Limits,
    /// Bytes that it was read from.
    length: usize,
}

#[derive(Debug)]
struct Node {
    name: Option<Box<str>>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Nil,
    /// `S`.
    Text(Box<str>),
    Bool(bool),
    Number(Box<str>),
    /// Other values, as they are written: dates, versions, script blocks.
    Other(Box<str>),
    /// A byte array, of this length in base64.
    Bytes(usize),
    Sealed,
    Object(Object),
    /// Another node, an object; it may be one that this one is within.
    Alias(usize),
}

#[derive(Debug, Default)]
struct Object {
    display: Option<Box<str>>,
    base: Option<Base>,
    members: Vec<usize>,
}

#[derive(Debug)]
enum Base {
    Single(usize),
    List(Vec<usize>),
    Stack(Vec<usize>),
    Dictionary(Vec<(usize, usize)>),
}

impl Document {
    /// Reads the content of a message, without byte order mark.
    ///
    /// # Errors
    ///
    /// One [`ClixmlError`] per reason; nothing of a refused document is known.
    pub fn parse(content: &[u8], limits: &Limits) -> Result<Self, ClixmlError> {
        reader::read(content, limits)
    }

    /// The outermost value.
    #[must_use]
    pub const fn root(&self) -> Value<'_> {
        Value { document: self, node: 0 }
    }

    /// How many bytes may be made of it. References let a short document say a long text many times; no honest one
    /// comes near this.
    pub(in crate::wsman) const fn allowance(&self) -> usize {
        self.length.saturating_mul(4).saturating_add(64 * 1024)
    }
}

/// One value within a document.
#[derive(Debug, Clone, Copy)]
pub struct Value<'d> {
    document: &'d Document,
    node: usize,
}

impl<'d> Value<'d> {
    /// The member of an object, extended or adapted, by its name; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`ClixmlError::Ambiguous`] where there are two.
    pub fn member(self, name: &'static str) -> Result<Option<Self>, ClixmlError> {
        let named =
            |member: &Value<'_>| member.name().is_some_and(|of_member| of_member.eq_ignore_ascii_case(name));
        let members = self.layers().flat_map(|object| &object.members).map(|node| self.at(*node));
        let mut found = members.filter(named);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(ClixmlError::Ambiguous { name }),
            (only, _) => Ok(only),
        }
    }

    /// The member that has to be there.
    ///
    /// # Errors
    ///
    /// As [`Value::member`], and [`ClixmlError::Missing`].
    pub fn required(self, name: &'static str) -> Result<Self, ClixmlError> {
        self.member(name)?.ok_or(ClixmlError::Missing { name })
    }

    /// The name of a member.
    #[must_use]
    pub fn name(self) -> Option<&'d str> {
        self.document.nodes.get(self.node).and_then(|node| node.name.as_deref())
    }

    /// The items of a list, a queue or a sequence.
    ///
    /// # Errors
    ///
    /// [`ClixmlError::Shape`] for anything else; also for a stack, whose order is not the written one.
    pub fn items(self) -> Result<impl Iterator<Item = Self>, ClixmlError> {
        match self.layers().last().and_then(|object| object.base.as_ref()) {
            Some(Base::List(items)) => Ok(items.iter().map(move |node| self.at(*node))),
            Some(Base::Single(_) | Base::Stack(_) | Base::Dictionary(_)) | None => {
                Err(ClixmlError::Shape { expected: "a list" })
            }
        }
    }

    /// A string.
    #[must_use]
    pub fn as_str(self) -> Option<&'d str> {
        if let Kind::Text(text) = self.base() { Some(text) } else { None }
    }

    /// A truth value.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        if let Kind::Bool(value) = self.base() { Some(*value) } else { None }
    }

    /// A whole number.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        if let Kind::Number(text) = self.base() { text.parse().ok() } else { None }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_nil(self) -> bool {
        matches!(self.base(), Kind::Nil)
    }

    /// As somebody at the console would see it, roughly; bounded, and cut with `…`.
    #[must_use]
    pub fn display(self) -> String {
        render::render(self, render::Style::Display)
    }

    /// As somebody would type it, roughly; bounded, and cut with `…`. What an object claims to be called does not
    /// replace what it holds.
    #[must_use]
    pub fn literal(self) -> String {
        render::render(self, render::Style::Literal)
    }

    const fn at(self, node: usize) -> Self {
        Self { document: self.document, node }
    }

    fn kind(self) -> &'d Kind {
        let kind = |node: usize| self.document.nodes.get(node).map_or(&Kind::Nil, |node| &node.kind);
        let own = kind(self.node);
        if let Kind::Alias(target) = own { kind(*target) } else { own }
    }

    /// The value itself, or the single value that an object wraps.
    fn base(self) -> &'d Kind {
        match self.layers().last() {
            Some(Object { base: Some(Base::Single(node)), .. }) => self.at(*node).kind(),
            Some(_) | None => self.kind(),
        }
    }

    /// The object and those that it wraps, from the outside in. None can wrap itself: a reference wraps nothing.
    fn layers(self) -> impl Iterator<Item = &'d Object> {
        let object =
            move |node| if let Kind::Object(object) = self.at(node).kind() { Some(object) } else { None };
        std::iter::successors(object(self.node), move |outer| match outer.base {
            Some(Base::Single(node)) => object(node),
            Some(Base::List(_) | Base::Stack(_) | Base::Dictionary(_)) | None => None,
        })
    }
}

/// What stands for the content of a `SecureString`.
pub const SEALED: &str = "«sealed»";

#[cfg(test)]
mod tests;
