//! The subscriptions of a client, by their id.

use std::{collections::BTreeMap, future::poll_fn, task::Poll};

use async_graphql::{
    Response as Answer, ServerError, Value, futures_util::stream::BoxStream, parser::types::OperationType,
};
use axum::http::StatusCode;
use futures::{Stream, StreamExt, stream};

use crate::{
    auth::Digest,
    graphql::{
        Inner,
        document::{Asked, refused_at},
        http::with_codes,
        refusal::Refused,
        stream::Follower,
    },
    per_caller::OfCaller,
    rest::{Problem, Reason},
};

/// So many subscriptions one socket has at once.
const MAX_STREAMS: usize = 50;

/// The subscriptions of a client, by the id that it has given them, each with its part of what its caller may follow.
#[derive(Default)]
pub(super) struct Streams(BTreeMap<String, (BoxStream<'static, Answer>, OfCaller)>);

/// What has become of a subscription.
pub(super) enum Event {
    /// There is a new state.
    State(Answer),
    /// It is refused, and over.
    Refused(Vec<ServerError>),
    /// It cannot be answered for now.
    Unavailable(String),
    /// It is over.
    End,
}

impl Streams {
    /// Whether there is one of that id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Leaves one, if it is there.
    pub(super) fn leave(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// Follows one more, or says why not.
    pub(super) fn follow(
        &mut self,
        graphql: &Inner,
        follower: &Follower,
        id: &str,
        asked: Asked,
    ) -> Result<(), Box<ServerError>> {
        let of = |problem: &Problem| Box::new(refused_at(problem, None));
        graphql.frame.count(&follower.caller).map_err(|problem| of(&problem))?;
        if self.0.len() >= MAX_STREAMS {
            let sentence = format!("a socket has at most {MAX_STREAMS} subscriptions");
            return Err(of(&Problem::new(Reason::TOO_MANY_REQUESTS, sentence)));
        }
        let checked = asked.checked(&graphql.built, &graphql.limits)?;
        if checked.type_ != OperationType::Subscription {
            let sentence = "a WebSocket takes subscriptions only: send queries and mutations with POST";
            return Err(of(&Problem::bad_request(sentence)));
        }
        let worth = usize::try_from(checked.cost).unwrap_or(usize::MAX);
        let Some(part) = graphql.followed.take_worth(&follower.caller.user, worth) else {
            let (caller, most) = (&follower.caller.user, graphql.limits.followed);
            let sentence = format!(
                "this subscription costs {worth}, and those of {caller:?} may cost {most} together: leave others first"
            );
            return Err(of(&Problem::new(Reason::TOO_EXPENSIVE, sentence)));
        };
        let field_errors = Refused::default();
        let request = checked.request.data(follower.clone()).data(field_errors.clone());
        let answers = graphql.built.schema.execute_stream(request);
        self.0.insert(id.to_owned(), (changed_only(answers, field_errors).boxed(), part));
        Ok(())
    }

    /// Waits for the next event of any of them.
    pub(super) async fn next(&mut self) -> (String, Event) {
        let ready = poll_fn(|context| {
            // A stream shows four states in a second at most, so none keeps those behind it from being looked at.
            for (id, (stream, _)) in &mut self.0 {
                if let Poll::Ready(answer) = stream.poll_next_unpin(context) {
                    return Poll::Ready((id.clone(), answer));
                }
            }
            Poll::Pending
        });
        let (id, answer) = ready.await;
        let event = answer.map_or(Event::End, Event::of);
        if !matches!(event, Event::State(_)) {
            self.leave(&id);
        }
        (id, event)
    }
}

impl Event {
    /// An answer without data is the last of its stream: the document is wrong, or may not be followed (any more).
    fn of(answer: Answer) -> Self {
        if answer.data != Value::Null {
            return Self::State(answer);
        }
        let problems = answer.errors.iter().filter_map(ServerError::source::<Problem>);
        match problems.into_iter().find(|problem| problem.status() == StatusCode::SERVICE_UNAVAILABLE) {
            Some(problem) => Self::Unavailable(problem.detail().to_owned()),
            None => Self::Refused(answer.errors),
        }
    }
}

/// Leaves out an answer that is the same as the one before: what has changed was not asked for.
fn changed_only(
    answers: BoxStream<'static, Answer>,
    field_errors: Refused,
) -> impl Stream<Item = Answer> + Send + 'static {
    stream::unfold((answers, None, field_errors), async |(mut answers, mut last, field_errors)| {
        loop {
            let mut answer = answers.next().await?;
            answer.errors.extend(field_errors.take());
            let answer = with_codes(answer);
            // An answer that cannot be written as JSON is told by the connection.
            let digest = serde_json::to_vec(&answer).ok().map(|bytes| Digest::of(&bytes));
            if digest.is_none() || digest != last {
                last = digest;
                return Some((answer, (answers, last, field_errors)));
            }
        }
    })
}
