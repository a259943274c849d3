use serde_json::{Value, json};

use crate::actors::kubevirt::{
    definitions::{custom_resource_definitions, kubevirt, namespace, validating_webhooks},
    object::{list, name_of, text},
};

fn of<'a>(all: &'a [Value], name: &str) -> &'a Value {
    all.iter().find(|found| name_of(found) == name).unwrap()
}

#[test]
fn kinds_have_the_short_names_and_columns_that_people_know() {
    let all = custom_resource_definitions();
    let vmi = of(&all, "virtualmachineinstances.kubevirt.io");
    assert_eq!(vmi["spec"]["names"]["shortNames"], json!(["vmi", "vmis"]));
    assert_eq!(vmi["spec"]["names"]["singular"], "virtualmachineinstance");
    let columns: Vec<_> =
        list(vmi, "/spec/versions/0/additionalPrinterColumns").iter().map(|column| text(column, "/name")).collect();
    assert_eq!(columns, ["Age", "Phase", "IP", "NodeName", "Ready", "Live-Migratable", "Paused"]);
}

#[test]
fn all_but_vmis_have_a_status_subresource() {
    for definition in custom_resource_definitions() {
        let has_status = definition["spec"]["versions"][0]["subresources"]["status"].is_object();
        assert_eq!(
            has_status,
            name_of(&definition) != "virtualmachineinstances.kubevirt.io",
            "{}",
            name_of(&definition)
        );
    }
}

#[test]
fn the_configuration_is_kubevirts() {
    let made = kubevirt(Some("LiveMigrate"));
    let configuration = &made["spec"]["configuration"];
    assert_eq!(configuration["migrations"]["parallelMigrationsPerCluster"], 5);
    assert_eq!(configuration["migrations"]["parallelOutboundMigrationsPerNode"], 2);
    assert_eq!(configuration["evictionStrategy"], "LiveMigrate");
    assert_eq!(made["metadata"]["namespace"], name_of(&namespace()));
}

#[test]
fn webhooks_are_asked_where_they_are() {
    let made = validating_webhooks(|path| json!({"url": format!("https://127.0.0.1:1{path}")}));
    let urls: Vec<_> = list(&made, "/webhooks").iter().map(|hook| text(hook, "/clientConfig/url")).collect();
    assert_eq!(
        urls,
        [
            "https://127.0.0.1:1/pod-eviction-validate",
            "https://127.0.0.1:1/pod-eviction-validate",
            "https://127.0.0.1:1/migration-validate-create",
        ]
    );
}
