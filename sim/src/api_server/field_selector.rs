//! `?fieldSelector=`. Each kind has its own fields; another is refused.

use std::fmt;

use serde_json::Value;

use super::{
    refusal::Refusal,
    resource_type::{Definition, ResourceType, Scope},
};

/// Which objects are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<Term>);

/// One condition; all of a selector's must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: String,
    equal: bool,
    value: String,
    core_event: bool,
}

impl FieldSelector {
    /// From the text of `?fieldSelector=`.
    pub fn parse(text: &str, resource: &ResourceType) -> Result<Self, Refusal> {
        let mut parts = split(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let not_understood = || format!("invalid selector: '{text}'; can't understand '{part}'");
            let position = part.find("!=").into_iter().chain(part.find('=')).min();
            let (field, rest) = part.split_at(position.ok_or_else(|| Refusal::bad_request(not_understood()))?);
            let (equal, value) = match rest.strip_prefix("!=") {
                Some(value) => (false, value),
                None => (true, rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')).unwrap_or_default()),
            };
            let value = unescape(value).map_err(Refusal::bad_request)?;
            let field = known(field, resource).map_err(Refusal::bad_request)?;
            terms.push(Term { field, equal, value, core_event: resource.kind == "Event" });
        }
        Ok(Self(terms))
    }

    /// Whether it means every object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that a field must have, if there is one: `metadata.name=x` makes a list one object.
    #[must_use]
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Whether this object is meant.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|term| (term.actual(object) == term.value) == term.equal)
    }
}

impl Term {
    /// As Kubernetes writes the field: what is not there is empty, a flag `false`, a number `0`.
    fn actual(&self, object: &Value) -> String {
        let at = |path: &str| path.split('.').fold(object, |value, name| &value[name]);
        match self.field.as_str() {
            "spec.unschedulable" | "spec.hostNetwork" => at(&self.field).as_bool().unwrap_or_default().to_string(),
            "status.successful" => at("status.succeeded").as_i64().unwrap_or_default().to_string(),
            "status.replicas" => at(&self.field).as_i64().unwrap_or_default().to_string(),
            "status.podIP" | "status.podIPs" => {
                let first = object["status"]["podIPs"][0]["ip"].as_str().or_else(|| at("status.podIP").as_str());
                first.unwrap_or_default().to_owned()
            }
            "source" if self.core_event => {
                let source = at("source.component").as_str().filter(|component| !component.is_empty());
                source.or_else(|| at("reportingComponent").as_str()).unwrap_or_default().to_owned()
            }
            "reportingComponent" if self.core_event => {
                let controller = at("reportingComponent").as_str().or_else(|| at("reportingController").as_str());
                controller.unwrap_or_default().to_owned()
            }
            field => {
                let value =
                    if self.core_event && object["involvedObject"].is_null() && field.starts_with("involvedObject.") {
                        at(&field.replacen("involvedObject", "regarding", 1))
                    } else {
                        at(field)
                    };
                match value {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                }
            }
        }
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if term.equal { "=" } else { "!=" };
            let value = term.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(to, "{comma}{}{operator}{value}", term.field)?;
        }
        Ok(())
    }
}

/// What a kind is selected by that has no fields of its own.
const GENERIC: &[&str] = &["metadata.name", "metadata.namespace"];

/// Group, kind, and its fields.
const OWN_FIELDS: &[(&str, &str, &[&str])] = &[
    (
        "",
        "Pod",
        &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
            "spec.host",
        ],
    ),
    ("", "Node", &["metadata.name", "spec.unschedulable"]),
    ("", "ReplicationController", &["metadata.name", "metadata.namespace", "status.replicas"]),
    (
        "",
        "Event",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
            "metadata.namespace",
            "metadata.name",
        ],
    ),
    (
        "events.k8s.io",
        "Event",
        &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
            "metadata.namespace",
            "metadata.name",
        ],
    ),
    ("", "Namespace", &["status.phase", "metadata.name"]),
    ("", "Secret", &["type", "metadata.namespace", "metadata.name"]),
    ("", "Service", &["metadata.namespace", "metadata.name", "spec.clusterIP", "spec.type"]),
    ("batch", "Job", &["metadata.name", "metadata.namespace", "status.successful"]),
];

fn fields_of(resource: &ResourceType) -> &'static [&'static str] {
    let own = OWN_FIELDS.iter().find(|(group, kind, _)| resource.group == *group && resource.kind == *kind);
    own.map_or(GENERIC, |(_, _, fields)| fields)
}

/// The field as the server calls it, or why this kind has no such field.
fn known(field: &str, resource: &ResourceType) -> Result<String, String> {
    if let Definition::Custom(definition) = &resource.definition {
        let selectable = definition.selectable_fields.iter().any(|selectable| selectable == field);
        let in_namespace = field == "metadata.namespace" && resource.scope == Scope::Namespaced;
        if selectable || field == "metadata.name" || in_namespace {
            return Ok(field.to_owned());
        }
        return Err(format!("field label not supported: {field}"));
    }
    let fields = fields_of(resource);
    if !fields.contains(&field) {
        if resource.group == "batch" && resource.kind == "Job" {
            return Err(format!("field label {field:?} not supported for Job"));
        }
        return Err(if fields == GENERIC {
            format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        } else {
            format!("field label not supported: {field}")
        });
    }
    Ok(match (resource.group.as_ref(), field) {
        ("events.k8s.io", "reportingController") => "reportingComponent".to_owned(),
        ("events.k8s.io", field) => field.replacen("regarding.", "involvedObject.", 1),
        (_, "spec.host") => "spec.nodeName".to_owned(),
        _ => field.to_owned(),
    })
}

/// At commas that are not escaped.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, character) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == ',' {
            parts.push(&text[start..at]);
            start = at + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(text: &str) -> Result<String, String> {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => value.push(escaped),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(format!("invalid field selector: invalid escape sequence: \\{other}"));
                }
            },
            // Go prints the rune as a number.
            ',' | '=' => {
                return Err(format!("invalid field selector: unescaped character in value: {}", u32::from(character)));
            }
            other => value.push(other),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api_server::schema::fixtures::resource;

    fn selects(kind: &str, text: &str, object: &Value) -> bool {
        let group = if kind == "Job" { "batch" } else { "" };
        FieldSelector::parse(text, &resource(group, kind)).unwrap().matches(object)
    }

    #[test]
    fn a_kind_is_selected_by_its_own_fields() {
        let pod = json!({"metadata": {"name": "a", "namespace": "b"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
        for (text, expected) in [
            ("", true),
            ("spec.nodeName=n", true),
            ("spec.host==n,status.phase!=Failed", true),
            ("spec.nodeName!=n", false),
            ("status.podIP=", true),
            ("spec.hostNetwork=false", true),
            ("metadata.name=a,metadata.namespace=c", false),
        ] {
            assert_eq!(selects("Pod", text, &pod), expected, "{text}");
        }
        assert!(selects("Node", "spec.unschedulable=true", &json!({"spec": {"unschedulable": true}})));
        assert!(selects("Node", "spec.unschedulable=false", &json!({"spec": {}})));
        assert!(selects("Job", "status.successful=0", &json!({"status": {}})));
        let event =
            json!({"involvedObject": {"kind": "Node", "uid": "u"}, "reason": "r", "source": {"component": "kubelet"}});
        assert!(selects("Event", "involvedObject.kind=Node,involvedObject.uid=u,source=kubelet", &event));
        assert!(selects("Event", "source=careen", &json!({"reportingComponent": "careen"})));
        assert!(selects("ConfigMap", r"metadata.name=a\,b\=\\", &json!({"metadata": {"name": r"a,b=\"}})));
    }

    /// The sentences are those of kube-apiserver 1.37.2.
    #[test]
    fn other_fields_are_refused_in_the_words_of_kubernetes() {
        let known_only = |field| {
            format!("\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        };
        for (group, kind, text, expected) in [
            ("", "Pod", "a==b", "field label not supported: a".to_owned()),
            ("", "Pod", "metadata.name=x,foo=1", "field label not supported: foo".to_owned()),
            ("", "Pod", "=x", "field label not supported: ".to_owned()),
            ("", "Pod", "a!b=c", "field label not supported: a!b".to_owned()),
            (
                "",
                "Pod",
                "metadata.name",
                "invalid selector: 'metadata.name'; can't understand 'metadata.name'".to_owned(),
            ),
            ("", "Pod", r"metadata.name=\x", r"invalid field selector: invalid escape sequence: \x".to_owned()),
            ("", "Pod", "metadata.name=a=b", "invalid field selector: unescaped character in value: 61".to_owned()),
            ("", "Namespace", "metadata.namespace=x", "field label not supported: metadata.namespace".to_owned()),
            ("apps", "Deployment", "foo=1", known_only("foo")),
            ("batch", "Job", "foo=1", "field label \"foo\" not supported for Job".to_owned()),
        ] {
            let refusal = FieldSelector::parse(text, &resource(group, kind)).unwrap_err();
            assert_eq!((refusal.code, refusal.message), (400, expected), "{text}");
        }
    }
}
