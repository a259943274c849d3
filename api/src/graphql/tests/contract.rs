//! The schema is what the code says.

use crate::{
    graphql::{Limits, schema},
    rest::tests::contract::held,
};

#[test]
fn documents_have_the_schema_of_the_code() {
    held("openapi/schema.graphql", &schema::text().unwrap());
}

#[tokio::test]
async fn the_schema_is_told_only_where_it_may_be_asked_for() {
    for (introspection, is_told) in [(true, true), (false, false)] {
        let built = schema::build(&Limits::with_introspection(introspection)).unwrap();
        let answer = built.schema.execute("{ __schema { types { name } } }").await;
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(text.contains("MaintenanceConnection"), is_told, "{text}");
    }
}
