//! A taint's parts, validated.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The effect of a taint, as
/// [Kubernetes defines it](https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum TaintEffect {
    /// No new pods that do not tolerate it.
    NoSchedule,
    /// New pods that do not tolerate it only if there is no other place.
    PreferNoSchedule,
    /// Pods that do not tolerate it must leave.
    NoExecute,
}

impl TaintEffect {
    /// As it stands in a Node's taints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

impl FromStr for TaintEffect {
    type Err = InvalidTaint;

    fn from_str(text: &str) -> Result<Self, InvalidTaint> {
        let all = [Self::NoSchedule, Self::PreferNoSchedule, Self::NoExecute];
        let allowed = "NoSchedule, PreferNoSchedule or NoExecute";
        all.into_iter().find(|effect| effect.as_str() == text).ok_or_else(|| InvalidTaint::new("effect", text, allowed))
    }
}

/// A part of a taint that Kubernetes would not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the taint's {part} {value:?} is not valid: allowed is {allowed}")]
pub struct InvalidTaint {
    /// `key`, `value` or `effect`.
    pub part: &'static str,
    /// The text.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

impl InvalidTaint {
    fn new(part: &'static str, value: &str, allowed: &'static str) -> Self {
        Self { part, value: value.chars().take(400).collect(), allowed }
    }
}

/// The key of a taint: a qualified name, as Kubernetes wants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend("minLength" = 1, "maxLength" = 317))]
pub struct TaintKey(String);

/// The value of a taint: a label value, as Kubernetes wants it; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend("maxLength" = 63))]
pub struct TaintValue(String);

impl TaintKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TaintValue {
    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TaintKey {
    type Err = InvalidTaint;

    fn from_str(text: &str) -> Result<Self, InvalidTaint> {
        let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
        // A prefix is a DNS subdomain, as the name of a node is.
        let prefix_is_valid = prefix.is_none_or(|prefix| prefix.parse::<super::NodeName>().is_ok());
        if prefix_is_valid && is_short_name(name) {
            return Ok(Self(text.to_owned()));
        }
        let allowed = "up to 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, \
                       after a DNS name and a '/' if there is one";
        Err(InvalidTaint::new("key", text, allowed))
    }
}

impl FromStr for TaintValue {
    type Err = InvalidTaint;

    fn from_str(text: &str) -> Result<Self, InvalidTaint> {
        if text.is_empty() || is_short_name(text) {
            return Ok(Self(text.to_owned()));
        }
        let allowed =
            "nothing, or up to 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit";
        Err(InvalidTaint::new("value", text, allowed))
    }
}

fn is_short_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= 63
        && ends.into_iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

macro_rules! text_conversions {
    ($type:ident) => {
        impl TryFrom<String> for $type {
            type Error = InvalidTaint;

            fn try_from(text: String) -> Result<Self, InvalidTaint> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_conversions!(TaintKey);
text_conversions!(TaintValue);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_kubernetes_wants_them() {
        let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
        for good in ["a", "medik8s.io/drain", "node.kubernetes.io/out-of-service", "A_b.c", &longest] {
            assert_eq!(good.parse::<TaintKey>().unwrap().as_str(), good);
        }
        for bad in ["", "/", "a/", "/a", "a/b/c", "Ä", "-a", "a-", "EXAMPLE.com/a", "a b", &too_long] {
            assert_eq!(bad.parse::<TaintKey>().unwrap_err().part, "key", "{bad}");
        }
        for (text, good) in [("", true), ("yes", true), ("a/b", false), (longest.as_str(), true), (&too_long, false)] {
            assert_eq!(text.parse::<TaintValue>().is_ok(), good, "{text}");
        }
        assert_eq!("NoExecute".parse(), Ok(TaintEffect::NoExecute));
        assert!("noexecute".parse::<TaintEffect>().unwrap_err().to_string().contains("NoSchedule"));
    }
}
