//! `budget`, and the pods that it covers.

use careen_core::{
    model::ObjectKey,
    view::{BudgetView, WorkloadView},
};

use super::{Root, Type, Types, rights, workloads};
use crate::graphql::connection::Paging;

/// The type.
pub(in crate::graphql) fn register(types: &mut Types) {
    Type::<BudgetView>::of_view(types, &[], &[])
        .connection::<Paging, WorkloadView>(
            "pods",
            "The pods that it covers, wherever they are, by name.",
            rights::list_pods,
            |budget, paging| {
                let key = ObjectKey::new(&budget.view.namespace, &budget.view.name);
                let views = &budget.scene.views;
                let pods = views.pods_of_budget(&key);
                paging.cut("workloads", pods, |pod| workloads::key(pod), |pod| views.workload(&pod.key))
            },
        )
        .done();
}

/// The questions.
pub(in crate::graphql) fn query(query: Type<'_, Root>) -> Type<'_, Root> {
    query.link::<ObjectKey, BudgetView>(
        "budget",
        "The PodDisruptionBudget of that namespace and name; null if there is none.",
        rights::list_budgets,
        |root, key| Ok(root.scene.views.budget(&key)),
    )
}
