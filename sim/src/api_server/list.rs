//! Lists: whole or by pages, of now or of an earlier version.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list>

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    field_selector::FieldSelector,
    history::Key,
    query::{forbidden, invalid_options},
    refusal::{Cause, Refusal},
    reply::Reply,
    request::{Request, Target},
    resource_type::ResourceType,
    store::Store,
    watchers::Filter,
};
use crate::selector::LabelSelector;

/// What `continue` holds; the same form as a real one's.
#[derive(Debug, Deserialize, Serialize)]
struct Continue {
    v: String,
    rv: i64,
    start: String,
}

impl Continue {
    fn encode(version: i64, last: &Key) -> String {
        let Key(namespace, name) = last;
        let start = if namespace.is_empty() { format!("{name}\0") } else { format!("{namespace}/{name}\0") };
        let token = Self { v: "meta.k8s.io/v1".into(), rv: version, start };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    fn decode(text: &str) -> Result<Self, Refusal> {
        let refusal =
            |why: String| Refusal::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| refusal(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| refusal(error.to_string()))
    }

    /// The last object of the page before.
    fn last(&self) -> Key {
        let start = self.start.trim_end_matches('\0');
        let (namespace, name) = start.split_once('/').unwrap_or(("", start));
        Key(namespace.to_owned(), name.to_owned())
    }
}

/// `?resourceVersion=`; 0 for none.
pub(super) fn parse_version(text: &str) -> Result<u64, String> {
    match text {
        "" => Ok(0),
        text => text.parse().map_err(|_| {
            format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
        }),
    }
}

/// Which objects a path and its selectors name.
pub(super) fn filter(request: &Request, target: &Target, resource: &ResourceType) -> Result<Filter, Refusal> {
    let labels = Some(request.query.get("labelSelector")).filter(|text| !text.is_empty());
    let fields = Some(request.query.get("fieldSelector")).filter(|text| !text.is_empty());
    Ok(Filter {
        storage: resource.storage(),
        namespace: if resource.is_namespaced() { target.namespace.clone() } else { String::new() },
        labels: labels.map(LabelSelector::parse).transpose()?,
        fields: fields.map(|text| FieldSelector::parse(text, resource)).transpose()?,
    })
}

fn too_large(wanted: u64, current: u64) -> Refusal {
    let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
    Refusal::new(504, "Timeout", message)
        .because("ResourceVersionTooLarge", "Too large resource version")
        .retry_after(1)
}

fn check(request: &Request) -> Result<(), Refusal> {
    let query = &request.query;
    let mut causes = Vec::new();
    let match_ = query.get("resourceVersionMatch");
    if !match_.is_empty() {
        if query.get("resourceVersion").is_empty() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            causes.push(forbidden("resourceVersionMatch", why));
        }
        if !query.get("continue").is_empty() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            causes.push(forbidden("resourceVersionMatch", why));
        }
        if match_ != "Exact" && match_ != "NotOlderThan" {
            causes.push(Cause {
                reason: "FieldValueNotSupported",
                message: format!("Unsupported value: {match_:?}: supported values: \"Exact\", \"NotOlderThan\", \"\""),
                field: "resourceVersionMatch".into(),
            });
        }
        if match_ == "Exact" && query.get("resourceVersion") == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(forbidden("resourceVersionMatch", why));
        }
    }
    if query.has("sendInitialEvents") {
        causes.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if causes.is_empty() { Ok(()) } else { Err(invalid_options("ListOptions", &causes)) }
}

/// A page, and what follows it.
struct Page {
    objects: Vec<Arc<Value>>,
    last: Option<Key>,
    left: usize,
}

fn page<'a>(all: impl Iterator<Item = (&'a Key, &'a Arc<Value>)>, filter: &Filter, limit: usize) -> Page {
    let mut matching = all.filter(|(_, object)| filter.matches(object)).peekable();
    let mut objects = Vec::new();
    let mut last = None;
    while let Some((key, object)) = matching.next() {
        objects.push(object.clone());
        if objects.len() == limit && matching.peek().is_some() {
            last = Some(key.clone());
            break;
        }
    }
    Page { objects, last, left: matching.count() }
}

/// Answers a list.
pub(super) fn list(
    store: &Store,
    request: &Request,
    resource: &Arc<ResourceType>,
    filter: &Filter,
) -> Result<Reply, Refusal> {
    check(request)?;
    request.query.number("timeoutSeconds")?;
    let query = &request.query;
    let limit = query.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0);
    let wanted = parse_version(query.get("resourceVersion"))
        .map_err(|why| Refusal::bad_request(format!("invalid resource version: {why}")))?;
    let token = Some(query.get("continue")).filter(|text| !text.is_empty()).map(Continue::decode).transpose()?;
    if token.is_some() && wanted != 0 {
        let message = "specifying resource version is not allowed when using continue";
        return Err(Refusal::bad_request(message));
    }
    if wanted > store.version() {
        return Err(too_large(wanted, store.version()));
    }
    let is_exact = query.get("resourceVersionMatch") == "Exact"
        || (limit > 0 && wanted > 0 && query.get("resourceVersionMatch").is_empty());
    // A token of a list that is too old to be continued as it was says -1: it goes on with what there is now.
    let version = match &token {
        Some(token) => u64::try_from(token.rv).unwrap_or(store.version()),
        None if is_exact => wanted,
        None => store.version(),
    };
    let limit = if limit == 0 { usize::MAX } else { limit };
    let after = token.as_ref().map(Continue::last);
    let page = if version == store.version() {
        let all = store.all(&filter.storage, &filter.namespace);
        page(all.filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after)), filter, limit)
    } else {
        let Some(all) = store.all_at(&filter.storage, version) else {
            return Err(too_old(version, store, after.as_ref()));
        };
        page(range(&all, &filter.namespace, after), filter, limit)
    };
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if resource.is_custom() {
        metadata["continue"] = "".into();
    }
    if let Some(last) = &page.last {
        metadata["continue"] = Continue::encode(i64::try_from(version).unwrap_or(-1), last).into();
        // With selectors, nobody has counted.
        if !filter.selects() {
            metadata["remainingItemCount"] = page.left.into();
        }
    }
    Ok(Reply::List { resource: resource.clone(), objects: page.objects, metadata })
}

fn range<'a>(
    all: &'a BTreeMap<Key, Arc<Value>>,
    namespace: &'a str,
    after: Option<Key>,
) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
    let first = after.map_or(Bound::Unbounded, Bound::Excluded);
    all.range((first, Bound::Unbounded)).filter(move |(Key(of, _), _)| namespace.is_empty() || of == namespace)
}

fn too_old(version: u64, store: &Store, after: Option<&Key>) -> Refusal {
    let Some(after) = after else {
        return super::watch::expired(version, store.history.oldest());
    };
    let mut refusal = Refusal::new(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    refusal.continue_token = Some(Continue::encode(-1, after));
    refusal
}
