//! Names, attributes and namespaces of one start tag.

use std::borrow::Cow;

use super::error::EnvelopeError;
use super::limits::Limits;
use super::names::{Ns, XML, XMLNS};
use super::xml::{Name, is_space, malformed, reference};

/// One attribute that is not a namespace declaration.
#[derive(Debug, Clone)]
pub(super) struct Attribute<'x> {
    pub(super) ns: Ns,
    pub(super) local: &'x str,
    pub(super) value: Cow<'x, str>,
    prefix: Option<&'x str>,
    /// Which declaration `ns` comes from, to compare namespaces that are not told apart by [`Ns`].
    bound_by: Option<usize>,
}

/// The namespace declarations in scope.
#[derive(Debug, Default)]
pub(super) struct Scope<'x> {
    bindings: Vec<Binding<'x>>,
    /// How many bindings there were before each open element.
    marks: Vec<usize>,
}

#[derive(Debug)]
struct Binding<'x> {
    prefix: Option<&'x str>,
    ns: Ns,
    uri: Cow<'x, str>,
}

impl<'x> Scope<'x> {
    /// Forgets what the element that ends had declared.
    pub(super) fn leave(&mut self) {
        if let Some(mark) = self.marks.pop() {
            self.bindings.truncate(mark);
        }
    }

    fn enter(&mut self) {
        self.marks.push(self.bindings.len());
    }

    fn declare(
        &mut self,
        prefix: Option<&'x str>,
        uri: Cow<'x, str>,
        limits: &Limits,
    ) -> Result<(), EnvelopeError> {
        let reserved = match prefix {
            Some("xmlns") => true,
            Some("xml") => uri != XML,
            Some(_) => uri.is_empty() || uri == XML || uri == XMLNS,
            None => uri == XML || uri == XMLNS,
        };
        if reserved {
            return Err(malformed("a reserved namespace"));
        }
        let mark = self.marks.last().copied().unwrap_or_default();
        if self.bindings.get(mark..).unwrap_or_default().iter().any(|b| b.prefix == prefix) {
            return Err(malformed("an attribute that is there twice"));
        }
        if self.bindings.len() >= limits.namespaces {
            return Err(EnvelopeError::TooManyNamespaces);
        }
        let ns = if uri.is_empty() { Ns::None } else { Ns::of(&uri) };
        self.bindings.push(Binding { prefix, ns, uri });
        Ok(())
    }

    /// The namespace of a prefix, and which declaration says so.
    fn resolve(&self, prefix: Option<&str>) -> Result<(Ns, Option<usize>), EnvelopeError> {
        if prefix == Some("xml") {
            return Ok((Ns::Xml, None));
        }
        match self.bindings.iter().enumerate().rev().find(|(_, b)| b.prefix == prefix) {
            Some((index, binding)) => Ok((binding.ns, Some(index))),
            None if prefix.is_none() => Ok((Ns::None, None)),
            None => Err(malformed("a prefix without namespace")),
        }
    }

    fn same_namespace(&self, a: &Attribute<'_>, b: &Attribute<'_>) -> bool {
        let uri = |index: Option<usize>| index.and_then(|i| self.bindings.get(i)).map(|b| b.uri.as_ref());
        a.prefix == b.prefix
            || (a.prefix.is_some() && b.prefix.is_some() && uri(a.bound_by) == uri(b.bound_by))
    }
}

/// Reads what stands between `<` and `>`: the element's name, resolved, and its attributes into `into`.
pub(super) fn read<'x>(
    tag: &'x str,
    scope: &mut Scope<'x>,
    into: &mut Vec<Attribute<'x>>,
    limits: &Limits,
) -> Result<Name<'x>, EnvelopeError> {
    into.clear();
    scope.enter();
    let (name, rest) = tag.split_at(tag.find(is_space).unwrap_or(tag.len()));
    let (prefix, local) = split(name)?;
    let mut pairs = Pairs::after_name(rest);
    let mut count = 0;
    while let Some((name, raw)) = pairs.next_pair()? {
        count += 1;
        if count > limits.attributes {
            return Err(EnvelopeError::TooManyAttributes);
        }
        let value = value_of(raw)?;
        match split(name)? {
            (None, "xmlns") => scope.declare(None, value, limits)?,
            (Some("xmlns"), declared) => scope.declare(Some(declared), value, limits)?,
            (prefix, local) => {
                into.push(Attribute { ns: Ns::None, local, value, prefix, bound_by: None });
            }
        }
    }
    resolve_all(scope, into)?;
    if prefix == Some("xmlns") {
        return Err(malformed("a reserved namespace"));
    }
    Ok(Name { ns: scope.resolve(prefix)?.0, local })
}

fn resolve_all(scope: &Scope<'_>, attributes: &mut [Attribute<'_>]) -> Result<(), EnvelopeError> {
    for attribute in attributes.iter_mut().filter(|a| a.prefix.is_some()) {
        (attribute.ns, attribute.bound_by) = scope.resolve(attribute.prefix)?;
    }
    let mut rest = &*attributes;
    while let Some((first, others)) = rest.split_first() {
        if others.iter().any(|other| other.local == first.local && scope.same_namespace(first, other)) {
            return Err(malformed("an attribute that is there twice"));
        }
        rest = others;
    }
    Ok(())
}

/// `name="value"` pairs, each after white space.
pub(super) struct Pairs<'x> {
    rest: &'x str,
}

impl<'x> Pairs<'x> {
    /// What follows the name of a tag.
    pub(super) const fn after_name(rest: &'x str) -> Self {
        Self { rest }
    }

    /// The next name with its raw value.
    pub(super) fn next_pair(&mut self) -> Result<Option<(&'x str, &'x str)>, EnvelopeError> {
        let bad = || malformed("an attribute");
        let rest = self.rest.trim_start_matches(is_space);
        if rest.is_empty() {
            return Ok(None);
        }
        if rest.len() == self.rest.len() {
            return Err(bad());
        }
        let (name, rest) = rest.split_once('=').ok_or_else(bad)?;
        let rest = rest.trim_start_matches(is_space);
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or_else(bad)?;
        let (value, rest) = rest.strip_prefix(quote).and_then(|r| r.split_once(quote)).ok_or_else(bad)?;
        self.rest = rest;
        Ok(Some((name.trim_end_matches(is_space), value)))
    }
}

/// An attribute's value with its references replaced and its white space as XML normalises it (section 3.3.3).
fn value_of(raw: &str) -> Result<Cow<'_, str>, EnvelopeError> {
    if raw.contains('<') {
        return Err(malformed("`<` in an attribute"));
    }
    if !raw.contains(['&', '\t', '\n', '\r']) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((head, tail)) = rest.split_once('&') {
        let (name, tail) = tail.split_once(';').ok_or(EnvelopeError::UnknownEntity)?;
        value.extend(head.chars().map(spaced));
        value.push(reference(name)?);
        rest = tail;
    }
    value.extend(rest.chars().map(spaced));
    Ok(Cow::Owned(value))
}

const fn spaced(c: char) -> char {
    if is_space(c) { ' ' } else { c }
}

/// Prefix and local name, both names by XML's rules.
fn split(name: &str) -> Result<(Option<&str>, &str), EnvelopeError> {
    let (prefix, local) = match name.split_once(':') {
        Some((prefix, local)) => (Some(prefix), local),
        None => (None, name),
    };
    if is_ncname(local) && prefix.is_none_or(is_ncname) {
        Ok((prefix, local))
    } else {
        Err(malformed("a name"))
    }
}

/// [Namespaces in XML 1.0] production 4.
fn is_ncname(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(starts_name) && chars.all(continues_name)
}

const fn starts_name(c: char) -> bool {
    matches!(c, 'A'..='Z' | '_' | 'a'..='z'
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

const fn continues_name(c: char) -> bool {
    starts_name(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}
