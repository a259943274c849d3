//! Kubernetes' word on what a caller may do.

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};
use tokio::{sync::Semaphore, time::timeout};

use super::{Caller, Digest, Freshness, REVIEW_WITHIN, Right, fresh::Fresh};
use crate::rest::{Problem, Reason};

/// An answer is good for a read for so long; for anything else it is never old.
const READ_GOOD_FOR: Duration = Duration::from_secs(10);
/// So many reviews run at once.
const MAX_REVIEWS: usize = 32;

/// Kubernetes' word on rights.
#[derive(Debug)]
pub(super) struct Access {
    reviews: Api<SubjectAccessReview>,
    known: Fresh<Digest, bool>,
    permits: Semaphore,
}

impl Access {
    pub(super) fn new(client: Client) -> Self {
        Self { reviews: Api::all(client), known: Fresh::new(), permits: Semaphore::new(MAX_REVIEWS) }
    }

    /// Whether the caller has all of these rights; else the problem names those that are missing.
    pub(super) async fn demand(&self, caller: &Caller, rights: &[Right], freshness: Freshness) -> Result<(), Problem> {
        let answers = rights.iter().map(|right| async move {
            match freshness {
                Freshness::Now => self.review(caller, right).await,
                Freshness::MayBeSecondsOld => self.may_read(caller, right).await,
            }
        });
        let answers = try_join_all(answers).await?;
        let missing: Vec<String> =
            rights.iter().zip(answers).filter(|(_, allowed)| !allowed).map(|(right, _)| right.to_string()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let detail = format!("{:?} may not {}", caller.user, missing.join(", nor "));
        Err(Problem::new(Reason::FORBIDDEN, detail).missing(missing))
    }

    /// Whether the caller has that right; the answer may be seconds old. Who may read all objects of a kind may read
    /// each, so that is asked first: it is one question for many objects.
    async fn may_read(&self, caller: &Caller, right: &Right) -> Result<bool, Problem> {
        if right.name.is_some() {
            let all = Right { name: None, ..right.clone() };
            if self.kept(caller, &all).await? {
                return Ok(true);
            }
        }
        self.kept(caller, right).await
    }

    async fn kept(&self, caller: &Caller, right: &Right) -> Result<bool, Problem> {
        // Strings and lists of them: this does not fail.
        let key = Digest::of(&serde_json::to_vec(&(caller, right)).unwrap_or_default());
        let ask = async { Ok((self.review(caller, right).await?, READ_GOOD_FOR)) };
        // Whoever waits for somebody else's question waits no longer than for its own.
        let answer = timeout(REVIEW_WITHIN, self.known.get(key, ask)).await;
        answer.map_err(|_| not_reviewed("it does not answer"))?
    }

    async fn review(&self, caller: &Caller, right: &Right) -> Result<bool, Problem> {
        let review = timeout(REVIEW_WITHIN, async {
            let _permit = self.permits.acquire().await;
            self.reviews.create(&PostParams::default(), &question(caller, right)).await
        });
        match review.await {
            Ok(Ok(answered)) => Ok(answered.status.is_some_and(|status| status.allowed)),
            Ok(Err(error)) => Err(not_reviewed(&error.to_string())),
            Err(_) => Err(not_reviewed("it does not answer")),
        }
    }
}

fn question(caller: &Caller, right: &Right) -> SubjectAccessReview {
    let permission = right.permission;
    let attributes = ResourceAttributes {
        verb: Some(permission.verb.to_owned()),
        group: Some(permission.group.to_owned()),
        resource: Some(permission.resource.to_owned()),
        subresource: Some(permission.subresource.to_owned()).filter(|subresource| !subresource.is_empty()),
        namespace: right.namespace.clone(),
        name: right.name.clone(),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(caller.user.clone()),
        uid: caller.uid.clone(),
        groups: Some(caller.groups.clone()),
        extra: Some(caller.extra.clone()),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}

fn not_reviewed(error: &str) -> Problem {
    tracing::warn!(error, "what a caller may do could not be asked");
    Problem::unavailable("what the caller may do cannot be asked: the API server does not answer, or refuses to")
}
