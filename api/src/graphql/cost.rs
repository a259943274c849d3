//! What a document costs, before anything of it runs: refused is what would take too long to check or to answer.
//!
//! Fragments are weighed once, however often they are used, so that a document cannot make the weighing itself slow.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_graphql::{
    Name, Value, Variables,
    parser::types::{ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet},
};

use super::{connection::FIRST, limits::Limits};

/// What a field costs: the work of an object is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Price {
    /// The field itself, whatever it leads to.
    own: u64,
    /// It leads to as many objects as its argument `first` says, and each of them costs 1 and what is asked of it.
    is_page: bool,
}

impl Price {
    /// Nothing: plain data of its object.
    const NOTHING: Self = Self { own: 0, is_page: false };
    /// One object.
    pub(super) const ONE: Self = Self { own: 1, is_page: false };
    /// So many objects as its argument `first` says, whether or not they are asked for: to know whether there are more
    /// they are looked through. Finding the list costs as much as ten of them.
    pub(super) const PAGE: Self = Self { own: 10, is_page: true };

    /// As much to work out as so many objects.
    pub(super) const fn like(objects: u64) -> Self {
        Self { own: objects, is_page: false }
    }
}

/// The prices of fields, and where fields lead.
#[derive(Debug, Default)]
pub(super) struct Prices {
    fields: BTreeMap<String, BTreeMap<String, (Price, String)>>,
}

impl Prices {
    /// Sets what a field costs.
    pub(super) fn set(&mut self, type_: &str, field: &str, price: Price) {
        self.entry(type_, field).0 = price;
    }

    /// Says which type a field leads to.
    pub(super) fn lead(&mut self, type_: &str, field: &str, to: &str) {
        to.clone_into(&mut self.entry(type_, field).1);
    }

    fn entry(&mut self, type_: &str, field: &str) -> &mut (Price, String) {
        let fields = self.fields.entry(type_.to_owned()).or_default();
        fields.entry(field.to_owned()).or_insert((Price::NOTHING, String::new()))
    }

    fn of(&self, type_: &str, field: &str) -> (Price, &str) {
        let found = self.fields.get(type_).and_then(|fields| fields.get(field));
        found.map_or((Price::NOTHING, ""), |(price, to)| (*price, to))
    }
}

/// What a selection amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// How much work the answer may be.
    pub(super) cost: u64,
    /// How many fields there are, each fragment counted where it is used.
    fields: u64,
    /// How many of them have an alias.
    aliases: u64,
    /// How deep fields are nested.
    depth: u64,
    /// How many lists of the schema's own description are nested.
    lists_of_introspection: u64,
}

impl Weight {
    fn and(self, other: Self) -> Self {
        Self {
            cost: self.cost.saturating_add(other.cost),
            fields: self.fields.saturating_add(other.fields),
            aliases: self.aliases.saturating_add(other.aliases),
            depth: self.depth.max(other.depth),
            lists_of_introspection: self.lists_of_introspection.max(other.lists_of_introspection),
        }
    }
}

/// Why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMuch {
    #[error("the document has more than {0} bytes")]
    Bytes(usize),
    #[error("the document has more than {0} words and signs")]
    Tokens(usize),
    #[error("brackets are nested more than {0} deep")]
    Brackets(usize),
    #[error("there are {found} fields, and at most {most} are allowed, each fragment counted where it is used")]
    Fields { found: u64, most: u64 },
    #[error("there are {found} aliases, and at most {most} are allowed")]
    Aliases { found: u64, most: u64 },
    #[error("fields are nested {found} deep, and at most {most} are allowed")]
    Depth { found: u64, most: u64 },
    #[error("there are {found} directives, and at most {most} are allowed")]
    Directives { found: u64, most: u64 },
    #[error("the answer costs as much as {found} objects, and at most {most} are allowed: ask for less with `first`")]
    Cost { found: u64, most: u64 },
    #[error("there are {found} changes, and one request has at most {most}")]
    Changes { found: usize, most: usize },
    #[error("{0} is in the mutation twice, and would be done twice: give one of them an alias")]
    Twice(String),
    #[error("there is no fragment {0}")]
    NoFragment(String),
    #[error("no operation uses fragment {0}")]
    Unused(String),
    #[error("lists of fields and types are nested in the question about the schema, which multiplies them")]
    Introspection,
    #[error("fragment {0} uses itself")]
    Cycle(String),
    #[error("a subscription has one field, and that not in a fragment")]
    SeveralStreams,
}

/// Weighs all operations, because all of them are validated: what is not chosen must not cost more than what is.
pub(super) fn weigh(
    document: &ExecutableDocument,
    chosen: &OperationDefinition,
    variables: &Variables,
    prices: &Prices,
    limits: &Limits,
) -> Result<Weight, TooMuch> {
    let (mut all, mut found, mut used) = (Weight::default(), Weight::default(), HashSet::new());
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        let mut scales = Scales { document, operation, variables, prices, fragments: HashMap::new() };
        let weight = scales.selection(root(operation.ty), &operation.selection_set.node)?;
        used.extend(scales.fragments.into_keys());
        all = all.and(weight);
        if std::ptr::eq(operation, chosen) {
            found = weight;
        }
        // Here and not only at the end: many operations that use the same fragments must not make this slow.
        limits.check(&all, &found)?;
    }
    // Its fields would be validated as well.
    let unused = document.fragments.keys().map(Name::as_str).filter(|name| !used.contains(name));
    match unused.min() {
        Some(name) => Err(TooMuch::Unused(name.to_owned())),
        None => Ok(found),
    }
}

/// The type that an operation begins with.
fn root(type_: OperationType) -> &'static str {
    match type_ {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    }
}

impl Limits {
    /// Whether the validation of all operations, and the answer to the chosen one, are within the limits.
    fn check(&self, all: &Weight, chosen: &Weight) -> Result<(), TooMuch> {
        let checks = [
            (all.fields, self.fields, TooMuch::Fields { found: all.fields, most: self.fields }),
            (all.aliases, self.aliases, TooMuch::Aliases { found: all.aliases, most: self.aliases }),
            (all.depth, self.depth, TooMuch::Depth { found: all.depth, most: self.depth }),
            (chosen.cost, self.cost, TooMuch::Cost { found: chosen.cost, most: self.cost }),
            (all.lists_of_introspection, 1, TooMuch::Introspection),
        ];
        checks.into_iter().find(|(found, most, _)| found > most).map_or(Ok(()), |(_, _, too_much)| Err(too_much))
    }
}

struct Scales<'a> {
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    prices: &'a Prices,
    /// `None` while it is being weighed.
    fragments: HashMap<&'a str, Option<Weight>>,
}

impl<'a> Scales<'a> {
    fn selection(&mut self, type_: &str, selection: &'a SelectionSet) -> Result<Weight, TooMuch> {
        let mut weight = Weight::default();
        for item in &selection.items {
            weight = weight.and(match &item.node {
                Selection::Field(field) => self.field(type_, &field.node)?,
                Selection::InlineFragment(fragment) => {
                    let condition =
                        fragment.node.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                    self.selection(condition.unwrap_or(type_), &fragment.node.selection_set.node)?
                }
                Selection::FragmentSpread(spread) => self.fragment(spread.node.fragment_name.node.as_str())?,
            });
        }
        Ok(weight)
    }

    fn fragment(&mut self, name: &'a str) -> Result<Weight, TooMuch> {
        match self.fragments.get(name) {
            Some(Some(weight)) => return Ok(*weight),
            Some(None) => return Err(TooMuch::Cycle(name.to_owned())),
            None => {}
        }
        // Without a weight it could be used without end.
        let none = || TooMuch::NoFragment(name.to_owned());
        let fragment = self.document.fragments.get(name).ok_or_else(none)?;
        self.fragments.insert(name, None);
        let type_ = fragment.node.type_condition.node.on.node.as_str();
        let weight = self.selection(type_, &fragment.node.selection_set.node)?;
        self.fragments.insert(name, Some(weight));
        Ok(weight)
    }

    fn field(&mut self, type_: &str, field: &'a Field) -> Result<Weight, TooMuch> {
        let name = field.name.node.as_str();
        let (price, to) = self.prices.of(type_, name);
        let inner = self.selection(to, &field.selection_set.node)?;
        let (each, times) = if price.is_page { (1, self.first(field)) } else { (0, 1) };
        Ok(Weight {
            cost: inner.cost.saturating_add(each).saturating_mul(times).saturating_add(price.own),
            fields: inner.fields.saturating_add(1),
            aliases: inner.aliases.saturating_add(u64::from(field.alias.is_some())),
            depth: inner.depth + 1,
            lists_of_introspection: inner.lists_of_introspection + u64::from(MULTIPLY.contains(&name) && to.is_empty()),
        })
    }

    /// The value of the argument `first`; one that is wrong is told by the field.
    fn first(&self, field: &Field) -> u64 {
        let argument = field.arguments.iter().find(|(name, _)| name.node == "first");
        let variable = |name: Name| Ok::<_, ()>(self.variable(&name));
        match argument.map(|(_, value)| value.node.clone().into_const_with(variable)) {
            Some(Ok(Value::Number(number))) => number.as_u64().unwrap_or(0),
            _ => u64::from(FIRST),
        }
    }

    fn variable(&self, name: &str) -> Value {
        let default = || {
            let definitions = &self.operation.variable_definitions;
            let found = definitions.iter().find(|definition| definition.node.name.node == name);
            found.and_then(|definition| definition.node.default_value().cloned())
        };
        self.variables.get(name).cloned().or_else(default).unwrap_or(Value::Null)
    }
}

/// Fields of the schema's own description that lead to lists of types and fields, each of which has more.
const MULTIPLY: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];
