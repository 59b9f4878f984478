//! From XML to the nodes of a document.

use std::collections::HashMap;

use super::escape::unescape;
use super::{Base, ClixmlError, Document, Kind, Limits, Node, Object};
use crate::wsman::Charset;
use crate::wsman::limits::Limits as XmlLimits;
use crate::wsman::xml::{Scanner, Token, is_space};

/// Reads one document.
pub(super) fn read(content: &[u8], limits: &Limits) -> Result<Document, ClixmlError> {
    if content.len() > limits.bytes {
        return Err(ClixmlError::TooLarge { limit: limits.bytes });
    }
    let xml = XmlLimits { depth: limits.depth, attributes: 16, namespaces: 16, ..XmlLimits::default() };
    let scanner = Scanner::new(content, Charset::Utf8, &xml)?;
    let mut reader = Reader { scanner, limits, nodes: Vec::new(), ids: HashMap::new(), references: 0 };
    let root = reader.next_child()?.ok_or(ClixmlError::NotXml)?;
    reader.value(root)?;
    reader.end()?;
    Ok(Document { nodes: reader.nodes, limits: *limits, length: content.len() })
}

struct Reader<'x, 'l> {
    scanner: Scanner<'x>,
    limits: &'l Limits,
    nodes: Vec<Node>,
    /// The objects by their `RefId`.
    ids: HashMap<String, usize>,
    references: usize,
}

impl<'x> Reader<'x, '_> {
    /// Reads the value whose element was just opened. It recurses no deeper than `limits.depth`.
    fn value(&mut self, tag: &'x str) -> Result<usize, ClixmlError> {
        if self.nodes.len() >= self.limits.values {
            return Err(ClixmlError::TooManyValues { limit: self.limits.values });
        }
        let node = self.nodes.len();
        let name = self.scanner.attribute("N").map(|name| unescape(name).into());
        let id = self.scanner.attribute("RefId").map(str::to_owned);
        self.nodes.push(Node { name, kind: Kind::Nil });
        let kind = match tag {
            "Obj" => {
                if id.is_some_and(|id| self.ids.insert(id, node).is_some()) {
                    return Err(ClixmlError::RepeatedReference);
                }
                Kind::Object(self.object()?)
            }
            "Ref" => self.reference(id.as_deref())?,
            "SS" => {
                self.scanner.skip()?;
                Kind::Sealed
            }
            "PR" => {
                self.scanner.skip()?;
                Kind::Other("".into())
            }
            primitive => self.primitive(primitive)?,
        };
        if let Some(node) = self.nodes.get_mut(node) {
            node.kind = kind;
        }
        Ok(node)
    }

    fn reference(&mut self, id: Option<&str>) -> Result<Kind, ClixmlError> {
        self.references += 1;
        if self.references > self.limits.references {
            return Err(ClixmlError::TooManyReferences { limit: self.limits.references });
        }
        let target = id.and_then(|id| self.ids.get(id)).copied().ok_or(ClixmlError::UndefinedReference)?;
        if self.text()?.chars().all(is_space) { Ok(Kind::Alias(target)) } else { Err(ClixmlError::Element) }
    }

    /// [MS-PSRP] 2.2.5.1.
    fn primitive(&mut self, tag: &str) -> Result<Kind, ClixmlError> {
        let text = match tag {
            "Nil" | "S" | "B" | "BA" | "By" | "SB" | "U16" | "I16" | "U32" | "I32" | "U64" | "I64" | "Sg"
            | "Db" | "D" | "C" | "DT" | "TS" | "G" | "URI" | "Version" | "XD" | "SBK" => self.text()?,
            _ => return Err(ClixmlError::Element),
        };
        let trimmed = text.trim_matches(is_space);
        Ok(match tag {
            "Nil" if trimmed.is_empty() => Kind::Nil,
            "Nil" => return Err(ClixmlError::Shape { expected: "nothing" }),
            "S" => Kind::Text(unescape(&text).into()),
            "B" => match trimmed {
                "true" | "1" => Kind::Bool(true),
                "false" | "0" => Kind::Bool(false),
                _ => return Err(ClixmlError::Shape { expected: "a truth value" }),
            },
            "BA" => Kind::Bytes(trimmed.len() / 4 * 3),
            "By" | "SB" | "U16" | "I16" | "U32" | "I32" | "U64" | "I64" | "Sg" | "Db" | "D" => {
                Kind::Number(trimmed.into())
            }
            _ => Kind::Other(unescape(&text).into()),
        })
    }

    /// What is within `Obj`.
    fn object(&mut self) -> Result<Object, ClixmlError> {
        let mut object = Object::default();
        while let Some(tag) = self.next_child()? {
            let base = match tag {
                "TN" | "TNRef" => {
                    self.scanner.skip()?;
                    continue;
                }
                "MS" | "Props" => {
                    self.children(&mut object.members)?;
                    continue;
                }
                "ToString" => {
                    let display = unescape(&self.text()?).into();
                    if object.display.replace(display).is_some() {
                        return Err(ClixmlError::Ambiguous { name: "ToString" });
                    }
                    continue;
                }
                "LST" | "QUE" | "IE" => Base::List(self.list()?),
                "STK" => Base::Stack(self.list()?),
                "DCT" => Base::Dictionary(self.dictionary()?),
                "Ref" => return Err(ClixmlError::Element),
                // A value, or an object that this one wraps.
                single => Base::Single(self.value(single)?),
            };
            if object.base.replace(base).is_some() {
                return Err(ClixmlError::Shape { expected: "one base value" });
            }
        }
        Ok(object)
    }

    fn list(&mut self) -> Result<Vec<usize>, ClixmlError> {
        let mut items = Vec::new();
        self.children(&mut items)?;
        Ok(items)
    }

    fn children(&mut self, into: &mut Vec<usize>) -> Result<(), ClixmlError> {
        while let Some(tag) = self.next_child()? {
            into.push(self.value(tag)?);
        }
        Ok(())
    }

    fn dictionary(&mut self) -> Result<Vec<(usize, usize)>, ClixmlError> {
        let mut pairs = Vec::new();
        while let Some(tag) = self.next_child()? {
            let entry = if tag == "En" { self.list()? } else { return Err(ClixmlError::Element) };
            let named = |node: usize, name| {
                self.nodes.get(node).is_some_and(|node| node.name.as_deref() == Some(name))
            };
            match *entry {
                [key, value] if named(key, "Key") && named(value, "Value") => pairs.push((key, value)),
                _ => return Err(ClixmlError::Shape { expected: "a key with its value" }),
            }
        }
        Ok(pairs)
    }

    /// Opens the next element within the current one; `None` at its end.
    fn next_child(&mut self) -> Result<Option<&'x str>, ClixmlError> {
        loop {
            match self.scanner.next_token()? {
                Token::Open(name) => return Ok(Some(name.local)),
                Token::Close => return Ok(None),
                Token::Comment => {}
                Token::Text(text) if text.chars().all(is_space) => {}
                Token::Text(_) | Token::CData(_) | Token::Reference(_) | Token::End => {
                    return Err(ClixmlError::Element);
                }
            }
        }
    }

    /// The characters of the element just opened, comments left out and line ends as XML normalises them.
    fn text(&mut self) -> Result<String, ClixmlError> {
        let mut text = String::new();
        loop {
            match self.scanner.next_token()? {
                Token::Text(run) | Token::CData(run) if run.contains('\r') => {
                    text.push_str(&run.replace("\r\n", "\n").replace('\r', "\n"));
                }
                Token::Text(run) | Token::CData(run) => text.push_str(run),
                Token::Reference(c) => text.push(c),
                Token::Comment => {}
                Token::Close => return Ok(text),
                Token::Open(_) | Token::End => return Err(ClixmlError::Element),
            }
        }
    }

    /// Nothing may follow the root; the scanner sees to that.
    fn end(&mut self) -> Result<(), ClixmlError> {
        while self.scanner.next_token()? != Token::End {}
        Ok(())
    }
}
