//! The schema is what the code says.

use crate::{graphql::schema, rest::tests::contract::held};

#[test]
fn documents_have_the_schema_of_the_code() {
    held("openapi/schema.graphql", &schema::text().unwrap());
}
