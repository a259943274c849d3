//! `/token` of service accounts: `kubectl create token`. A token holds for its account as long as that exists, and for a time.
//! <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/>
//!
//! Ours is no JSON Web Token: nobody but this server can read it.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    history::Key,
    refusal::{Cause, Refusal},
    reply::{Answer, Reply},
    server::ApiServer,
    store::{Store, seconds},
    user::User,
    write::{Write, body},
};

const SERVICE_ACCOUNTS: &str = "serviceaccounts";
const DEFAULT_SECONDS: u64 = 3600;
const LEAST_SECONDS: u64 = 600;
/// `1 << 32`.
const MOST_SECONDS: u64 = 4_294_967_296;

/// The tokens that were given out, by their text.
pub(super) type Tokens = BTreeMap<String, Token>;

/// A token that was given out.
#[derive(Debug)]
pub(super) struct Token {
    account: Key,
    /// An account of the same name is another one.
    uid: String,
    expires: Timestamp,
}

/// Answers a `POST` to a service account's `/token`.
pub(super) fn create(server: &ApiServer, write: &Write) -> Result<Answer, Refusal> {
    let mut request = body::object_of(write.request, "TokenRequest")?;
    let seconds_wanted = match &request["spec"]["expirationSeconds"] {
        Value::Null => DEFAULT_SECONDS,
        wanted => wanted.as_u64().unwrap_or_default(),
    };
    if !(LEAST_SECONDS..=MOST_SECONDS).contains(&seconds_wanted) {
        return Err(not_so_long(&request["spec"]["expirationSeconds"], seconds_wanted));
    }
    let store = &mut *server.store();
    let key = write.key();
    let account = store.get(SERVICE_ACCOUNTS, &key).ok_or_else(|| Refusal::not_found(write.resource, &key.1))?;
    let uid = account["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let now = store.now();
    let expires = now.saturating_add(Duration::from_secs(seconds_wanted)).unwrap_or(Timestamp::MAX);
    let text = format!("sim-{}", store.new_uid());
    store.tokens.retain(|_, token| token.expires > now);
    store.tokens.insert(text.clone(), Token { account: key.clone(), uid, expires });
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["kind"] = "TokenRequest".into();
    request["metadata"] = json!({ "name": key.1, "namespace": key.0, "creationTimestamp": seconds(now) });
    request["spec"]["expirationSeconds"] = seconds_wanted.into();
    request["status"] = json!({ "token": text, "expirationTimestamp": seconds(expires) });
    Ok(Reply::Json { code: 201, body: request }.into())
}

fn not_so_long(value: &Value, wanted: u64) -> Refusal {
    let bound = if wanted < LEAST_SECONDS {
        "may not specify a duration less than 10 minutes"
    } else {
        "may not specify a duration larger than 2^32 seconds"
    };
    let cause = Cause {
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {value}: {bound}"),
        field: "spec.expirationSeconds".into(),
    };
    Refusal::invalid_kind("authentication.k8s.io", "TokenRequest", "", &[cause])
}

/// Whom such a token belongs to, if it still holds.
pub(super) fn user_of(store: &Store, token: &str) -> Option<User> {
    let Token { account, uid, expires } = store.tokens.get(token)?;
    let found = store.get(SERVICE_ACCOUNTS, account)?;
    let holds = *expires > store.now() && found["metadata"]["uid"] == uid.as_str();
    holds.then(|| User { uid: uid.clone(), ..User::service_account(&account.0, &account.1) })
}
