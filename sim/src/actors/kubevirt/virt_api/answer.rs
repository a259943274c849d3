//! What a subresource answers.

use serde_json::{Value, json};

use crate::actors::actor::Write;

/// An answer over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// Empty, text, or JSON.
    pub body: Body,
    /// What must have been written before this is the answer; if a write fails, [`Answer::internal_error`] is.
    pub writes: Vec<Write>,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// Plain text.
    Text(&'static str),
    /// A `Status`, or something else.
    Json(Value),
}

impl Answer {
    /// Without a body.
    #[must_use]
    pub fn empty(code: u16) -> Self {
        Self { code, body: Body::Empty, writes: Vec::new() }
    }

    /// With JSON.
    #[must_use]
    pub fn json(code: u16, body: Value) -> Self {
        Self { code, body: Body::Json(body), writes: Vec::new() }
    }

    fn status(code: u16, reason: &str, message: &str, details: Option<Value>) -> Self {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason,
        });
        if let Some(details) = details {
            status["details"] = details;
        }
        status["code"] = code.into();
        Self::json(code, status)
    }

    /// `virtualmachineinstance.kubevirt.io "web" not found`. KubeVirt names the kind in the singular.
    #[must_use]
    pub fn not_found(kind: &str, name: &str) -> Self {
        let details = json!({"name": name, "group": "kubevirt.io", "kind": kind});
        Self::status(404, "NotFound", &format!("{kind}.kubevirt.io \"{name}\" not found"), Some(details))
    }

    /// The request makes no sense now.
    #[must_use]
    pub fn bad_request(message: &str) -> Self {
        Self::status(400, "BadRequest", message, None)
    }

    /// `Operation cannot be fulfilled on virtualmachine.kubevirt.io "web": …`
    #[must_use]
    pub fn conflict(kind: &str, name: &str, why: &str) -> Self {
        let details = json!({"name": name, "group": "kubevirt.io", "kind": kind});
        let message = format!("Operation cannot be fulfilled on {kind}.kubevirt.io \"{name}\": {why}");
        Self::status(409, "Conflict", &message, Some(details))
    }

    /// What another request of virt-api's own was answered.
    #[must_use]
    pub fn internal_error(why: &str) -> Self {
        let details = json!({"causes": [{"message": why}]});
        Self::status(500, "InternalError", &format!("Internal error occurred: {why}"), Some(details))
    }

    /// What the real virt-api does and this one does not.
    #[must_use]
    pub fn not_implemented(what: &str) -> Self {
        let message = format!("careen-sim, which plays virt-api, does not implement {what}");
        Self::status(501, "NotImplemented", &message, None)
    }

    /// The same answer, once this has been written.
    #[must_use]
    pub fn after(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }
}
