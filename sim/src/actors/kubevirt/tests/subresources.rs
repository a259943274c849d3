use serde_json::{Value, json};

use super::bed::{Bed, CASES, bed, vm};
use crate::actors::{
    actor::Write,
    kinds::NODE,
    kubevirt::{
        names::{INSTANCE, MIGRATION, VIRTUAL_MACHINE},
        object::{text, uid_of},
        virt_api::{
            answer::{Answer, Body},
            migration::review_migration,
            subresources::{Request, answer},
        },
    },
    world::{merged, s},
};

fn marked() -> (Bed, String) {
    let mut bed = bed();
    let web = bed.runs(vm("web", Some("LiveMigrate"), &[("migration-stays-in", "Running")]));
    bed.evict(&web);
    bed.world.run(s(5));
    let node = bed.node_of(&web);
    (bed, node)
}

fn put(bed: &Bed, path: &str, body: Value) -> Answer {
    let path = format!("/apis/subresources.kubevirt.io/v1/namespaces/{CASES}/{path}");
    answer(&bed.world.view, &Request { method: "PUT".into(), path, accept: Some("*/*".into()), body })
}

fn cancel(bed: &Bed, body: Value) -> Answer {
    put(bed, "virtualmachineinstances/web/evacuate/cancel", body)
}

fn status(answer: &Answer) -> &Value {
    let Body::Json(status) = &answer.body else { panic!("{answer:?}") };
    status
}

#[test]
fn the_mark_is_taken_back_for_who_names_the_node() {
    let (bed, node) = marked();
    for path in ["virtualmachineinstances/web/evacuate/cancel", "virtualmachines/web/evacuate/cancel"] {
        let answer = put(&bed, path, json!({"evacuationNodeName": node}));
        assert_eq!((answer.code, &answer.body), (200, &Body::Empty));
        let [Write::Patch { kind, patch, .. }] = &answer.writes[..] else { panic!("{answer:?}") };
        assert_eq!((*kind, &patch["status"]), (INSTANCE, &json!({"evacuationNodeName": null})));
    }
    let dry = cancel(&bed, json!({"evacuationNodeName": node, "dryRun": ["All"]}));
    assert_eq!(dry, Answer::empty(200));
}

#[test]
fn the_mark_stays_for_everybody_else() {
    let (bed, _) = marked();
    for body in [Value::Null, json!({}), json!({"evacuationNodeName": "node-9"})] {
        let answer = cancel(&bed, body);
        let said = "the server rejected our request due to an error in our request";
        let expected = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": format!("Internal error occurred: {said}"), "reason": "InternalError",
            "details": {"causes": [{"message": said}]}, "code": 500,
        });
        assert_eq!((answer.code, status(&answer), answer.writes.len()), (500, &expected, 0));
    }
}

#[test]
fn where_there_is_no_mark_there_is_nothing_to_do() {
    let mut bed = bed();
    bed.runs(vm("web", Some("LiveMigrate"), &[]));
    assert_eq!(cancel(&bed, Value::Null), Answer::empty(200));
}

#[test]
fn a_vmi_that_does_not_exist_is_named_in_the_singular() {
    let answer = cancel(&bed(), Value::Null);
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "virtualmachineinstance.kubevirt.io \"web\" not found", "reason": "NotFound",
        "details": {"name": "web", "group": "kubevirt.io", "kind": "virtualmachineinstance"}, "code": 404,
    });
    assert_eq!((answer.code, status(&answer)), (404, &expected));
}

#[test]
fn the_drain_taint_stands_in_the_way() {
    let (mut bed, node) = marked();
    let taint = json!([{"key": "kubevirt.io/drain", "effect": "NoSchedule"}]);
    bed.world.patch(NODE, "", &node, &json!({"spec": {"taints": taint}}));
    let answer = cancel(&bed, json!({"evacuationNodeName": node}));
    assert_eq!(
        text(status(&answer), "/message"),
        format!(
            "Node \"{node}\" has NodeDrainTaintKey \"&Taint{{Key:kubevirt.io/drain,Value:,Effect:NoSchedule,\
             TimeAdded:<nil>,}}\""
        )
    );
    assert_eq!(answer.code, 400);
}

#[test]
fn who_accepts_json_only_gets_nothing() {
    let (bed, _) = marked();
    let path = "/apis/subresources.kubevirt.io/v1/namespaces/cases/virtualmachineinstances/web/evacuate/cancel";
    for (accept, code) in [("application/json", 406), ("application/json, */*", 500)] {
        let request =
            Request { method: "PUT".into(), path: path.into(), accept: Some(accept.into()), body: Value::Null };
        let answer = answer(&bed.world.view, &request);
        assert_eq!(answer.code, code);
        let text = Body::Text("406: Not Acceptable\n\nAvailable representations: ");
        assert_eq!(answer.body == text, code == 406);
    }
}

#[test]
fn a_user_can_have_a_vm_migrated() {
    let mut bed = bed();
    bed.world.create(VIRTUAL_MACHINE, vm("web", None, &[("guest-starts-after", "5s")]));
    bed.world.run(s(4));
    let migrate = |bed: &Bed| put(bed, "virtualmachines/web/migrate", json!({"addedNodeSelector": {"zone": "b"}}));
    let starting = migrate(&bed);
    let message = "Operation cannot be fulfilled on virtualmachine.kubevirt.io \"web\": VM is not running";
    assert_eq!((starting.code, text(status(&starting), "/message")), (409, message));
    bed.world.run(s(10));
    let asked = migrate(&bed);
    assert_eq!((asked.code, &asked.body), (202, &Body::Empty));
    let [Write::Create { kind, object }] = &asked.writes[..] else { panic!("{asked:?}") };
    assert_eq!((*kind, &object["spec"]), (MIGRATION, &json!({"vmiName": "web", "addedNodeSelector": {"zone": "b"}})));
    bed.world.create(MIGRATION, object.clone());
    bed.world.run(s(1));
    let again = migrate(&bed);
    assert_eq!(again.code, 500);
    assert!(text(status(&again), "/message").contains("in-flight migration detected."));
    assert_eq!(put(&bed, "virtualmachines/nope/migrate", Value::Null).code, 404);
}

#[test]
fn what_is_not_played_is_refused_with_a_sentence() {
    let answer = put(&bed(), "virtualmachineinstances/web/pause", Value::Null);
    assert_eq!(answer.code, 501);
    assert!(text(status(&answer), "/message").contains("does not implement PUT virtualmachineinstances/pause"));
}

#[test]
fn new_migrations_are_looked_at() {
    let mut bed = bed();
    bed.runs(vm("web", None, &[]));
    bed.runs(vm("stuck", None, &[("not-migratable", "DisksNotLiveMigratable")]));
    let judge = |bed: &Bed, spec: Value, more: Value| {
        let request = json!({"namespace": CASES, "object": {"metadata": {"name": "own"}, "spec": spec}});
        review_migration(&bed.world.view, "system:actors", &json!({"request": merged(request, &more)}))
    };
    assert_eq!(judge(&bed, json!({"vmiName": "web"}), json!({}))["allowed"], true);
    let missing = judge(&bed, json!({"vmiName": "nope"}), json!({}));
    assert_eq!(missing["status"], json!({"code": 400, "message": "the VMI \"cases/nope\" does not exist"}));
    let stuck = judge(&bed, json!({"vmiName": "stuck"}), json!({}));
    assert!(
        text(&stuck, "/status/message").starts_with("Cannot migrate VMI, Reason: DisksNotLiveMigratable, Message: ")
    );
    let urgent = json!({"vmiName": "web", "priority": "system-critical"});
    let administrator = json!({"userInfo": {"username": "admin", "groups": ["system:masters"]}});
    let refused = judge(&bed, urgent.clone(), administrator);
    assert_eq!((&refused["status"]["code"], &refused["status"]["reason"]), (&json!(422), &json!("Invalid")));
    let cause = &refused["status"]["details"]["causes"][0];
    assert_eq!((text(cause, "/reason"), text(cause, "/field")), ("FieldValueForbidden", "spec.migrationPriority"));
    let controller = json!({"userInfo": {"username": "system:serviceaccount:kubevirt:kubevirt-controller"}});
    assert_eq!(judge(&bed, urgent.clone(), controller)["allowed"], true);
    let played = json!({"userInfo": {"username": "system:actors"}});
    assert_eq!(judge(&bed, urgent, played)["allowed"], true);
    let first = json!({"metadata": {"namespace": CASES, "name": "first"}, "spec": {"vmiName": "web"}});
    bed.world.create(MIGRATION, first);
    let uid = uid_of(bed.world.get(MIGRATION, CASES, "first")).to_owned();
    let second = judge(&bed, json!({"vmiName": "web"}), json!({}));
    assert_eq!(
        text(&second, "/status/message"),
        format!(
            "in-flight migration detected. Active migration job ({uid}) is currently already in progress for VMI web."
        )
    );
}
