//! Label selectors, as text (`app=web,tier in (a,b)`) and as objects (`matchLabels`, `matchExpressions`).
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

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
        let mut requirements = Parser::new(text).parse().map_err(Refusal::bad_request)?;
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

/// The grammar of `k8s.io/apimachinery/pkg/labels/selector.go`, with its sentences.
struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    position: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'static str),
    Error(&'a str),
    End,
}

const SYMBOLS: [&str; 9] = ["!=", "==", "=", "!", ",", "(", ")", ">", "<"];

impl<'a> Token<'a> {
    fn literal(self) -> String {
        match self {
            Self::Word(word) => word.to_owned(),
            Self::Symbol(symbol) => symbol.to_owned(),
            Self::Error(text) => format!("error expected: keyword found '{text}'"),
            Self::End => String::new(),
        }
    }

    fn all(mut rest: &'a str) -> Vec<Self> {
        let special = |character: char| "=!(),><".contains(character);
        let mut tokens = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            if rest.is_empty() {
                tokens.push(Self::End);
                return tokens;
            }
            let (token, length) = if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                (Self::Symbol(symbol), symbol.len())
            } else {
                let end = rest.find(|character: char| special(character) || " \t\r\n".contains(character));
                let end = end.unwrap_or(rest.len());
                if end == 0 { (Self::Error(rest), rest.len()) } else { (Self::Word(&rest[..end]), end) }
            };
            tokens.push(token);
            rest = &rest[length..];
        }
    }
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { tokens: Token::all(text), position: 0 }
    }

    fn look(&self) -> Token<'a> {
        self.tokens.get(self.position).copied().unwrap_or(Token::End)
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.look();
        self.position += 1;
        token
    }

    fn parse(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.look() {
                Token::Word(_) | Token::Symbol("!") => {
                    let requirement = self.requirement();
                    requirements.push(requirement.map_err(|error| format!("unable to parse requirement: {error}"))?);
                    match self.take() {
                        Token::End => return Ok(requirements),
                        Token::Symbol(",") => match self.look() {
                            Token::Word(_) | Token::Symbol("!") => {}
                            other => {
                                return Err(format!("found '{}', expected: identifier after ','", other.literal()));
                            }
                        },
                        other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.literal())),
                    }
                }
                Token::End => return Ok(requirements),
                other => {
                    return Err(format!("found '{}', expected: !, identifier, or 'end of string'", other.literal()));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.look() == Token::Symbol("!");
        if absent {
            self.take();
        }
        let key = match self.take() {
            Token::Word(key) => key,
            other => return Err(format!("found '{}', expected: identifier", other.literal())),
        };
        if let message @ [_, ..] = &label_key(key)[..] {
            return Err(format!("<nil>: Invalid value: {key:?}: {}", message.join("; ")));
        }
        if absent {
            return Requirement::new(key, Operator::DoesNotExist, BTreeSet::new());
        }
        if matches!(self.look(), Token::End | Token::Symbol(",")) {
            return Requirement::new(key, Operator::Exists, BTreeSet::new());
        }
        let operator = match self.take() {
            Token::Symbol("=" | "==") => Operator::Equals,
            Token::Symbol("!=") => Operator::NotEquals,
            Token::Symbol(">") => Operator::GreaterThan,
            Token::Symbol("<") => Operator::LessThan,
            Token::Word("in") => Operator::In,
            Token::Word("notin") => Operator::NotIn,
            other => return Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", other.literal())),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => BTreeSet::from([self.exact_value()?]),
        };
        Requirement::new(key, operator, values)
    }

    fn exact_value(&mut self) -> Result<String, String> {
        if matches!(self.look(), Token::End | Token::Symbol(",")) {
            return Ok(String::new());
        }
        match self.take() {
            Token::Word(value) => Ok(value.to_owned()),
            other => Err(format!("found '{}', expected: identifier", other.literal())),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        match self.take() {
            Token::Symbol("(") => {}
            other => return Err(format!("found '{}' expected: '('", other.literal())),
        }
        let first = self.look();
        match first {
            Token::Word(_) | Token::Symbol(",") => {}
            Token::Symbol(")") => {
                self.take();
                return Ok(BTreeSet::from([String::new()]));
            }
            other => return Err(format!("found '{}', expected: ',', ')' or identifier", other.literal())),
        }
        let values = self.identifiers()?;
        match self.take() {
            Token::Symbol(")") => Ok(values),
            _ => Err(format!("found '{}', expected: ')'", first.literal())),
        }
    }

    fn identifiers(&mut self) -> Result<BTreeSet<String>, String> {
        let mut values = BTreeSet::new();
        loop {
            match self.take() {
                Token::Word(value) => {
                    values.insert(value.to_owned());
                    match self.look() {
                        Token::Symbol(",") => {}
                        Token::Symbol(")") => return Ok(values),
                        other => return Err(format!("found '{}', expected: ',' or ')'", other.literal())),
                    }
                }
                Token::Symbol(",") => {
                    if values.is_empty() || matches!(self.look(), Token::Symbol("," | ")")) {
                        values.insert(String::new());
                    }
                    if self.look() == Token::Symbol(")") {
                        return Ok(values);
                    }
                }
                other => return Err(format!("found '{}', expected: ',', or identifier", other.literal())),
            }
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
