//! Names and identities of objects.

use std::{borrow::Borrow, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a Node: an RFC 1123 subdomain, as
/// [Kubernetes wants it](https://kubernetes.io/docs/concepts/overview/working-with-objects/names/).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend("minLength" = 1, "maxLength" = 253))]
pub struct NodeName(String);

/// Why a text is no [`NodeName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "nodeName {value:?} is not a node name: allowed are 1 to 253 characters of a-z, 0-9, '-' and '.', beginning and ending with a letter or digit"
)]
pub struct InvalidNodeName {
    /// The text.
    pub value: String,
}

impl NodeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = InvalidNodeName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let label_is_valid = |label: &str| {
            let bytes = label.as_bytes();
            matches!((bytes.first(), bytes.last()), (Some(&first), Some(&last)) if alphanumeric(first) && alphanumeric(last))
                && bytes.iter().all(|&byte| alphanumeric(byte) || byte == b'-')
        };
        if text.len() <= 253 && text.split('.').all(label_is_valid) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidNodeName { value: text.chars().take(300).collect() })
        }
    }
}

impl TryFrom<String> for NodeName {
    type Error = InvalidNodeName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl Borrow<str> for NodeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `metadata.uid`: tells an object from a later one of the same name. Empty only where a test leaves it out.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Uid(pub String);

impl Uid {
    /// The UID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Namespace and name of a namespaced object; shown as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ObjectKey {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectKey {
    /// A key.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_name_is_an_rfc_1123_subdomain() {
        for good in ["node02", "ip-10-0-0-1.eu-west-1.compute.internal", "a", "0"] {
            assert_eq!(good.parse::<NodeName>().unwrap().as_str(), good);
        }
        let too_long = "a".repeat(254);
        for bad in ["", "-a", "a-", "Node", "a..b", "a/b", "a b", ".", "ä", &too_long] {
            let error = bad.parse::<NodeName>().unwrap_err();
            assert!(error.to_string().contains("nodeName"), "{error}");
        }
    }
}
