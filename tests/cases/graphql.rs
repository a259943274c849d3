//! Questions of `docs/graphql.md`, asked of the `careen serve` that runs.

use careen_tests::{
    case::Case,
    objects::text,
    rest::Caller,
    wait::{check, soon},
};
use serde_json::{Value, json};

/// What is answered, if nothing is refused.
async fn ask(caller: &Caller<'_>, query: &str) -> Result<Value, String> {
    let mut answer = caller.post("/graphql", json!({"query": query})).await.check(200)?;
    check(answer.get("errors").is_none(), || format!("{answer:#}"))?;
    Ok(answer["data"].take())
}

pub async fn what_is_stuck_and_why(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 2, 1).await;
    case.ready_on(&a, 2).await;
    case.budget("never", "web", json!({"maxUnavailable": 0}), 0).await;
    case.node("b").await;
    let name = case.maintain(&a).await;
    case.until_condition(&name, "Stuck", "True").await;
    let token = case.account_with("viewer", "careen-viewer").await;
    let viewer = case.caller(&token);
    let query = format!(
        "{{ maintenances(node: \"{a}\", isStuck: true) {{ nodes {{ name nodeName blocking {{ kind namespace name class \
         reason message since }} node {{ schedulable taints {{ key effect }} }} }} }} }}"
    );
    // The caches of Careen may be a moment behind what this test sees.
    let found = soon("the maintenance is found", async || {
        let found = ask(&viewer, &query).await?["maintenances"]["nodes"][0].take();
        check(!found.is_null(), || "it is not".to_owned())?;
        Ok(found)
    })
    .await;
    assert_eq!((text(&found, "/name"), text(&found, "/nodeName")), (name.as_str(), a.as_str()));
    assert_eq!(found["node"]["schedulable"], false);
    let blocking = &found["blocking"][0];
    assert_eq!((text(blocking, "/class"), text(blocking, "/reason")), ("Stuck", "BudgetNeverAllows"));
    assert!(text(blocking, "/message").contains("never"), "it names the budget: {blocking}");
}

pub async fn what_would_happen_if_a_node_were_drained(case: Case) {
    let a = case.node("a").await;
    case.deployment("web", 2, 1).await;
    case.ready_on(&a, 2).await;
    case.budget("never", "web", json!({"maxUnavailable": 0}), 0).await;
    case.daemon_set("agent").await;
    case.ready_on(&a, 3).await;
    let before = case.look_of(&a).await;
    let token = case.account_with("viewer", "careen-viewer").await;
    let viewer = case.caller(&token);
    let query = format!(
        "{{ plan(node: \"{a}\") {{ refusal {{ reason }} counts {{ skip evict stuck }} workloads {{ name verdict budgets \
         block {{ class reason message }} }} }} }}"
    );
    let plan = soon("the plan has them all", async || {
        let plan = ask(&viewer, &query).await?["plan"].take();
        let is_whole = plan["counts"] == json!({"skip": 1, "evict": 0, "stuck": 2});
        check(is_whole, || plan.to_string())?;
        Ok(plan)
    })
    .await;
    assert_eq!(plan["refusal"], Value::Null);
    let blocked = plan["workloads"].as_array().into_iter().flatten().filter(|entry| entry["verdict"] == "Blocked");
    for entry in blocked {
        assert_eq!((&entry["budgets"], text(entry, "/block/reason")), (&json!(["never"]), "BudgetNeverAllows"));
    }
    case.stays_untouched(&a, &before).await;
    let refused = viewer.post(
        "/graphql",
        json!({"query": format!("mutation {{ cordonNode(input: {{ node: \"{a}\" }}) {{ changed }} }}")}),
    );
    let refused = refused.await.expect(200);
    assert_eq!(text(&refused, "/errors/0/extensions/code"), "Forbidden", "{refused}");
}
