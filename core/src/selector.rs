//! Label selectors as people write them on a command line: `app=web,tier!=cache,env in (a,b),!legacy`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use kube::core::{Expression, Selector, SelectorExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A label selector, validated when it is made. The
/// [syntax](https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#list-and-watch-filtering) is
/// kubectl's.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend("maxLength" = 4096))]
pub struct LabelSelector {
    text: String,
    selector: Selector,
}

/// Why a text is no [`LabelSelector`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "selector {text:?} does not parse at {at:?}: allowed are key=value, key!=value, key in (a,b), key notin (a,b), key and !key, joined by commas"
)]
pub struct InvalidSelector {
    text: String,
    at: String,
}

impl LabelSelector {
    /// Whether the selector takes an object with these labels.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.matches(labels)
    }
}

impl FromStr for LabelSelector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let selector = requirements(text)
            .into_iter()
            .filter(|part| !(text.trim().is_empty() && part.is_empty()))
            .map(|part| {
                expression(part).ok_or_else(|| InvalidSelector { text: text.to_owned(), at: part.trim().to_owned() })
            })
            .collect::<Result<Selector, _>>()?;
        Ok(Self { text: text.to_owned(), selector })
    }
}

/// Splits at the commas that are not within brackets.
fn requirements(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .collect()
}

fn expression(part: &str) -> Option<Expression> {
    if let Some(key) = part.strip_prefix('!') {
        return Some(Expression::DoesNotExist(label_key(key)?));
    }
    for (operator, negated) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = part.split_once(operator) {
            let (key, value) = (label_key(key)?, label_value(value)?);
            return Some(if negated { Expression::NotEqual(key, value) } else { Expression::Equal(key, value) });
        }
    }
    if let Some((key, list)) = part.split_once(char::is_whitespace) {
        let list = list.trim();
        let (operator, values) = list.split_once('(')?;
        let values = values.strip_suffix(')')?.split(',').map(label_value).collect::<Option<BTreeSet<_>>>()?;
        let key = label_key(key)?;
        return match operator.trim() {
            "in" => Some(Expression::In(key, values)),
            "notin" => Some(Expression::NotIn(key, values)),
            _ => None,
        };
    }
    Some(Expression::Exists(label_key(part)?))
}

/// `[prefix/]name`: <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
fn label_key(text: &str) -> Option<String> {
    let text = text.trim();
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            prefix.parse::<crate::model::NodeName>().ok()?;
            name
        }
        None => text,
    };
    (!name.is_empty() && label_value(name).is_some()).then(|| text.to_owned())
}

fn label_value(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends_well = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let valid = text.len() <= 63
        && text.chars().all(inner)
        && ends_well(text.chars().next())
        && ends_well(text.chars().next_back());
    valid.then(|| text.to_owned())
}

impl TryFrom<String> for LabelSelector {
    type Error = InvalidSelector;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<LabelSelector> for String {
    fn from(selector: LabelSelector) -> Self {
        selector.text
    }
}

impl PartialEq for LabelSelector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels: BTreeMap<String, String> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        selector.parse::<LabelSelector>().unwrap().selector.matches(&labels)
    }

    #[test]
    fn the_syntax_is_kubectls() {
        let labels = [("app", "web"), ("example.com/tier", "front")];
        for taken in [
            "",
            "app=web",
            "app==web",
            "app!=db",
            "app in (db, web)",
            "app notin (db)",
            "app,example.com/tier",
            "!gone",
        ] {
            assert!(matches(taken, &labels), "{taken}");
        }
        for left in ["app=db", "app=web,gone", "!app", "app notin (web)", "app in (a,b)", "app!=web"] {
            assert!(!matches(left, &labels), "{left}");
        }
    }

    #[test]
    fn what_does_not_parse_is_named() {
        for bad in ["=", "app in web", "app in (", "a b c", ",", "app=web,", "app=we b", "/x", "-a=b", "a=b=c"] {
            let error = bad.parse::<LabelSelector>().unwrap_err().to_string();
            assert!(error.contains("does not parse") && error.contains("key in (a,b)"), "{bad}: {error}");
        }
    }
}
