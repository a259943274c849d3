//! The definition of the resource is missing.

use careen_tests::{
    case::Case,
    objects::{CLUSTER, kinds, name_of},
    wait::{check, soon},
};

pub async fn a_missing_definition_is_named_and_picked_up_when_installed(case: Case) {
    const DEFINITION: &str = "nodemaintenances.nodemaintenance.kubevirt.io";
    let a = case.node("a").await;
    let kind = kinds::CUSTOM_RESOURCE_DEFINITION;
    let mut definition = case.cluster().get(kind, CLUSTER, DEFINITION).await;
    assert_eq!(name_of(&definition), DEFINITION);
    case.suite.stop_careen().await;
    case.cluster().delete(kind, CLUSTER, DEFINITION).await;
    soon("the definition is gone", async || {
        let found = case.cluster().find(kind, CLUSTER, DEFINITION).await;
        check(found.is_none(), || "it is there".to_owned())
    })
    .await;
    let logged_before = std::fs::read_to_string(case.suite.log()).unwrap().len();
    // Whether or not it calls itself ready without, it runs and says what to do.
    let started = case.suite.start_careen().await;
    soon("the log names the command", async || {
        let log = std::fs::read_to_string(case.suite.log()).unwrap();
        let new = &log[logged_before..];
        let line = new.lines().find(|line| line.contains("careen crd") && line.contains("kubectl apply"));
        check(line.is_some(), || new.to_owned())
    })
    .await;
    started.unwrap();

    let fields = definition["metadata"].as_object_mut().unwrap();
    fields.retain(|field, _| field == "name");
    definition.as_object_mut().unwrap().remove("status");
    case.cluster().create(definition).await;
    case.cluster().until_served(kinds::MAINTENANCE).await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
}

pub async fn everything_in_deploy_is_accepted(case: Case) {
    let manifests = case.suite.control_plane.manifests().unwrap();
    let mut apply = vec!["apply", "--dry-run=server"];
    apply.extend(manifests.iter().map(String::as_str));
    let said = case.kubectl(&apply, "").await.ok().stdout;
    for object in ["deployment.apps/careen", "service/careen", "poddisruptionbudget.policy/careen"] {
        assert!(said.contains(object), "{said}");
    }
}
