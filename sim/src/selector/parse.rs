//! The text of a label selector: the grammar of `k8s.io/apimachinery/pkg/labels/selector.go`, with its sentences.

use std::collections::BTreeSet;

use super::{Operator, Requirement};
use crate::api_server::schema::validate::names::label_key;

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    Parser { tokens: Token::all(text), position: 0 }.parse()
}

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
