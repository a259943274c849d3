//! The fields that an operation begins with: of a mutation each is a change, and of a subscription it is the stream.

use std::collections::HashSet;

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet};

use super::cost::TooMuch;

/// So many changes one request has. Each counts as a request of its caller, who may have a burst of 200.
const MAX_CHANGES: usize = 10;

/// How many requests an operation is, of those that its caller may send.
///
/// What is asked here was weighed before: its fragments are there, and none uses itself.
pub(super) fn requests(document: &ExecutableDocument, operation: &OperationDefinition) -> Result<usize, TooMuch> {
    let selection = &operation.selection_set.node;
    match operation.ty {
        OperationType::Query => Ok(1),
        OperationType::Subscription => match &*selection.items {
            [one] if matches!(one.node, Selection::Field(_)) => Ok(1),
            _ => Err(TooMuch::SeveralStreams),
        },
        OperationType::Mutation => {
            let mut keys = Vec::new();
            add_keys(document, selection, &mut keys);
            if keys.len() > MAX_CHANGES {
                return Err(TooMuch::Changes { found: keys.len(), most: MAX_CHANGES });
            }
            // GraphQL makes one field of them; the library runs both.
            let mut seen = HashSet::new();
            match keys.iter().find(|key| !seen.insert(**key)) {
                Some(key) => Err(TooMuch::Twice((*key).to_owned())),
                None => Ok(keys.len()),
            }
        }
    }
}

/// The response keys of the fields, wherever they are written.
fn add_keys<'a>(document: &'a ExecutableDocument, selection: &'a SelectionSet, keys: &mut Vec<&'a str>) {
    for item in &selection.items {
        match &item.node {
            Selection::Field(field) => keys.push(field.node.response_key().node.as_str()),
            Selection::InlineFragment(fragment) => add_keys(document, &fragment.node.selection_set.node, keys),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    add_keys(document, &fragment.node.selection_set.node, keys);
                }
            }
        }
    }
}
