//! Reads file types out of the tree, with errors in the operator's words that never quote a value that could be a secret.

use super::tree::{Key, Node, Value};
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_path_to_error::Segment;
use std::fmt;

/// Why a value is not of its key's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrongType(String);

/// Reads a `T` from `node`, which stands at `key`.
///
/// # Errors
/// The key of the first value that does not fit, and why.
pub(super) fn read<T: DeserializeOwned>(node: &Node, key: &Key) -> Result<T, (Key, WrongType)> {
    serde_path_to_error::deserialize(node).map_err(|error| {
        let key = error.path().iter().fold(key.clone(), |key, segment| match segment {
            Segment::Seq { index } => key.index(*index),
            Segment::Map { key: name } | Segment::Enum { variant: name } => key.name(name),
            Segment::Unknown => key,
        });
        (key, error.into_inner())
    })
}

impl std::error::Error for WrongType {}

impl fmt::Display for WrongType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::de::Error for WrongType {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("{} stands where {expected} is needed", without_value(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = if let Unexpected::Unsigned(number) = found {
            number.to_string()
        } else if let Unexpected::Signed(number) = found {
            number.to_string()
        } else {
            without_value(found).to_owned()
        };
        Self(format!("{found} is out of range; it must be {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("this value does not exist; write one of {}", expected.join(", ")))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("there is no such key here; there are {}", expected.join(", ")))
    }

    fn missing_field(name: &'static str) -> Self {
        Self(format!("the key `{name}` is missing; add it"))
    }
}

fn without_value(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "a text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a map",
        Unexpected::NewtypeStruct
        | Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant
        | Unexpected::StructVariant
        | Unexpected::Other(_) => "something else",
    }
}

impl Node {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(_) => Unexpected::Other("number"),
            Value::Text(text) => Unexpected::Str(text),
            Value::List(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
        }
    }

    fn wrong(&self, expected: &dyn Expected) -> WrongType {
        match &self.value {
            Value::Number(_) => WrongType(format!("a number stands where {expected} is needed")),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                WrongType::invalid_type(self.unexpected(), expected)
            }
        }
    }

    fn integer<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, WrongType> {
        match &self.value {
            Value::Number(digits) => match (digits.parse::<u64>(), digits.parse::<i64>()) {
                (Ok(number), _) => visitor.visit_u64(number),
                (Err(_), Ok(number)) => visitor.visit_i64(number),
                (Err(_), Err(_)) => {
                    Err(WrongType("this is not a whole number in range; write plain digits".to_owned()))
                }
            },
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                Err(self.wrong(&"a whole number"))
            }
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WrongType> {
            self.integer(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = WrongType;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WrongType> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(_) => self.integer(visitor),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries { left: entries.iter(), value: None }),
        }
    }

    integers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WrongType> {
        match &self.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Null | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                Err(self.wrong(&"true or false"))
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WrongType> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => visitor.visit_borrowed_str(text),
            Value::Bool(value) => visitor.visit_str(if *value { "true" } else { "false" }),
            Value::Null | Value::List(_) | Value::Map(_) => Err(self.wrong(&"a text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WrongType> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WrongType> {
        if self.value == Value::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, WrongType> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WrongType> {
        match &self.value {
            Value::Null => visitor.visit_seq(Items([].iter())),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => Err(self.wrong(&"a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WrongType> {
        match &self.value {
            Value::Null => visitor.visit_map(Entries { left: [].iter(), value: None }),
            Value::Map(entries) => visitor.visit_map(Entries { left: entries.iter(), value: None }),
            Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => Err(self.wrong(&"a map")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WrongType> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WrongType> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => Err(self.wrong(&"a word")),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = WrongType;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, WrongType> {
        self.0.next().map(|node| seed.deserialize(node)).transpose()
    }
}

struct Entries<'de> {
    left: std::slice::Iter<'de, (String, Node)>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = WrongType;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, WrongType> {
        let Some((name, node)) = self.left.next() else { return Ok(None) };
        self.value = Some(node);
        seed.deserialize(name.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, WrongType> {
        let node = self.value.take().ok_or_else(|| WrongType::custom("a key has no value"))?;
        seed.deserialize(node)
    }
}

/// A value that is taken as it stands, to be looked at by hand.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsItStands)
    }
}

struct AsItStands;

impl<'de> Visitor<'de> for AsItStands {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(value) = access.next_element()? {
            items.push(Node { place: super::tree::Place::default(), value });
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            entries.push((name, Node { place: super::tree::Place::default(), value }));
        }
        Ok(Value::Map(entries))
    }
}
