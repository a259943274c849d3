//! Lists come in pages: `limit` and `continue`, in an order that does not change.
//!
//! A page goes on after the key of the last object of the one before, so objects that come and go meanwhile move no
//! other out of its place, and a cursor never runs out.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::{problem::Problem, schema::packed_value};

/// A page has so many objects if nothing is said, and never more.
const MAX: u16 = 500;

/// One page of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<T> {
    /// The objects of this page, in the order of their keys (name, or namespace and name).
    items: Vec<T>,
    /// Where the next page begins: send it as `continue`. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#continue: Option<String>,
}

/// How many objects a page has: 1 to 500.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u16")]
pub(crate) struct Limit(u16);

impl TryFrom<u16> for Limit {
    type Error = String;

    fn try_from(limit: u16) -> Result<Self, String> {
        if (1..=MAX).contains(&limit) { Ok(Self(limit)) } else { Err(format!("a page has 1 to {MAX} objects")) }
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        packed_value(json!({ "type": "integer", "format": "int32", "minimum": 1, "maximum": MAX }))
    }
}

impl ToSchema for Limit {}

/// Which page: the values of `limit` and `continue`.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    limit: usize,
    after: Option<Vec<String>>,
    list: &'static str,
}

/// What is in a cursor. Not a secret, and nothing to rely on.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    /// The list that it is of.
    list: String,
    /// The key of the last object of the page.
    after: Vec<String>,
}

impl<T> List<T> {
    /// The objects.
    pub(crate) fn items_mut(&mut self) -> &mut [T] {
        &mut self.items
    }

    /// The same page of what is made of each object.
    pub(crate) fn map<U>(self, f: impl FnMut(T) -> U) -> List<U> {
        List { items: self.items.into_iter().map(f).collect(), r#continue: self.r#continue }
    }

    /// The objects, and whether there are more behind them.
    pub(crate) fn into_parts(self) -> (Vec<T>, bool) {
        (self.items, self.r#continue.is_some())
    }
}

/// The cursor that a page goes on from, behind the object of that key.
pub(crate) fn cursor(list: &str, after: Vec<String>) -> String {
    let cursor = Cursor { list: list.to_owned(), after };
    // Strings: this does not fail.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
}

impl Page {
    /// A page of that list.
    pub(crate) fn of(list: &'static str, limit: Option<Limit>, cursor: Option<&str>) -> Result<Self, Problem> {
        let limit = usize::from(limit.map_or(MAX, |limit| limit.0));
        let after = cursor.map(|cursor| after(list, cursor)).transpose()?;
        Ok(Self { limit, after, list })
    }

    /// Whether an object of that key comes before the page.
    pub(crate) fn is_before(&self, key: &[String]) -> bool {
        self.after.as_deref().is_some_and(|after| key <= after)
    }

    /// Cuts the page out of all objects, which come in the order of their keys.
    pub(crate) fn cut<T>(self, all: impl IntoIterator<Item = T>, key: impl Fn(&T) -> Vec<String>) -> List<T> {
        let mut rest = all.into_iter().skip_while(|object| self.is_before(&key(object)));
        let items: Vec<T> = rest.by_ref().take(self.limit).collect();
        let more = rest.next().is_some();
        let last = items.last().filter(|_| more);
        List { r#continue: last.map(|last| cursor(self.list, key(last))), items }
    }
}

fn after(list: &str, cursor: &str) -> Result<Vec<String>, Problem> {
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    let cursor: Option<Cursor> = decoded.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match cursor.filter(|cursor| cursor.list == list) {
        Some(cursor) => Ok(cursor.after),
        None => Err(Problem::bad_request(
            "continue in the query: this is no cursor of this list; send the one of the page before, or none",
        )
        .field("continue")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(all: &[&str], limit: u16, cursor: Option<&str>) -> List<String> {
        let page = Page::of("things", Some(Limit(limit)), cursor).unwrap();
        page.cut(all.iter().map(|name| (*name).to_owned()), |name| vec![name.clone()])
    }

    #[test]
    fn what_comes_and_goes_moves_no_other_out_of_its_place() {
        let first = page(&["a", "c", "e", "g"], 2, None);
        assert_eq!(first.items, ["a", "c"]);
        let second = page(&["a", "b", "d", "e", "g"], 2, first.r#continue.as_deref());
        assert_eq!(second.items, ["d", "e"]);
        let third = page(&["g"], 2, second.r#continue.as_deref());
        assert_eq!((third.items, third.r#continue), (vec!["g".to_owned()], None));
    }

    #[test]
    fn a_cursor_of_another_list_or_of_nobody_is_refused() {
        let cursor = page(&["a", "b"], 1, None).r#continue.unwrap();
        assert!(Page::of("others", None, Some(&cursor)).is_err());
        for bad in ["", "!", "bm90IGpzb24", "e30", &cursor[1..]] {
            let problem = Page::of("things", None, Some(bad)).unwrap_err();
            assert!(problem.detail().starts_with("continue in the query"), "{bad}");
        }
    }

    #[test]
    fn a_page_has_one_to_five_hundred_objects() {
        for (limit, allowed) in [(0, false), (1, true), (500, true), (501, false)] {
            assert_eq!(Limit::try_from(limit).is_ok(), allowed, "{limit}");
        }
    }

    proptest! {
        #[test]
        fn pages_together_are_the_list(all in prop::collection::btree_set(("[a-c-]{1,2}", "[a-c-]{1,2}"), 0..40), limit in 1_u16..9) {
            let key = |(namespace, name): &(String, String)| vec![namespace.clone(), name.clone()];
            let (mut seen, mut cursor) = (Vec::new(), None::<String>);
            loop {
                let page = Page::of("things", Some(Limit(limit)), cursor.as_deref()).unwrap();
                let page = page.cut(all.iter().cloned(), key);
                prop_assert!(page.items.len() <= usize::from(limit));
                seen.extend(page.items);
                cursor = page.r#continue;
                if cursor.is_none() { break }
            }
            prop_assert_eq!(seen, all.into_iter().collect::<Vec<_>>());
        }
    }
}
