//! Label selectors, as text (`app=web,tier in (a,b)`) and as objects (`matchLabels`, `matchExpressions`).
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>

mod parse;

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use self::parse::parse;
use crate::api_server::{
    refusal::Refusal,
    schema::validate::names::{label_key, label_value},
};

/// Which labels are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<Requirement>);

/// One condition; all of a selector's must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    Equals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl LabelSelector {
    /// From the text of `?labelSelector=`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut requirements = parse(text).map_err(Refusal::bad_request)?;
        requirements.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(Self(requirements))
    }

    /// From `{matchLabels, matchExpressions}`. An empty object matches everything, null matches nothing in Kubernetes but is
    /// left to the caller, who knows what is meant: here it matches everything.
    pub fn from_json(selector: &Value) -> Result<Self, Refusal> {
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let values = BTreeSet::from([value.as_str().unwrap_or_default().to_owned()]);
            requirements.push(Requirement::new(key, Operator::Equals, values).map_err(Refusal::bad_request)?);
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let operator = match expression["operator"].as_str().unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(Refusal::bad_request(format!("{other:?} is not a valid label selector operator"))),
            };
            let key = expression["key"].as_str().unwrap_or_default();
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
            requirements.push(Requirement::new(key, operator, values).map_err(Refusal::bad_request)?);
        }
        requirements.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(Self(requirements))
    }

    /// Whether it matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these labels (an object of strings, or null) match.
    #[must_use]
    pub fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    fn new(key: &str, operator: Operator, values: BTreeSet<String>) -> Result<Self, String> {
        let mut wrong = Vec::new();
        if let message @ [_, ..] = &label_key(key)[..] {
            wrong.push(format!("key: Invalid value: {key:?}: {}", message.join("; ")));
        }
        let shown = || serde_json::to_string(&values).unwrap_or_default();
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                wrong.push(
                    "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty".to_owned(),
                );
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                let must = "values set must be empty for exists and does not exist";
                wrong.push(format!("values: Invalid value: {}: {must}", shown()));
            }
            Operator::GreaterThan | Operator::LessThan => {
                for value in values.iter().filter(|value| value.parse::<i64>().is_err()) {
                    let must = "for 'Gt', 'Lt' operators, the value must be an integer";
                    wrong.push(format!("values[0]: Invalid value: {value:?}: {must}"));
                }
            }
            _ => {}
        }
        for (index, value) in values.iter().enumerate() {
            if let message @ [_, ..] = &label_value(value)[..] {
                wrong.push(format!("values[{index}][{key}]: Invalid value: {value:?}: {}", message.join("; ")));
            }
        }
        match &wrong[..] {
            [] => Ok(Self { key: key.to_owned(), operator, values }),
            [only] => Err(only.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }

    fn matches(&self, labels: &Value) -> bool {
        let value = labels[&self.key].as_str();
        let compare = |holds: fn(i64, i64) -> bool| {
            let wanted = self.values.first().and_then(|wanted| wanted.parse().ok());
            let actual = value.and_then(|value| value.parse().ok());
            actual.zip(wanted).is_some_and(|(actual, wanted)| holds(actual, wanted))
        };
        match self.operator {
            Operator::Equals | Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotEquals | Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compare(|actual, wanted| actual > wanted),
            Operator::LessThan => compare(|actual, wanted| actual < wanted),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            if index > 0 {
                to.write_str(",")?;
            }
            requirement.fmt(to)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let values = self.values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match self.operator {
            Operator::Equals => write!(to, "{key}={values}"),
            Operator::NotEquals => write!(to, "{key}!={values}"),
            Operator::In => write!(to, "{key} in ({values})"),
            Operator::NotIn => write!(to, "{key} notin ({values})"),
            Operator::Exists => write!(to, "{key}"),
            Operator::DoesNotExist => write!(to, "!{key}"),
            Operator::GreaterThan => write!(to, "{key}>{values}"),
            Operator::LessThan => write!(to, "{key}<{values}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_match_what_the_text_says() {
        let labels = json!({"app": "web", "tier": "front", "size": "3", "empty": ""});
        for (text, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web", true),
            ("app = web , tier", true),
            ("app!=web", false),
            ("other!=web", true),
            ("app in (web, db)", true),
            ("app in (db)", false),
            ("app notin (db)", true),
            ("other notin (db)", true),
            ("app notin (web,db),tier=front", false),
            ("tier", true),
            ("!tier", false),
            ("!other", true),
            ("size>2", true),
            ("size<3", false),
            ("app>2", false),
            ("empty=", true),
            ("empty in ()", true),
            ("app in (in,notin,web)", true),
            ("in in (in)", false),
            ("example.com/x!=y", true),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap().matches(&labels), expected, "{text}");
        }
        assert!(LabelSelector::parse("!a").unwrap().matches(&Value::Null));
    }

    /// The sentences are those of kube-apiserver 1.37.2.
    #[test]
    fn what_cannot_be_read_is_refused_in_the_words_of_kubernetes() {
        for (text, expected) in [
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            (
                "-a=b",
                "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of alphanumeric characters, \
                 '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
                 '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ),
            (
                "a=-b-",
                "unable to parse requirement: values[0][a]: Invalid value: \"-b-\": a valid label must be an empty string or \
                 consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
                 (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
                 '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
            (",", "found ',', expected: !, identifier, or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            (
                "a>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an \
                 integer",
            ),
            ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
            ("!a b", "found 'b', expected: ',' or 'end of string'"),
            ("(a)", "found '(', expected: !, identifier, or 'end of string'"),
            ("a=b,,c", "found ',', expected: identifier after ','"),
        ] {
            let refusal = LabelSelector::parse(text).unwrap_err();
            assert_eq!((refusal.code, refusal.message.as_str()), (400, expected), "{text}");
        }
    }

    #[test]
    fn an_object_says_the_same_as_its_text() {
        let object = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]},
            {"key": "x", "operator": "NotIn", "values": ["y"]},
            {"key": "z", "operator": "Exists"}, {"key": "w", "operator": "DoesNotExist"},
        ]});
        let selector = LabelSelector::from_json(&object).unwrap();
        assert_eq!(selector.to_string(), "app=web,tier in (a,b),!w,x notin (y),z");
        assert!(LabelSelector::from_json(&json!({})).unwrap().matches(&Value::Null));
        for wrong in [
            json!({"matchExpressions": [{"key": "a", "operator": "Equals", "values": ["b"]}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": []}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}),
            json!({"matchLabels": {"a b": "c"}}),
        ] {
            assert_eq!(LabelSelector::from_json(&wrong).unwrap_err().code, 400, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-c!=,()<> ]{0,12}|\\PC{0,12}") {
            if let Ok(selector) = LabelSelector::parse(&text) {
                prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
            }
        }
    }
}
