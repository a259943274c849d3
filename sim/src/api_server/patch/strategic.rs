//! Strategic merge patches: lists are merged by a key that the Go type names, or replaced.
//! <https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md>,
//! `k8s.io/apimachinery/pkg/util/strategicpatch/patch.go`

use serde_json::{Map, Value};

use super::super::{
    refusal::Refusal,
    schema::{
        decode::go_kind,
        types::{Field, GoType, Struct, TYPES},
    },
};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

/// The object of this type after the patch.
pub(super) fn apply(of: &Struct, current: &Value, patch: &Value) -> Result<Value, Refusal> {
    let (Value::Object(current), Value::Object(patch)) = (current, patch) else {
        let kind = go_kind(patch);
        let message = format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}");
        return Err(Refusal::bad_request(message));
    };
    merge(current.clone(), patch.clone(), &Meta::Struct(of)).map(Value::Object).map_err(Error::refusal)
}

/// What is wrong with a patch. Kubernetes answers some with 400, some with 422, and all others with 500.
#[derive(Debug)]
enum Error {
    Bad(&'static str),
    Unprocessable(&'static str),
    Internal(String),
}

impl Error {
    fn refusal(self) -> Refusal {
        match self {
            Self::Bad(message) => Refusal::bad_request(message),
            Self::Unprocessable(message) => Refusal::new(422, "Invalid", message),
            Self::Internal(message) => Refusal::new(500, "", message),
        }
    }
}

const BAD_RETAIN_KEYS: Error = Error::Bad("invalid patch format of retainKeys");

/// What is known of the place that is patched.
#[derive(Clone, Copy)]
enum Meta<'a> {
    Struct(&'a Struct),
    /// A map of these, or anything.
    Map(Option<&'a GoType>),
}

impl<'a> Meta<'a> {
    fn field(self, name: &str) -> Result<Option<&'a Field>, Error> {
        match self {
            Self::Struct(of) => match of.field(name) {
                Some(field) => Ok(Some(field)),
                None => Err(Error::Internal(format!(
                    "unable to find api field in struct {} for the json field \"{name}\"",
                    of.short_name()
                ))),
            },
            Self::Map(_) => Ok(None),
        }
    }

    fn child(self, name: &str) -> Result<Self, Error> {
        Ok(match self {
            Self::Struct(_) => match self.field(name)? {
                Some(field) => Self::of(&field.of),
                None => Self::Map(None),
            },
            Self::Map(of) => of.map_or(Self::Map(None), Self::of),
        })
    }

    /// What items or entries of this type are.
    fn of(of: &'a GoType) -> Self {
        match of.pointee() {
            GoType::Struct(name) => TYPES.get(name).map_or(Self::Map(None), Self::Struct),
            GoType::Slice(of) => Self::of(of),
            GoType::Map(of) => Self::Map(Some(of)),
            _ => Self::Map(None),
        }
    }
}

fn merge(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    meta: &Meta<'_>,
) -> Result<Map<String, Value>, Error> {
    match patch.remove(DIRECTIVE) {
        None => {}
        Some(Value::String(directive)) if directive == "replace" => return Ok(patch),
        Some(Value::String(directive)) if directive == "delete" => return Ok(Map::new()),
        Some(Value::String(directive)) if directive == "merge" => {}
        Some(other) => return Err(unknown_directive(other, patch)),
    }
    retain_keys(&mut original, &mut patch)?;
    set_element_orders(&mut original, &mut patch, *meta)?;
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE_FROM) {
            let (Some(original), false) = (original.get_mut(list), value.is_null()) else { continue };
            if let (Value::Array(original), Value::Array(value)) = (original, value) {
                original.retain(|item| !value.contains(item));
            }
            continue;
        }
        if value.is_null() {
            original.remove(&key);
            continue;
        }
        let merged = match (original.remove(&key), value) {
            (Some(Value::Object(original)), Value::Object(value)) => {
                let replaced = meta.field(&key)?.is_some_and(|field| field.replace);
                Some(if replaced { value.into() } else { merge(original, value, &meta.child(&key)?)?.into() })
            }
            (Some(Value::Array(original)), Value::Array(value)) => {
                let field = meta.field(&key)?;
                Some(match field.filter(|field| field.merge) {
                    Some(field) => merge_lists(original, value, field.merge_key, &meta.child(&key)?)?.into(),
                    None => value.into(),
                })
            }
            (_, value) => without_directives(value),
        };
        if let Some(merged) = merged {
            original.insert(key, merged);
        }
    }
    Ok(original)
}

fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Error> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = keys else { return Err(BAD_RETAIN_KEYS) };
    let kept = |key: &str| keys.iter().any(|kept| kept == key);
    let plain = |key: &str| !key.starts_with(DELETE_FROM) && !key.starts_with(ELEMENT_ORDER);
    if patch.iter().any(|(key, value)| !value.is_null() && plain(key) && !kept(key)) {
        return Err(BAD_RETAIN_KEYS);
    }
    original.retain(|key, _| kept(key));
    Ok(())
}

/// Lists whose order the patch says are merged first, and put in order.
fn set_element_orders(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    meta: Meta<'_>,
) -> Result<(), Error> {
    let directives: Vec<_> = patch.keys().filter(|key| key.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let key = directive.trim_start_matches(ELEMENT_ORDER).to_owned();
        let order = match patch.remove(&directive) {
            Some(Value::Array(order)) => order,
            other => return Err(no_list(&other.unwrap_or_default())),
        };
        let field = meta.field(&key)?;
        let merge_key = field.and_then(|field| field.merge_key);
        let list = |value: Option<Value>| match value {
            Some(Value::Array(items)) => Ok(Some(items)),
            None | Some(Value::Null) => Ok(None),
            Some(other) => Err(no_list(&other)),
        };
        let patched = list(patch.remove(&key))?;
        if let Some(patched) = &patched {
            follows(patched, &order, merge_key)?;
        }
        let server = list(original.get(&key).cloned())?;
        let order_before = match (&server, &patched) {
            (Some(server), Some(patched)) => overwritten(server, patched, merge_key),
            (server, _) => server.clone().unwrap_or_default(),
        };
        let merged = match (server.clone(), patched) {
            (None, None) => continue,
            (Some(server), None) => server,
            (None, Some(patched)) => match without_directives(patched.into()) {
                Some(Value::Array(items)) => items,
                _ => continue,
            },
            (Some(server), Some(patched)) if field.is_some_and(|field| field.merge) => {
                merge_lists(server, patched, merge_key, &meta.child(&key)?)?
            }
            (Some(_), Some(patched)) => patched,
        };
        let ordered = in_order(merged, &order, &order_before, merge_key);
        original.insert(key, ordered.into());
    }
    Ok(())
}

/// The list before the patch, as Kubernetes remembers it for the order: it deletes and appends in place, so that what is new
/// takes the places of what is gone.
fn overwritten(server: &[Value], patched: &[Value], merge_key: Option<&str>) -> Vec<Value> {
    let (gone, left): (Vec<&Value>, Vec<&Value>) = patched.iter().partition(|item| item[DIRECTIVE] == "delete");
    let among = |list: &[&Value], item: &Value| list.iter().any(|other| same(item, other, merge_key));
    let kept = server.iter().filter(|item| !among(&gone, item));
    let new = left.iter().copied().filter(|item| !server.iter().any(|other| same(item, other, merge_key)));
    kept.chain(new).take(server.len()).cloned().collect()
}

/// Whether the items of the patch come in the order that it gives.
fn follows(patched: &[Value], all: &[Value], merge_key: Option<&str>) -> Result<(), Error> {
    let mut order = all.iter();
    for item in patched.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        if !order.any(|ordered| same(item, ordered, merge_key)) {
            let (patched, order) = (go_list(patched), go_list(all));
            let message =
                format!("The order in patch list:\n{patched}\n doesn't match $setElementOrder list:\n{order}\n");
            return Err(Error::Internal(message));
        }
    }
    Ok(())
}

fn same(one: &Value, other: &Value, merge_key: Option<&str>) -> bool {
    match merge_key {
        Some(key) => one.get(key).is_some() && one.get(key) == other.get(key),
        None => one == other,
    }
}

/// Items that the order names in that order; the others stay where they were relative to what surrounded them.
fn in_order(merged: Vec<Value>, order: &[Value], server: &[Value], merge_key: Option<&str>) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(item, other, merge_key));
    let (mut ordered, rest): (Vec<_>, Vec<_>) = merged.into_iter().partition(|item| place(order, item).is_some());
    ordered.sort_by_key(|item| place(order, item));
    let mut all: Vec<Value> = Vec::with_capacity(ordered.len() + rest.len());
    let (mut ordered, mut rest) = (ordered.into_iter().peekable(), rest.into_iter().peekable());
    loop {
        let ordered_first = match (ordered.peek(), rest.peek()) {
            (None, None) => return all,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(ordered), Some(rest)) => match (place(server, ordered), place(server, rest)) {
                (Some(ordered), Some(rest)) => ordered < rest,
                // What is new comes first.
                _ => true,
            },
        };
        all.extend(if ordered_first { ordered.next() } else { rest.next() });
    }
}

fn merge_lists(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    merge_key: Option<&str>,
    meta: &Meta<'_>,
) -> Result<Vec<Value>, Error> {
    let kinds = || original.iter().chain(&patch);
    let Some(first) = kinds().next() else { return Ok(original) };
    if first.is_array() {
        return Err(Error::Unprocessable("lists of lists are not supported"));
    }
    if kinds().any(|item| go_type(item) != go_type(first)) {
        let message = format!("list element types are not identical: [{} {}]", go_list(&original), go_list(&patch));
        return Err(Error::Internal(message));
    }
    if !kinds().any(Value::is_object) {
        let before = original.clone();
        for item in &patch {
            if !original.contains(item) {
                original.push(item.clone());
            }
        }
        return Ok(in_order(original, &patch, &before, None));
    }
    let Some(key) = merge_key else {
        return Err(Error::Internal("cannot merge lists without merge key".to_owned()));
    };
    let before = original.clone();
    let (mut plain_items, mut replace) = (Vec::new(), false);
    for item in patch {
        let Value::Object(mut item) = item else { continue };
        match item.remove(DIRECTIVE) {
            None => plain_items.push(item),
            Some(Value::String(directive)) if directive == "replace" => replace = true,
            Some(Value::String(directive)) if directive == "delete" => {
                let wanted = key_of(&item, key)?;
                original.retain(|item| item.get(key) != Some(&wanted));
            }
            Some(Value::String(directive)) if directive == "merge" => {
                return Err(Error::Internal("merging lists cannot yet be specified in the patch".to_owned()));
            }
            Some(other) => return Err(unknown_directive(other, item)),
        }
    }
    if replace {
        return Ok(plain_items.into_iter().map(Value::Object).collect());
    }
    let order: Vec<Value> = plain_items.iter().cloned().map(Value::Object).collect();
    for item in plain_items {
        let wanted = key_of(&item, key)?;
        match original.iter_mut().find(|item| item.get(key) == Some(&wanted)) {
            Some(found) => {
                if let Value::Object(found) = found {
                    *found = merge(std::mem::take(found), item, meta)?;
                }
            }
            None => original.push(item.into()),
        }
    }
    Ok(in_order(original, &order, &before, Some(key)))
}

fn unknown_directive(directive: Value, mut patch: Map<String, Value>) -> Error {
    let shown = plain(&directive);
    patch.insert(DIRECTIVE.to_owned(), directive);
    Error::Internal(format!("unknown patch type: {shown} in map: {}", go_map(&patch)))
}

fn key_of(item: &Map<String, Value>, key: &str) -> Result<Value, Error> {
    let missing = || Error::Internal(format!("map: {} does not contain declared merge key: {key}", go_map(item)));
    item.get(key).cloned().ok_or_else(missing)
}

/// What is new has no directives left; a map that says how it is to be merged is no value.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(entries) if entries.contains_key(DIRECTIVE) => None,
        Value::Object(entries) => {
            let entries = entries.into_iter();
            let kept = entries.filter_map(|(key, value)| without_directives(value).map(|value| (key, value)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(items.into_iter().filter_map(without_directives).collect()),
        other => Some(other),
    }
}

fn no_list(value: &Value) -> Error {
    Error::Internal(format!("expected a []interface {{}}, but received a {}", go_type(value)))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// As Go prints a value.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => go_list(items),
        Value::Object(entries) => go_map(entries),
        other => other.to_string(),
    }
}

fn go_list(items: &[Value]) -> String {
    format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" "))
}

fn go_map(entries: &Map<String, Value>) -> String {
    let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
    format!("map[{}]", entries.join(" "))
}
