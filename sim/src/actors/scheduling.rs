//! Which pods a node takes: taints and tolerations, node selectors and node affinity. Used by the scheduler, by the
//! controller of daemons and by the eviction of pods from tainted nodes.

use serde_json::Value;

use super::object::{items, name_of};

/// The first taint with one of these effects that a pod with these tolerations does not tolerate.
#[must_use]
pub fn untolerated<'a>(taints: &'a [Value], tolerations: &[Value], effects: &[&str]) -> Option<&'a Value> {
    taints
        .iter()
        .filter(|taint| taint["effect"].as_str().is_some_and(|effect| effects.contains(&effect)))
        .find(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

/// Whether this toleration tolerates the taint.
/// <https://github.com/kubernetes/api/blob/master/core/v1/toleration.go>
#[must_use]
pub fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (effect, key) = (text(&toleration["effect"]), text(&toleration["key"]));
    if !effect.is_empty() && effect != text(&taint["effect"]) || !key.is_empty() && key != text(&taint["key"]) {
        return false;
    }
    match toleration["operator"].as_str().unwrap_or("Equal") {
        "Equal" | "" => text(&toleration["value"]) == text(&taint["value"]),
        "Exists" => true,
        _ => false,
    }
}

/// Whether the node is one that the pod's `nodeSelector` and required node affinity mean.
#[must_use]
pub fn is_meant(node: &Value, pod_spec: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let selected = pod_spec["nodeSelector"]
        .as_object()
        .is_none_or(|selector| selector.iter().all(|(label, value)| labels[label.as_str()] == *value));
    let required = &pod_spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let affine =
        required.is_null() || items(&required["nodeSelectorTerms"]).iter().any(|term| term_matches(node, term));
    selected && affine
}

/// Whether a term of a node selector means the node. An empty one means none.
#[must_use]
pub fn term_matches(node: &Value, term: &Value) -> bool {
    let (expressions, fields) = (items(&term["matchExpressions"]), items(&term["matchFields"]));
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let label = |key: &str| node["metadata"]["labels"][key].as_str();
    let field = |key: &str| (key == "metadata.name").then(|| name_of(node));
    expressions.iter().all(|requirement| requirement_holds(requirement, label))
        && fields.iter().all(|requirement| requirement_holds(requirement, field))
}

fn requirement_holds<'a>(requirement: &Value, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
    let value = value_of(requirement["key"].as_str().unwrap_or_default());
    let values = items(&requirement["values"]);
    let among = || value.is_some_and(|value| values.iter().any(|one| one == value));
    let compare = |holds: fn(i64, i64) -> bool| {
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
        let bound = values.first().and_then(Value::as_str);
        number(value).zip(number(bound)).is_some_and(|(value, bound)| holds(value, bound))
    };
    match requirement["operator"].as_str() {
        Some("In") => among(),
        Some("NotIn") => !among(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        Some("Gt") => compare(|value, bound| value > bound),
        Some("Lt") => compare(|value, bound| value < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_toleration_names_key_value_and_effect_or_leaves_them_open() {
        let taint = json!({"key": "gpu", "value": "a100", "effect": "NoSchedule"});
        for (toleration, expected) in [
            (json!({"key": "gpu", "operator": "Equal", "value": "a100", "effect": "NoSchedule"}), true),
            (json!({"key": "gpu", "value": "a100"}), true),
            (json!({"key": "gpu", "operator": "Exists"}), true),
            (json!({"operator": "Exists"}), true),
            (json!({"key": "gpu", "value": "h100"}), false),
            (json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "other", "operator": "Exists"}), false),
        ] {
            assert_eq!(tolerates(&toleration, &taint), expected, "{toleration}");
        }
    }

    #[test]
    fn node_affinity_is_one_of_its_terms_and_all_of_their_requirements() {
        let node = json!({"metadata": {"name": "node01", "labels": {"zone": "a", "cores": "8"}}});
        let affine = |terms: Value| {
            is_meant(
                &node,
                &json!({"affinity": {"nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}),
            )
        };
        let zone = json!({"key": "zone", "operator": "In", "values": ["a", "b"]});
        let large = json!({"key": "cores", "operator": "Gt", "values": ["16"]});
        let name = json!({"key": "metadata.name", "operator": "In", "values": ["node01"]});
        assert!(affine(json!([{"matchExpressions": [zone]}])));
        assert!(!affine(json!([{"matchExpressions": [zone, large]}])));
        assert!(affine(json!([{"matchExpressions": [large]}, {"matchFields": [name]}])));
        assert!(!affine(json!([{}])));
        assert!(!is_meant(&node, &json!({"nodeSelector": {"zone": "c"}})));
    }
}
