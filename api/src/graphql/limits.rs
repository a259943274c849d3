//! How much one request may ask for.

/// How much one request may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Words and signs of a document. The question of GraphiQL about the schema has 400.
    pub(super) tokens: usize,
    /// How deep brackets are nested in it: twice the depth of fields, because arguments have some.
    pub(super) brackets: usize,
    /// How deep fields are nested. The question of GraphiQL about the schema goes 15 deep, and from a node to the pods
    /// of a budget of one of its workloads it is 8.
    pub(super) depth: u64,
    /// Fields, each fragment counted where it is used.
    pub(super) fields: u64,
    /// Fields with an alias.
    pub(super) aliases: u64,
    /// Directives.
    pub(super) directives: u64,
    /// What the answer costs, in objects: 100 nodes with 30 workloads each, and of each its budgets, its VM and its
    /// migration.
    pub(super) cost: u64,
    /// What all subscriptions of one caller cost: each is worked out up to four times in a second.
    pub(super) followed: usize,
    /// Whether the schema may be asked for.
    pub(super) introspection: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tokens: 4000,
            brackets: 40,
            depth: 18,
            fields: 1000,
            aliases: 50,
            directives: 50,
            cost: 15_000,
            followed: 60_000,
            introspection: true,
        }
    }
}

impl Limits {
    /// The usual ones, and whether the schema may be asked for.
    pub(crate) fn with_introspection(introspection: bool) -> Self {
        Self { introspection, ..Self::default() }
    }
}
