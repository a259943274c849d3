//! Connections, as [Relay](https://relay.dev/graphql/connections.htm) wants them, forwards: pages of REST's lists, with
//! the same cursors.

use std::sync::Arc;

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, Object, ResolverContext, TypeRef},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    scene::Scene,
    shown::{Shown, Types},
};
use crate::rest::{Limit, Page, Problem, cursor};

/// A page has so many objects if nothing is said.
pub(super) const FIRST: u16 = 100;

const PAGE_INFO: &str = "PageInfo";

/// Which page.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Paging {
    /// How many objects the page has at most: 1 to 500; 100 if nothing is said.
    #[schemars(with = "Option<u16>")]
    first: Option<Limit>,
    /// The cursor of the object before the page.
    after: Option<String>,
}

/// The objects of a page.
#[derive(Debug)]
pub(super) struct Found<T> {
    list: &'static str,
    items: Vec<(Vec<String>, T)>,
    is_more: bool,
    is_not_first: bool,
}

/// The same, as the fields of a connection see it.
#[derive(Debug)]
pub(super) struct Connection<T> {
    edges: Vec<Arc<Edge<T>>>,
    is_more: bool,
    is_not_first: bool,
}

#[derive(Debug)]
struct Edge<T> {
    list: &'static str,
    key: Vec<String>,
    node: Arc<Shown<T>>,
}

impl Paging {
    /// Cuts the page out of all objects of a list, which come in the order of their keys. Only those of the page are
    /// made into what is shown; `None` leaves one out.
    pub(super) fn cut<S, T>(
        &self,
        list: &'static str,
        all: impl IntoIterator<Item = S>,
        key: impl Fn(&S) -> Vec<String>,
        show: impl Fn(S) -> Option<T>,
    ) -> Result<Found<T>, Problem> {
        let is_not_first = self.after.is_some();
        let limit = self.first.or(Limit::try_from(FIRST).ok());
        let page = Page::of(list, limit, self.after.as_deref()).map_err(|_| no_cursor())?;
        let shown = all.into_iter().skip_while(|object| page.is_before(&key(object)));
        let shown = shown.filter_map(|object| {
            let key = key(&object);
            show(object).map(|shown| (key, shown))
        });
        let (items, is_more) = page.clone().cut(shown, |(key, _)| key.clone()).into_parts();
        Ok(Found { list, items, is_more, is_not_first })
    }
}

/// REST's problem names its own parameter, and where that is.
fn no_cursor() -> Problem {
    let sentence = "after: this is no cursor of this list; send the one of an object or of a page before, or none";
    Problem::bad_request(sentence).field("after")
}

impl<T> Found<T> {
    pub(super) fn shown(self, scene: &Arc<Scene>) -> Connection<T> {
        let Self { list, items, is_more, is_not_first } = self;
        let edge = |(key, item)| Arc::new(Edge { list, key, node: Shown::new(scene.clone(), item) });
        Connection { edges: items.into_iter().map(edge).collect(), is_more, is_not_first }
    }
}

impl<T> Edge<T> {
    fn cursor(&self) -> Value {
        Value::String(cursor(self.list, self.key.clone()))
    }
}

/// The type of the connection, which is made if there is none yet.
pub(super) fn register<T: JsonSchema + Send + Sync + 'static>(types: &mut Types) -> String {
    let item = T::schema_name();
    let (connection, edge) = (format!("{item}Connection"), format!("{item}Edge"));
    if types.objects.contains_key(&connection) {
        return connection;
    }
    types.prices.lead(&connection, "nodes", &item);
    types.prices.lead(&connection, "edges", &edge);
    types.prices.lead(&connection, "pageInfo", PAGE_INFO);
    types.prices.lead(&edge, "node", &item);
    let object = Object::new(&connection)
        .description("Some of a list, and where they are in it.")
        .field(
            Field::new("edges", TypeRef::named_nn_list_nn(&edge), |context| {
                let edges =
                    |found: &Connection<T>| FieldValue::list(found.edges.iter().cloned().map(FieldValue::owned_any));
                of::<Connection<T>>(&context, edges)
            })
            .description("The objects, each with its cursor."),
        )
        .field(
            Field::new("nodes", TypeRef::named_nn_list_nn(item.as_ref()), |context| {
                let node = |edge: &Arc<Edge<T>>| FieldValue::owned_any(edge.node.clone());
                of::<Connection<T>>(&context, |found| FieldValue::list(found.edges.iter().map(node)))
            })
            .description("The objects."),
        )
        .field(
            Field::new("pageInfo", TypeRef::named_nn(PAGE_INFO), |context| of(&context, page_info::<T>))
                .description("Whether there are more, and how to go on."),
        );
    types.objects.insert(connection.clone(), object);
    let object = Object::new(&edge)
        .description("An object of a list, and its cursor.")
        .field(
            Field::new("cursor", TypeRef::named_nn(TypeRef::STRING), |context| {
                of::<Edge<T>>(&context, |edge| FieldValue::value(edge.cursor()))
            })
            .description("Its place in the list, for `after`. It stays good when other objects come and go."),
        )
        .field(
            Field::new("node", TypeRef::named_nn(item.as_ref()), |context| {
                of::<Edge<T>>(&context, |edge| FieldValue::owned_any(edge.node.clone()))
            })
            .description("The object."),
        );
    types.objects.insert(edge, object);
    types.objects.entry(PAGE_INFO.to_owned()).or_insert_with(page_info_type);
    connection
}

fn of<'a, C: Send + Sync + 'static>(
    context: &ResolverContext<'a>,
    field: impl FnOnce(&C) -> FieldValue<'static>,
) -> FieldFuture<'a> {
    FieldFuture::Value(context.parent_value.downcast_ref::<Arc<C>>().map(|parent| field(parent)))
}

fn page_info<T>(found: &Connection<T>) -> FieldValue<'static> {
    let cursor = |edge: Option<&Arc<Edge<T>>>| edge.map_or(Value::Null, |edge| edge.cursor());
    FieldValue::value(async_graphql::value!({
        "hasNextPage": found.is_more,
        "hasPreviousPage": found.is_not_first,
        "startCursor": cursor(found.edges.first()),
        "endCursor": cursor(found.edges.last()),
    }))
}

fn page_info_type() -> Object {
    let boolean = || TypeRef::named_nn(TypeRef::BOOLEAN);
    let string = || TypeRef::named(TypeRef::STRING);
    let members = [
        ("hasNextPage", boolean(), "Whether there are objects after these."),
        ("hasPreviousPage", boolean(), "Whether the page was asked for after a cursor."),
        ("startCursor", string(), "The cursor of the first object."),
        ("endCursor", string(), "The cursor of the last object: send it as `after` for the next page."),
    ];
    let object = Object::new(PAGE_INFO).description("Where a page is in its list.");
    members.into_iter().fold(object, |object, (name, type_, description)| {
        let field = Field::new(name, type_, move |context| {
            let value = context.parent_value.as_value();
            FieldFuture::Value(value.and_then(|value| super::shape::member_of(value, name)))
        });
        object.field(field.description(description))
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn only_what_a_page_shows_is_made_and_one_more_to_know_whether_there_is_more() {
        let made = Cell::new(0);
        let paging = Paging { first: Limit::try_from(2).ok(), after: Some(cursor("things", vec!["a".to_owned()])) };
        let key = |name: &&str| vec![(*name).to_owned()];
        let show = |name: &'static str| {
            made.set(made.get() + 1);
            (name != "c").then_some(name)
        };
        let found = paging.cut("things", ["a", "b", "c", "d", "e", "f"], key, show).unwrap();
        let names: Vec<_> = found.items.into_iter().map(|(_, name)| name).collect();
        assert_eq!((names, found.is_more, made.get()), (vec!["b", "d"], true, 4));
    }
}
