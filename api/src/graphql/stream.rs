//! Subscriptions: what is asked for as it is, and again when it has changed. They cause nothing, and whoever comes
//! again begins with what is.
//!
//! A stream shows states, not events. It is pulled by the connection: while a client does not read, nothing is worked
//! out for it, and then it is shown the latest.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_graphql::{
    Error,
    dynamic::{FieldValue, Subscription, SubscriptionField, SubscriptionFieldFuture, TypeRef},
};
use careen_core::cluster::{Changes, Concerned};
use futures::{Stream, StreamExt, stream};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use super::{
    arguments::{self, Nothing},
    refusal::refusal,
    scene::{Asker, Scene},
    shape::{self, Way},
    shown::{Needs, Shown, Type, Types},
};
use crate::{
    auth::{Caller, Right},
    rest::{Account, Api, Problem},
};

/// A stream shows no more than four states in a second: a drain changes many pods at once, and people read no faster.
const PACE: Duration = Duration::from_millis(250);

/// Where a stream looks, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    pub(super) api: Api,
    pub(super) account: Account,
    pub(super) caller: Arc<Caller>,
}

/// The streams of the schema, as they are put together.
pub(super) struct Streams<'a> {
    types: &'a mut Types,
    subscription: Subscription,
}

/// Why a stream looks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause<'a> {
    /// It begins.
    Begin,
    /// Something has changed.
    Change(&'a Concerned),
    /// There was more than one answer shows.
    Rest,
}

/// What a stream has found.
#[derive(Debug)]
pub(super) struct Look<T> {
    /// What it shows.
    pub(super) shown: T,
    /// Whether it looks again without waiting for a change.
    pub(super) is_more: bool,
}

/// What a stream shows of one object.
#[derive(Debug)]
struct Seen<T>(Option<T>);

impl<'a> Streams<'a> {
    /// None yet.
    pub(super) fn new(types: &'a mut Types) -> Self {
        let subscription = Subscription::new("Subscription")
            .description("What is followed, over a WebSocket with the protocol `graphql-transport-ws`.");
        Self { types, subscription }
    }

    /// All of them.
    pub(super) fn done(self) -> Subscription {
        self.subscription
    }

    /// The types, for what a stream shows.
    pub(super) fn types(&mut self) -> &mut Types {
        self.types
    }

    /// Follows one object, which may come and go.
    pub(super) fn one<P, U>(
        self,
        name: &'static str,
        description: &str,
        needs: Needs<P>,
        find: fn(&Scene, &P) -> Option<U>,
        concerns: fn(&Concerned, &P) -> bool,
    ) -> Self
    where
        P: DeserializeOwned + JsonSchema + Send + Sync + 'static,
        U: JsonSchema + Clone + Send + Sync + 'static,
    {
        let item = U::schema_name();
        let event = format!("{item}Event");
        Type::<Seen<U>>::empty(self.types, &event, "What a stream shows.")
            .link::<Nothing, U>(
                &item.to_lowercase(),
                "As it is now; null while there is none.",
                |_| Vec::new(),
                |seen, _| Ok(seen.view.0.clone()),
            )
            .done();
        self.following(name, description, &event, needs, move |parameters: P| {
            move |scene: &Scene, cause: Cause<'_>| {
                let is_due = match cause {
                    Cause::Begin => true,
                    Cause::Change(concerned) => concerns(concerned, &parameters),
                    Cause::Rest => false,
                };
                is_due.then(|| Look { shown: Seen(find(scene, &parameters)), is_more: false })
            }
        })
    }

    /// Follows whatever `look` gives: at first, and after each change that it finds worth showing.
    pub(super) fn following<P, T, L>(
        mut self,
        name: &'static str,
        description: &str,
        event: &str,
        needs: Needs<P>,
        look: impl Fn(P) -> L + Clone + Send + Sync + 'static,
    ) -> Self
    where
        P: DeserializeOwned + JsonSchema + Send + Sync + 'static,
        T: Send + Sync + 'static,
        L: FnMut(&Scene, Cause<'_>) -> Option<Look<T>> + Send + 'static,
    {
        self.types.prices.lead("Subscription", name, event);
        let members = self.types.shapes.of::<P>(Way::Sent, &BTreeSet::new()).members;
        let field = SubscriptionField::new(name, TypeRef::named_nn(event), move |context| {
            let look = look.clone();
            SubscriptionFieldFuture::new(async move {
                let follower = context.data::<Follower>()?.clone();
                let parameters: P = arguments::read(&context).map_err(|problem| refusal(&problem))?;
                let states = states(follower, needs(&parameters), look(parameters));
                Ok(states.map(|shown| shown.map(FieldValue::owned_any)))
            })
        });
        let field =
            members.into_iter().map(shape::argument).fold(field.description(description), SubscriptionField::argument);
        self.subscription = self.subscription.field(field);
        self
    }
}

/// When a stream looks next.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// At once.
    AtFirst,
    /// When something has changed.
    AfterChange,
    /// When its pace allows.
    ForTheRest,
}

struct Following<L> {
    follower: Follower,
    rights: Vec<Right>,
    look: L,
    changes: Changes,
    due: Due,
    not_before: Instant,
}

fn states<T: Send + Sync + 'static, L: FnMut(&Scene, Cause<'_>) -> Option<Look<T>> + Send + 'static>(
    follower: Follower,
    rights: Vec<Right>,
    look: L,
) -> impl Stream<Item = Result<Arc<Shown<T>>, Error>> + Send {
    // Before the first look: what happens in between is shown twice, and not never.
    let changes = follower.api.cluster().changes();
    let following = Following { follower, rights, look, changes, due: Due::AtFirst, not_before: Instant::now() };
    stream::unfold(Some(following), async |following| {
        let mut following = following?;
        match following.next().await {
            Ok(shown) => Some((Ok(shown), Some(following))),
            Err(problem) => Some((Err(refusal(&problem)), None)),
        }
    })
}

impl<L> Following<L> {
    async fn next<T>(&mut self) -> Result<Arc<Shown<T>>, Problem>
    where
        L: FnMut(&Scene, Cause<'_>) -> Option<Look<T>>,
    {
        loop {
            let concerned;
            let cause = match self.due {
                Due::AtFirst => {
                    // A client that comes again when the server has only just started waits; it is not sent away.
                    self.follower.api.cluster().ready().await;
                    Cause::Begin
                }
                Due::AfterChange => {
                    concerned = self.changes.next().await;
                    sleep_until(self.not_before).await;
                    Cause::Change(&concerned)
                }
                Due::ForTheRest => {
                    sleep_until(self.not_before).await;
                    Cause::Rest
                }
            };
            // What the caller may see is asked anew each time.
            let Follower { api, account, caller } = &self.follower;
            let scene = Scene::now(api, Asker::new(account.clone(), caller.clone()))?;
            let found = (self.look)(&scene, cause);
            self.due =
                if found.as_ref().is_some_and(|found| found.is_more) { Due::ForTheRest } else { Due::AfterChange };
            let Some(Look { shown, .. }) = found else { continue };
            scene.demand(&self.rights).await?;
            self.not_before = Instant::now() + PACE;
            return Ok(Shown::new(scene, shown));
        }
    }
}
