//! Adjustments of generated schemas.

use schemars::Schema;

/// An enumeration's own text would stand in place of that of the field which uses it (`kubectl explain` shows one).
pub(crate) fn without_description(schema: &mut Schema) {
    schema.remove("description");
}
