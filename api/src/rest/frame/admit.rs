//! The doorkeeper: who calls, how often, and whether they may. It runs before the handler, so none can forget it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Account, Frame};
use crate::{
    auth::{Caller, Freshness, Operation, Right},
    rest::{problem::Problem, reason::Reason},
};

/// Lets a request through to its handler, or answers itself.
pub(super) async fn admit(
    State(frame): State<Frame>,
    route: MatchedPath,
    parameters: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(account) = request.extensions().get::<Account>().cloned() else {
        return Problem::internal("a request came to the doorkeeper past the frame").into_response();
    };
    account.set_route(route.as_str());
    let parameters: BTreeMap<String, String> = match &parameters {
        Ok(parameters) => parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Err(_) => return Problem::bad_request("the path is no UTF-8").into_response(),
    };
    if let Some(node) = parameters.get("node") {
        account.set_node(node);
    }
    match (parameters.get("namespace"), parameters.get("name")) {
        (Some(namespace), Some(name)) => account.set_object(format!("{namespace}/{name}")),
        (None, Some(name)) => account.set_object(name),
        (_, None) => {}
    }
    match frame.admitted(&account, request.headers(), route.as_str(), &parameters).await {
        Ok(admission) => {
            request.extensions_mut().insert(admission);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// What a caller was let in with. An answer that lasts asks again whether it still holds.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    frame: Frame,
    /// The header of that name, and nothing else.
    authorization: HeaderMap,
    user: String,
    rights: Vec<Right>,
}

impl Admission {
    /// Who it is.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Whether they would be let in now to read the same; the answer may be seconds old.
    pub(crate) async fn still_holds(&self) -> Result<(), Problem> {
        let auth = &self.frame.0.auth;
        let caller = auth.caller(&self.authorization).await?;
        auth.demand(&caller, &self.rights, Freshness::MayBeSecondsOld).await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admission {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let admission = parts.extensions.get::<Self>().cloned();
        admission.ok_or_else(|| Problem::internal("a request came to its handler past the doorkeeper"))
    }
}

fn authorization(headers: &HeaderMap) -> HeaderMap {
    let values = headers.get_all(header::AUTHORIZATION).iter().cloned();
    // Whoever writes it into a log writes no token.
    let sensitive = values.map(|mut value| {
        value.set_sensitive(true);
        (header::AUTHORIZATION, value)
    });
    sensitive.collect()
}

impl Frame {
    async fn admitted(
        &self,
        account: &Account,
        headers: &HeaderMap,
        route: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Admission, Problem> {
        // What is not in the table is open to nobody, whatever routes there are.
        let operation = Operation::find(account.method(), route).ok_or_else(|| not_taken(account, route))?;
        account.set_operation(operation);
        let caller = self.caller(account, headers).await?;
        let rights = operation.rights(parameters);
        self.0.auth.demand(&caller, &rights, operation.freshness()).await?;
        Ok(Admission { frame: self.clone(), authorization: authorization(headers), user: caller.user.clone(), rights })
    }

    /// Who calls, unless too often. What they may do is asked by whoever knows what they want.
    pub(crate) async fn caller(&self, account: &Account, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
        let caller = self.0.auth.caller(headers).await?;
        account.set_caller(caller.clone());
        self.count(&caller)?;
        Ok(caller)
    }

    /// Counts a request of that caller; refuses it if they send too many.
    pub(crate) fn count(&self, caller: &Caller) -> Result<(), Problem> {
        self.0.rates.take(&caller.user).map_err(|wait| {
            let sentence = format!("{:?} sends more requests than one caller may", caller.user);
            Problem::new(Reason::TOO_MANY_REQUESTS, sentence).retry_after(wait)
        })
    }

    /// Who calls with that header now. That it is asked again is not counted.
    pub(crate) async fn caller_now(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
        self.0.auth.caller(headers).await
    }
}

fn not_taken(account: &Account, route: &str) -> Problem {
    let (method, path) = (account.method(), account.path());
    let problem = Problem::new(Reason::METHOD_NOT_ALLOWED, format!("{path} does not take {method}"));
    problem.header("allow", Operation::methods(route).join(", "))
}
