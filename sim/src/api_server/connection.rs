//! One client's way to the server: a tower service.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{Response, header};
use http_body::Body;
use http_body_util::BodyExt;
use serde_json::Value;

use super::{
    audit::Record,
    authentication, builtin,
    content::Accepted,
    fault::Effect,
    refusal::Refusal,
    reply::{Answer, Reply, Style, include_object},
    request::Request,
    response::{self, ResponseBody},
    route,
    server::ApiServer,
    user::User,
};

/// As large as a body may be (`--max-request-body-bytes` of a real one): 3 MiB.
const LARGEST_BODY: usize = 3 * 1024 * 1024;
/// So much of a larger one is read and thrown away: a client hears nothing before it has sent everything, and only that
/// the connection broke if nobody reads on.
const MOST_READ: usize = 64 * 1024 * 1024;

/// The connection broke, because a test wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection reset by peer")]
pub struct ConnectionLost;

/// A tower service for `kube::Client::new`, or for [`super::http::serve`].
#[derive(Clone, Debug)]
pub struct Connection {
    server: ApiServer,
    /// None: by token.
    user: Option<User>,
    link: String,
}

impl Connection {
    pub(super) fn new(server: ApiServer, user: Option<User>) -> Self {
        Self { server, user, link: String::new() }
    }

    /// The same, with a name that faults can tell apart: two replicas of one program, two clients of one replica.
    #[must_use]
    pub fn on_link(mut self, link: impl Into<String>) -> Self {
        self.link = link.into();
        self
    }

    /// A client with this connection; its default namespace is `default`.
    #[must_use]
    pub fn client(self) -> kube::Client {
        kube::Client::new(self, "default")
    }

    async fn answer<B>(self, request: http::Request<B>) -> Result<Response<ResponseBody>, ConnectionLost>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let received = self.server.clock().now();
        let (head, body) = request.into_parts();
        let user = match &self.user {
            Some(user) => Ok(user.clone()),
            None => authentication::authenticate(&head.headers, &self.server),
        };
        let (user, login) = user.map_or_else(|refusal| (User::default(), Err(refusal)), |user| (user, Ok(())));
        let (body, is_whole) =
            read(body).await.map_or_else(|refusal| (Bytes::new(), Err(refusal)), |body| (body, Ok(())));
        let mut request = Request::new(head.method, &head.uri, head.headers, body, user);
        request.link = self.link;
        let mut record = Record::begin(&self.server, &request, received);
        let effect = self.server.faults().strike(&request);
        let answer = match effect {
            Some(Effect::Refuse(ref refusal)) => Err(refusal.clone()),
            Some(Effect::Hang) => std::future::pending().await,
            Some(Effect::DropConnection) => return Err(ConnectionLost),
            _ => {
                if let Some(Effect::Delay(time)) = effect {
                    tokio::time::sleep(time).await;
                }
                match login.and(is_whole) {
                    Ok(()) => answer(&self.server, &request).await,
                    Err(refusal) => Err(refusal),
                }
            }
        };
        let response = write_down(&self.server, &request, answer, &mut record);
        match effect {
            Some(Effect::LoseAnswer) => Err(ConnectionLost),
            Some(Effect::HangAfterwards) => {
                drop(response);
                std::future::pending().await
            }
            _ => Ok(response),
        }
    }
}

/// The whole body.
async fn read<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = pin!(body);
    let (mut whole, mut length) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::bad_request(error.into().to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > MOST_READ {
            break;
        }
        if length > LARGEST_BODY {
            whole.clear();
        } else {
            whole.extend_from_slice(&data);
        }
    }
    if length > LARGEST_BODY {
        let why = format!("Request entity too large: limit is {LARGEST_BODY}");
        return Err(Refusal::new(413, "RequestEntityTooLarge", why));
    }
    Ok(whole.freeze())
}

/// How the client wants it.
fn style(request: &Request) -> Result<Style, Refusal> {
    let user_agent = request.header(header::USER_AGENT);
    let is_for_people = ["curl/", "Wget/", "Mozilla/"].iter().any(|person| user_agent.starts_with(person));
    Ok(Style {
        accepted: Accepted::negotiate(request.header(header::ACCEPT))?,
        include: include_object(request.query.get("includeObject"))?,
        is_pretty: if request.query.has("pretty") { request.query.is_true("pretty") } else { is_for_people },
    })
}

async fn answer(server: &ApiServer, request: &Request) -> Result<Answer, Refusal> {
    route::answer(server, request, || style(request)).await
}

fn write_down(
    server: &ApiServer,
    request: &Request,
    answer: Result<Answer, Refusal>,
    record: &mut Option<Record>,
) -> Response<ResponseBody> {
    let written = answer.and_then(|answer| {
        let style = style(request).unwrap_or_default();
        let now = server.clock().now();
        let (code, (bytes, content_type)) = match answer.reply {
            Reply::Watch(watch) => {
                let mut response = response::response(200, "application/json", Bytes::new());
                *response.body_mut() = ResponseBody::watch(watch, record.take());
                return Ok(response);
            }
            Reply::Object { code, resource, object } => {
                if let (Some(record), Some(name), false) =
                    (record.as_mut(), object["metadata"]["name"].as_str(), builtin::is_review(&resource))
                {
                    record.names(name);
                }
                (code, style.object(&resource, &object, now)?)
            }
            Reply::List { resource, objects, metadata } => (200, style.list(&resource, &objects, &metadata, now)?),
            Reply::Json { code, body } => (code, style.json(&body)?),
            Reply::Typed { content_type, body } => (200, (style.json(&body)?.0, content_type)),
            Reply::Bytes { content_type, body } => (200, (body, content_type)),
            Reply::Text { code, body } => (code, (body.into_bytes(), "text/plain; charset=utf-8")),
        };
        let mut response = response::response(code, content_type, bytes);
        response::warn(&mut response, &answer.warnings);
        Ok(response)
    });
    let response = written.unwrap_or_else(|refusal| {
        if let Some(record) = record {
            record.answered(refusal.code, Some(refusal.to_json()));
        }
        response::refused(&refusal)
    });
    if let Some(record) = record.take().as_mut().filter(|_| response.status().as_u16() < 400) {
        record.answered(response.status().as_u16(), None::<Value>);
    }
    response
}

impl<B> tower::Service<http::Request<B>> for Connection
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ResponseBody>;
    type Error = ConnectionLost;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}
