//! JSON that is read to the letter: what is derived for a struct would take its members from a list as well, in their
//! order.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, Value};
use serde_path_to_error::Path;

/// A JSON value, none of whose objects has a member twice.
#[derive(Clone, Debug)]
pub(crate) enum Strict {
    Plain(Value),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl Strict {
    /// Reads a value; an error comes with where it was.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, (Path, Error)> {
        serde_path_to_error::deserialize(self).map_err(|error| (error.path().clone(), error.into_inner()))
    }
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict::Plain(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
        Ok(Strict::Plain(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict::Plain(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Strict::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        let mut object = BTreeMap::new();
        while let Some((name, value)) = members.next_entry::<String, Strict>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{name} is there twice")));
            }
            object.insert(name, value);
        }
        Ok(Strict::Object(object))
    }
}

impl IntoDeserializer<'_, Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Plain(value) => value.deserialize_any(visitor),
            Self::List(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Self::Object(members) => visitor.visit_map(MapDeserializer::new(members.into_iter())),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let found = match &self {
            Self::Object(_) => return self.deserialize_any(visitor),
            Self::List(_) => Unexpected::Seq,
            Self::Plain(Value::Null) => Unexpected::Unit,
            Self::Plain(Value::Bool(value)) => Unexpected::Bool(*value),
            Self::Plain(Value::String(text)) => Unexpected::Str(text),
            Self::Plain(_) => Unexpected::Other("number"),
        };
        Err(Error::invalid_type(found, &"an object"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Plain(Value::Null) => visitor.visit_none(),
            there => visitor.visit_some(there),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        // No enum of a body has data in it.
        match self {
            Self::Plain(value) => value.deserialize_enum(name, variants, visitor),
            Self::List(_) => Err(Error::invalid_type(Unexpected::Seq, &"a string")),
            Self::Object(_) => Err(Error::invalid_type(Unexpected::Map, &"a string")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        inner: Option<Inner>,
        #[serde(default)]
        more: Vec<Inner>,
        kind: Option<Kind>,
        #[serde(default)]
        labels: BTreeMap<String, String>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        count: i64,
    }

    #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
    enum Kind {
        One,
    }

    fn read(json: &str) -> Result<Outer, String> {
        let strict: Strict = serde_json::from_str(json).map_err(|error| error.to_string())?;
        strict.read().map_err(|(path, error)| format!("{path}: {error}"))
    }

    #[test]
    fn what_is_an_object_is_read() {
        let outer = read(r#"{"inner": {"count": -5}, "more": [{"count": 1}], "kind": "One"}"#).unwrap();
        let (inner, more) = (Some(Inner { count: -5 }), vec![Inner { count: 1 }]);
        assert_eq!(outer, Outer { inner, more, kind: Some(Kind::One), ..Outer::default() });
        assert_eq!(read(r#"{"inner": null}"#).unwrap(), Outer::default());
    }

    #[test]
    fn a_list_is_no_object_and_a_member_is_there_once() {
        for (json, error) in [
            ("[]", ".: invalid type: sequence, expected an object"),
            ("null", ".: invalid type: null, expected an object"),
            (r#"{"inner": [5]}"#, "inner: invalid type: sequence, expected an object"),
            (r#"{"inner": 5}"#, "inner: invalid type: number, expected an object"),
            (r#"{"inner": "a"}"#, "inner: invalid type: string \"a\", expected an object"),
            (r#"{"more": [{"count": 1}, [2]]}"#, "more[1]: invalid type: sequence, expected an object"),
            (r#"{"more": {}}"#, "more: invalid type: map, expected a sequence"),
            (r#"{"kind": ["One"]}"#, "kind: invalid type: sequence, expected a string"),
            (r#"{"kind": {"One": null}}"#, "kind: invalid type: map, expected a string"),
            (r#"{"kind": "Two"}"#, "kind: unknown variant `Two`, expected `One`"),
            (r#"{"inner": {"count": 1}, "inner": {"count": 2}}"#, "inner is there twice"),
            (r#"{"labels": null}"#, "labels: invalid type: null, expected an object"),
            (r#"{"labels": ["a"]}"#, "labels: invalid type: sequence, expected an object"),
            (r#"{"inner": {"count": 1.5}}"#, "inner.count: invalid type: floating point `1.5`, expected i64"),
            (
                r#"{"more": [], "other": 1}"#,
                "other: unknown field `other`, expected one of `inner`, `more`, `kind`, `labels`",
            ),
        ] {
            let found = read(json).unwrap_err();
            assert!(found.contains(error), "{json}: {found}");
        }
    }
}
