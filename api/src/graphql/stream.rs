//! Subscriptions: what is asked for as it is, and again when it has changed. They cause nothing, and whoever comes again
//! begins with what is.
//!
//! A stream shows states, not events. It is pulled by the connection: while a client does not read, nothing is worked out
//! for it, and then it is shown the latest.

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
            move |scene: &Scene, concerned: Option<&Concerned>| {
                let is_due = concerned.is_none_or(|concerned| concerns(concerned, &parameters));
                is_due.then(|| Seen(find(scene, &parameters)))
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
        L: FnMut(&Scene, Option<&Concerned>) -> Option<T> + Send + 'static,
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

struct Following<L> {
    follower: Follower,
    rights: Vec<Right>,
    look: L,
    changes: Changes,
    is_first: bool,
    not_before: Instant,
}

fn states<T: Send + Sync + 'static, L: FnMut(&Scene, Option<&Concerned>) -> Option<T> + Send + 'static>(
    follower: Follower,
    rights: Vec<Right>,
    look: L,
) -> impl Stream<Item = Result<Arc<Shown<T>>, Error>> + Send {
    // Before the first look: what happens in between is shown twice, and not never.
    let changes = follower.api.cluster().changes();
    let following = Following { follower, rights, look, changes, is_first: true, not_before: Instant::now() };
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
        L: FnMut(&Scene, Option<&Concerned>) -> Option<T>,
    {
        loop {
            let concerned = if self.is_first {
                // A client that comes again when the server has only just started waits; it is not sent away.
                self.follower.api.cluster().ready().await;
                None
            } else {
                let concerned = self.changes.next().await;
                sleep_until(self.not_before).await;
                Some(concerned)
            };
            // What the caller may see is asked anew each time.
            let Follower { api, account, caller } = &self.follower;
            let scene = Scene::now(api, Asker::new(account.clone(), caller.clone()))?;
            let Some(found) = (self.look)(&scene, concerned.as_ref()) else { continue };
            scene.demand(&self.rights).await?;
            self.is_first = false;
            self.not_before = Instant::now() + PACE;
            return Ok(Shown::new(scene, found));
        }
    }
}
