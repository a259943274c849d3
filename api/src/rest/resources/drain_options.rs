//! How a node is drained, as clients write it: in a body, or in a query. One type of `core` says which options there
//! are.

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use careen_core::model::DrainSpec;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value, json};
use utoipa::{
    IntoParams,
    openapi::path::{Parameter, ParameterBuilder, ParameterIn},
};

use crate::rest::schema;

/// Options in a body. One that does not exist is refused: a word that is misspelt would mean a default.
#[derive(Clone, Debug, Default)]
pub(super) struct DrainBody(pub(super) DrainSpec);

/// Options in a query.
#[derive(Clone, Debug, Default)]
pub(super) struct DrainQuery(pub(super) DrainSpec);

impl<'de> Deserialize<'de> for DrainBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        spec(Map::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for DrainBody {
    fn schema_name() -> Cow<'static, str> {
        "DrainRequest".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = DrainSpec::json_schema(generator);
        schema.insert("examples".to_owned(), json!([{}, { "timeout": "2h", "unmanagedPods": "Evict" }]));
        schema
    }
}

impl<'de> Deserialize<'de> for DrainQuery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let fields = texts.into_iter().map(|(name, text)| {
            let is_switch = OPTIONS.get(&name).is_some_and(is_boolean);
            let value = match text.parse::<bool>() {
                Ok(switch) if is_switch => Value::Bool(switch),
                _ => Value::String(text),
            };
            (name, value)
        });
        spec(fields.collect()).map(Self).map_err(D::Error::custom)
    }
}

impl IntoParams for DrainQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |(name, option): (&String, &Value)| {
            let description = option["description"].as_str().unwrap_or_default().to_owned();
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .description(Some(description))
                .schema(Some(schema::packed_value(option.clone())))
                .build()
        };
        OPTIONS.iter().map(parameter).collect()
    }
}

/// The options, with the schema of each.
static OPTIONS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let schema = DrainSpec::json_schema(&mut generator);
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
});

fn is_boolean(option: &Value) -> bool {
    let types = &option["type"];
    types == "boolean" || types.as_array().is_some_and(|types| types.contains(&Value::from("boolean")))
}

fn spec(fields: Map<String, Value>) -> Result<DrainSpec, String> {
    if let Some(unknown) = fields.keys().find(|name| !OPTIONS.contains_key(*name)) {
        let allowed = OPTIONS.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(format!("unknown field `{unknown}`, expected one of {allowed}"));
    }
    for (name, value) in &fields {
        // One at a time, so that the sentence names it.
        let one = Map::from_iter([(name.clone(), value.clone())]);
        serde_json::from_value::<DrainSpec>(Value::Object(one)).map_err(|error| format!("{name}: {error}"))?;
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn options_are_the_same_in_a_body_and_in_a_query() {
        let body: DrainBody = serde_json::from_str(
            r#"{"timeout": "1h", "overrideQuorum": true, "unmanagedPods": "Evict", "podSelector": "true"}"#,
        )
        .unwrap();
        let query = "timeout=1h&overrideQuorum=true&unmanagedPods=Evict&podSelector=true";
        let query: DrainQuery = serde_urlencoded::from_str(query).unwrap();
        assert_eq!(body.0, query.0);
    }

    /// Milliseconds; many seconds if the schema were made for each.
    #[test]
    fn many_names_take_no_time() {
        let names = (0..20_000).map(|number| format!("a{number}")).collect::<Vec<_>>().join("&");
        let begun = Instant::now();
        assert!(serde_urlencoded::from_str::<DrainQuery>(&names).is_err());
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_word_that_is_misspelt_is_refused() {
        for (query, says) in [
            ("timout=1h", "unknown field `timout`, expected one of `deleteAfter`"),
            ("unmanagedPods=evict", "unmanagedPods: unknown variant `evict`, expected `Evict` or `Block`"),
            ("overrideQuorum=yes", "overrideQuorum: invalid type: string \"yes\", expected a boolean"),
        ] {
            let error = serde_urlencoded::from_str::<DrainQuery>(query).unwrap_err().to_string();
            assert!(error.contains(says), "{query}: {error}");
        }
        assert!(serde_json::from_str::<DrainBody>(r#"{"timeout": 5}"#).is_err());
    }
}
