//! `PUT …/evacuate/cancel`: takes back the mark of an eviction. A migration that runs goes on.
//! <https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-api/rest/evacuate_cancel.go>

use serde_json::{Value, json};

use super::answer::Answer;
use crate::actors::{
    actor::Write,
    kubevirt::{configuration::Configuration, evacuation::is_drained, names::INSTANCE, object::text},
    view::{View, key_of},
};

/// What the real one says when its patch was refused: the mark is another than the body says.
const REJECTED: &str = "the server rejected our request due to an error in our request";

/// `live` holds the node that the VMI is on, or is marked with.
pub(super) fn answer(live: &View, vmi: &Value, options: &Value) -> Answer {
    let mark = text(vmi, "/status/evacuationNodeName");
    let node = node_concerned(vmi);
    let configuration = Configuration::of(live);
    let key = configuration.node_drain_taint_key();
    if is_drained(live, node, key) {
        let taint = format!("&Taint{{Key:{key},Value:,Effect:NoSchedule,TimeAdded:<nil>,}}");
        return Answer::bad_request(&format!("Node \"{node}\" has NodeDrainTaintKey \"{taint}\""));
    }
    if mark.is_empty() {
        return Answer::empty(200);
    }
    if text(options, "/evacuationNodeName") != mark {
        return Answer::internal_error(REJECTED);
    }
    if text(options, "/dryRun/0") == "All" {
        return Answer::empty(200);
    }
    // The version says what the real one's JSON patch tests: that the mark is still this one.
    let patch = json!({
        "metadata": {"resourceVersion": vmi["metadata"]["resourceVersion"]}, "status": {"evacuationNodeName": null},
    });
    Answer::empty(200).after(Write::Patch { kind: INSTANCE, key: key_of(vmi), subresource: None, patch })
}

/// The node whose taint matters.
pub(super) fn node_concerned(vmi: &Value) -> &str {
    match text(vmi, "/status/evacuationNodeName") {
        "" => text(vmi, "/status/nodeName"),
        mark => mark,
    }
}
