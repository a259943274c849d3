//! One watch for each kind. They are looked at in the order of their kinds, not of their arrival.

use std::{collections::BTreeSet, future::poll_fn, pin::pin, task::Poll};

use futures::{StreamExt, future::Future, stream::BoxStream};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    runtime::watcher::{self, Event},
};

use super::until;
use crate::{
    actors::{mirror::Mirror, view::Kind},
    clock::Clock,
};

/// How long until a watch that failed begins again.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_secs(1);
/// How long until it is asked again whether a kind is served.
const UNTIL_SERVED: SignedDuration = SignedDuration::from_secs(5);

pub(super) struct Watches {
    clock: Clock,
    watches: Vec<Watch>,
}

struct Watch {
    kind: Kind,
    stream: BoxStream<'static, watcher::Result<Event<DynamicObject>>>,
    /// Whether all its objects are known, or the kind is known not to be served.
    listed: bool,
    not_before: Option<Timestamp>,
}

impl Watches {
    pub(super) fn new(client: &Client, clock: Clock, kinds: BTreeSet<Kind>) -> Self {
        let watches = kinds.into_iter().map(|kind| {
            let api = Api::all_with(client.clone(), &resource(kind));
            let stream = watcher::watcher(api, watcher::Config::default()).boxed();
            Watch { kind, stream, listed: false, not_before: None }
        });
        Self { clock, watches: watches.collect() }
    }

    /// Whether all objects of all kinds have been seen once.
    pub(super) fn have_listed(&self) -> bool {
        self.watches.iter().all(|watch| watch.listed)
    }

    /// Waits for news, and takes up all that there are.
    pub(super) async fn changed(&mut self, mirror: &mut Mirror) {
        let earliest = self.watches.iter().filter_map(|watch| watch.not_before).min();
        let mut wait = pin!(until(self.clock, earliest));
        poll_fn(|context| {
            let now = self.clock.now();
            let mut any = wait.as_mut().poll(context).is_ready();
            for watch in &mut self.watches {
                while watch.not_before.is_none_or(|at| at <= now) {
                    watch.not_before = None;
                    let Poll::Ready(event) = watch.stream.poll_next_unpin(context) else { break };
                    watch.take(event, mirror, now);
                    any = true;
                }
            }
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Watch {
    fn take(&mut self, event: Option<watcher::Result<Event<DynamicObject>>>, mirror: &mut Mirror, now: Timestamp) {
        let later = |wait| now.saturating_add(wait).ok();
        match event {
            Some(Ok(Event::Init)) => mirror.begins_listing(self.kind),
            Some(Ok(Event::InitApply(object) | Event::Apply(object))) => match serde_json::to_value(object) {
                Ok(object) => mirror.put(self.kind, object),
                Err(error) => tracing::debug!(kind = self.kind.kind, %error, "an object that is no JSON"),
            },
            Some(Ok(Event::Delete(object))) => match serde_json::to_value(object) {
                Ok(object) => mirror.is_gone(self.kind, &object),
                Err(error) => tracing::debug!(kind = self.kind.kind, %error, "an object that is no JSON"),
            },
            Some(Ok(Event::InitDone)) => {
                mirror.has_listed(self.kind);
                self.listed = true;
            }
            Some(Err(error)) if is_not_served(&error) => {
                mirror.is_not_served(self.kind);
                self.listed = true;
                self.not_before = later(UNTIL_SERVED);
            }
            Some(Err(error)) => {
                tracing::debug!(kind = self.kind.kind, %error, "a watch failed");
                self.not_before = later(AFTER_FAILURE);
            }
            None => self.not_before = later(AFTER_FAILURE),
        }
    }
}

fn is_not_served(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}

fn resource(kind: Kind) -> ApiResource {
    ApiResource {
        group: kind.group.into(),
        version: kind.version.into(),
        api_version: kind.api_version(),
        kind: kind.kind.into(),
        plural: kind.plural.into(),
    }
}
