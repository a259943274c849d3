//! The scheduler's matching rules, as far as an estimate needs them.

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration};

use crate::model::Node;

/// Whether one of the terms matches the node; without terms there is no rule.
/// <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-affinity>
pub(super) fn selects(terms: &[NodeSelectorTerm], node: &Node) -> bool {
    terms.is_empty() || terms.iter().any(|term| term_matches(term, node))
}

/// All requirements of a term must hold; a term without any matches nothing.
fn term_matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let field = |name: &str| (name == "metadata.name").then(|| node.name.as_str());
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|rule| holds(rule, node.labels.get(&rule.key).map(String::as_str)))
        && fields.iter().all(|rule| holds(rule, field(&rule.key)))
}

fn holds(rule: &NodeSelectorRequirement, found: Option<&str>) -> bool {
    let values = rule.values.as_deref().unwrap_or_default();
    let is_among = |found: &str| values.iter().any(|value| value == found);
    let number = |text: &str| text.parse::<i64>().ok();
    let wanted = || values.first().and_then(|value| number(value));
    match rule.operator.as_str() {
        "In" => found.is_some_and(is_among),
        "NotIn" => !found.is_some_and(is_among),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => found.and_then(number).zip(wanted()).is_some_and(|(found, wanted)| found > wanted),
        "Lt" => found.and_then(number).zip(wanted()).is_some_and(|(found, wanted)| found < wanted),
        _ => false,
    }
}

/// Whether a pod with these tolerations may be put on a node with that taint.
/// <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>
pub(super) fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    taint.effect == "PreferNoSchedule" || tolerations.iter().any(|toleration| covers(toleration, taint))
}

fn covers(toleration: &Toleration, taint: &Taint) -> bool {
    let key = toleration.key.as_deref().unwrap_or_default();
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let value = toleration.value.as_deref().unwrap_or_default();
    let covers_value = match toleration.operator.as_deref() {
        Some("Exists") => true,
        None | Some("" | "Equal") => !key.is_empty() && value == taint.value.as_deref().unwrap_or_default(),
        Some(_) => false,
    };
    covers_value && (key.is_empty() || key == taint.key) && (effect.is_empty() || effect == taint.effect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::node;

    fn rule(key: &str, operator: &str, values: &[&str]) -> NodeSelectorRequirement {
        NodeSelectorRequirement {
            key: key.into(),
            operator: operator.into(),
            values: Some(values.iter().map(|&value| value.into()).collect()),
        }
    }

    fn expressions(rules: Vec<NodeSelectorRequirement>) -> NodeSelectorTerm {
        NodeSelectorTerm { match_expressions: Some(rules), match_fields: None }
    }

    #[test]
    fn each_operator_reads_labels_as_the_scheduler_does() {
        let node = node("node02").label("disk", "ssd").label("cores", "16");
        for (key, operator, values, expected) in [
            ("disk", "In", &["hdd", "ssd"][..], true),
            ("disk", "In", &["hdd"], false),
            ("gone", "In", &["ssd"], false),
            ("disk", "NotIn", &["ssd"], false),
            ("gone", "NotIn", &["ssd"], true),
            ("disk", "Exists", &[], true),
            ("gone", "Exists", &[], false),
            ("gone", "DoesNotExist", &[], true),
            ("disk", "DoesNotExist", &[], false),
            ("cores", "Gt", &["8"], true),
            ("cores", "Gt", &["16"], false),
            ("cores", "Lt", &["32"], true),
            ("disk", "Gt", &["8"], false),
            ("gone", "Lt", &["8"], false),
            ("disk", "Like", &["s*"], false),
        ] {
            let term = expressions(vec![rule(key, operator, values)]);
            assert_eq!(selects(&[term], &node), expected, "{key} {operator} {values:?}");
        }
    }

    #[test]
    fn terms_are_alternatives_and_their_rules_are_not() {
        let node = node("node02").label("disk", "ssd");
        let is_ssd = || rule("disk", "In", &["ssd"]);
        let is_absent = || rule("gone", "Exists", &[]);
        let named = |name: &str| NodeSelectorTerm {
            match_expressions: None,
            match_fields: Some(vec![rule("metadata.name", "In", &[name])]),
        };
        assert!(selects(&[], &node));
        assert!(!selects(&[NodeSelectorTerm::default()], &node));
        assert!(!selects(&[expressions(vec![is_ssd(), is_absent()])], &node));
        assert!(selects(&[expressions(vec![is_absent()]), expressions(vec![is_ssd()])], &node));
        assert!(selects(&[named("node02")], &node) && !selects(&[named("node03")], &node));
    }

    #[test]
    fn a_toleration_covers_by_key_value_and_effect() {
        let taint = Taint {
            key: "dedicated".into(),
            value: Some("db".into()),
            effect: "NoSchedule".into(),
            ..Taint::default()
        };
        let toleration = |key: &str, operator: Option<&str>, value: &str, effect: &str| {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Toleration {
                key: text(key),
                operator: operator.map(str::to_owned),
                value: text(value),
                effect: text(effect),
                toleration_seconds: None,
            }
        };
        for (toleration, expected) in [
            (toleration("dedicated", None, "db", ""), true),
            (toleration("dedicated", Some("Equal"), "db", "NoSchedule"), true),
            (toleration("dedicated", Some("Equal"), "web", ""), false),
            (toleration("dedicated", Some("Exists"), "", "NoExecute"), false),
            (toleration("dedicated", Some("Exists"), "", ""), true),
            (toleration("", Some("Exists"), "", ""), true),
            (toleration("other", Some("Exists"), "", ""), false),
            (toleration("dedicated", Some("Gt"), "db", ""), false),
        ] {
            assert_eq!(tolerates(std::slice::from_ref(&toleration), &taint), expected, "{toleration:?}");
        }
        assert!(!tolerates(&[], &taint));
        assert!(tolerates(&[], &Taint { effect: "PreferNoSchedule".into(), ..taint }));
    }
}
