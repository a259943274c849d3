//! The moment that an answer shows, and who looks at it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use careen_core::{cluster::Snapshot, view::Views};

use crate::{
    auth::{Caller, Operation, Right},
    rest::{Account, Api, Problem},
};

/// One moment of the cluster, for one request. Every object of the answer carries it: what leads from one to another is
/// looked up in the same snapshot.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) api: Api,
    pub(super) asker: Arc<Asker>,
    pub(super) views: Views,
}

/// Who asks, and what they were found to be allowed to see: each right is asked for once a request.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) account: Account,
    pub(super) caller: Arc<Caller>,
    found: Mutex<HashMap<Right, Verdict>>,
}

type Verdict = Result<(), Problem>;

impl Asker {
    pub(super) fn new(account: Account, caller: Arc<Caller>) -> Arc<Self> {
        Arc::new(Self { account, caller, found: Mutex::default() })
    }

    fn known(&self, rights: &[Right]) -> Option<Verdict> {
        // Nobody panics while holding it.
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let verdicts: Option<Vec<&Verdict>> = rights.iter().map(|right| found.get(right)).collect();
        verdicts.map(|verdicts| verdicts.into_iter().cloned().collect())
    }

    fn keep(&self, right: Right, verdict: Verdict) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(right, verdict);
    }
}

impl Scene {
    /// The cluster as it is now.
    pub(super) fn now(api: &Api, asker: Arc<Asker>) -> Result<Arc<Self>, Problem> {
        Ok(Arc::new(Self { api: api.clone(), asker, views: api.views()? }))
    }

    /// The cluster as it is now, with what a change has made of it: the caches may not show that yet.
    pub(super) fn after(&self, change: impl FnOnce(&mut Snapshot)) -> Arc<Self> {
        let mut snapshot = self.api.known();
        change(&mut snapshot);
        let views = Views::of(snapshot, self.api.now());
        Arc::new(Self { api: self.api.clone(), asker: self.asker.clone(), views })
    }

    /// What is known already about whether the caller may see that.
    pub(super) fn known(&self, rights: &[Right]) -> Option<Verdict> {
        self.asker.known(rights)
    }

    /// Whether the caller may see that.
    pub(super) async fn demand(&self, rights: &[Right]) -> Verdict {
        if let Some(verdict) = self.known(rights) {
            return verdict;
        }
        for right in rights {
            let verdict = self.api.demand_to_see(&self.asker.caller, std::slice::from_ref(right)).await;
            self.asker.keep(right.clone(), verdict);
        }
        self.known(rights).unwrap_or(Ok(()))
    }

    /// Demands what an operation of REST's table needs, for objects of these names.
    pub(super) async fn demand_change(&self, operation: &str, parameters: &[(&str, &str)]) -> Result<(), Problem> {
        let names = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let operation = Operation::named(operation);
        let operation = operation.ok_or_else(|| Problem::internal("a change is not in the table of operations"))?;
        self.demand_besides(&operation.rights(&names)).await
    }

    /// Demands what a change needs besides, because of what it is about.
    pub(super) async fn demand_besides(&self, rights: &[Right]) -> Result<(), Problem> {
        self.api.demand(&self.asker.account, rights).await
    }
}
