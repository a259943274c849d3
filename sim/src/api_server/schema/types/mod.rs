//! The Go types of the built-in kinds: which fields they have, how Go reads and writes them, and how a strategic merge patch
//! treats them. `go_types.txt` is written by `generate.go` from `k8s.io/api` 0.37.2.

use std::{collections::BTreeMap, sync::LazyLock};

/// All of them.
#[derive(Debug, Default)]
pub struct Types {
    kinds: BTreeMap<(&'static str, &'static str, &'static str), &'static str>,
    structs: BTreeMap<&'static str, Struct>,
}

/// A Go struct.
#[derive(Debug, Default)]
pub struct Struct {
    /// As `/openapi` names it: `io.k8s.api.core.v1.PodSpec`.
    pub name: &'static str,
    /// In Go's order.
    pub fields: Vec<Field>,
}

/// A field of a Go struct, with what its tags say.
#[derive(Debug)]
pub struct Field {
    /// Its JSON name.
    pub name: &'static str,
    /// What it holds.
    pub of: GoType,
    /// Whether it is left out when it is empty.
    pub keep: Keep,
    /// `patchStrategy:"merge"`
    pub merge: bool,
    /// `patchStrategy:"replace"`
    pub replace: bool,
    /// `patchStrategy:"retainKeys"`
    pub retain_keys: bool,
    /// `patchMergeKey:"name"`
    pub merge_key: Option<&'static str>,
}

/// When a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Always.
    Always,
    /// Unless empty: zero, `""`, `false`, no items, no pointer. A struct is never empty.
    OmitEmpty,
    /// Unless empty or a struct without anything in it.
    OmitZero,
}

/// What a field holds.
#[derive(Debug, PartialEq, Eq)]
pub enum GoType {
    /// `bool`
    Bool,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `float64`
    Float64,
    /// A string, with its name if it has one: `v1.RestartPolicy`.
    String(&'static str),
    /// `[]byte`: base64 in JSON.
    Bytes,
    /// What may be absent.
    Pointer(Box<GoType>),
    /// A list.
    Slice(Box<GoType>),
    /// By strings.
    Map(Box<GoType>),
    /// A struct, by its name.
    Struct(&'static str),
    /// `meta/v1.Time`, in seconds.
    Time,
    /// `meta/v1.MicroTime`, in microseconds.
    MicroTime,
    /// `resource.Quantity`
    Quantity,
    /// `intstr.IntOrString`
    IntOrString,
    /// `JSONSchemaProps`, or a boolean.
    SchemaOrBool,
    /// `JSONSchemaProps`, or a list of them.
    SchemaOrArray,
    /// `JSONSchemaProps`, or a list of strings.
    SchemaOrStringArray,
    /// Anything: `JSON`, `RawExtension`, `FieldsV1`.
    Any,
}

/// The name of the type that describes schemas of custom kinds.
pub const JSON_SCHEMA_PROPS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// All types of the built-in kinds.
pub static TYPES: LazyLock<Types> = LazyLock::new(|| Types::read(include_str!("go_types.txt")));

impl Types {
    fn read(text: &'static str) -> Self {
        let mut types = Self::default();
        let mut current = Struct::default();
        for line in text.lines() {
            let words: Vec<&'static str> = line.split(' ').collect();
            match words[..] {
                ["kind", group, version, kind, name] => {
                    let group = if group == "core" { "" } else { group };
                    types.kinds.insert((group, version, kind), name);
                }
                ["type", name] => {
                    let done = std::mem::replace(&mut current, Struct { name, fields: Vec::new() });
                    types.structs.insert(done.name, done);
                }
                ["", name, of, keep, ref tags @ ..] => current.fields.push(Field {
                    name,
                    of: GoType::read(of),
                    keep: match keep {
                        "omitempty" => Keep::OmitEmpty,
                        "omitzero" => Keep::OmitZero,
                        _ => Keep::Always,
                    },
                    merge: tags.iter().any(|tag| matches!(*tag, "strategy=merge" | "strategy=merge,retainKeys")),
                    replace: tags.contains(&"strategy=replace"),
                    retain_keys: tags.iter().any(|tag| tag.contains("retainKeys")),
                    merge_key: tags.iter().find_map(|tag| tag.strip_prefix("key=")),
                }),
                _ => {}
            }
        }
        types.structs.insert(current.name, current);
        types
    }

    /// The struct of a kind.
    #[must_use]
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<&Struct> {
        self.kinds.get(&(group, version, kind)).and_then(|name| self.structs.get(name))
    }

    /// A struct by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Struct> {
        self.structs.get(name)
    }

    /// Group, version and kind of all built-in kinds.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> + '_ {
        self.kinds.keys().copied()
    }
}

impl Struct {
    /// A field by its JSON name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// As Go names it without its package: `PodSpec`.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or_default()
    }
}

impl GoType {
    fn read(text: &'static str) -> Self {
        if let Some(to) = text.strip_prefix('*') {
            return Self::Pointer(Box::new(Self::read(to)));
        }
        if let Some(of) = text.strip_prefix("[]") {
            return Self::Slice(Box::new(Self::read(of)));
        }
        if let Some(of) = text.strip_prefix("map:") {
            return Self::Map(Box::new(Self::read(of)));
        }
        if let Some(special) = text.strip_prefix("special:") {
            return match special.rsplit('.').next() {
                Some("Time") => Self::Time,
                Some("MicroTime") => Self::MicroTime,
                Some("Quantity") => Self::Quantity,
                Some("IntOrString") => Self::IntOrString,
                Some("JSONSchemaPropsOrBool") => Self::SchemaOrBool,
                Some("JSONSchemaPropsOrArray") => Self::SchemaOrArray,
                Some("JSONSchemaPropsOrStringArray") => Self::SchemaOrStringArray,
                _ => Self::Any,
            };
        }
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "bool" => Self::Bool,
            "int32" => Self::Int32,
            "int64" | "int" => Self::Int64,
            "float64" => Self::Float64,
            "string" => Self::String(if name.is_empty() { "string" } else { name }),
            "bytes" => Self::Bytes,
            name if name.starts_with("io.k8s.") => Self::Struct(name),
            _ => Self::Any,
        }
    }

    /// As Go's messages name it: `[]v1.Container`.
    #[must_use]
    pub fn go_name(&self) -> String {
        match self {
            Self::Bool => "bool".into(),
            Self::Int32 => "int32".into(),
            Self::Int64 => "int64".into(),
            Self::Float64 => "float64".into(),
            Self::String(name) => (*name).into(),
            Self::Bytes => "[]uint8".into(),
            Self::Pointer(to) => to.go_name(),
            Self::Slice(of) => format!("[]{}", of.go_name()),
            Self::Map(of) => format!("map[string]{}", of.go_name()),
            Self::Struct(name) => {
                let mut parts = name.rsplit('.');
                let (name, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                format!("{package}.{name}")
            }
            Self::Time => "v1.Time".into(),
            Self::MicroTime => "v1.MicroTime".into(),
            Self::Quantity => "resource.Quantity".into(),
            Self::IntOrString => "intstr.IntOrString".into(),
            Self::SchemaOrBool => "v1.JSONSchemaPropsOrBool".into(),
            Self::SchemaOrArray => "v1.JSONSchemaPropsOrArray".into(),
            Self::SchemaOrStringArray => "v1.JSONSchemaPropsOrStringArray".into(),
            Self::Any => "v1.JSON".into(),
        }
    }

    /// What it points to, or itself.
    #[must_use]
    pub fn pointee(&self) -> &Self {
        match self {
            Self::Pointer(to) => to.pointee(),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_of_a_type_that_is_known() {
        fn check(of: &GoType) {
            match of {
                GoType::Pointer(of) | GoType::Slice(of) | GoType::Map(of) => check(of),
                GoType::Struct(name) => assert!(TYPES.get(name).is_some(), "{name}"),
                _ => {}
            }
        }
        assert!(TYPES.kinds().count() > 30);
        for of in TYPES.structs.values() {
            of.fields.iter().for_each(|field| check(&field.of));
        }
        let containers = TYPES.get("io.k8s.api.core.v1.PodSpec").and_then(|spec| spec.field("containers")).unwrap();
        assert_eq!((containers.merge, containers.merge_key, containers.keep), (true, Some("name"), Keep::Always));
        assert_eq!(containers.of.go_name(), "[]v1.Container");
    }
}
