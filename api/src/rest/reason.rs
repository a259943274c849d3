//! The reasons of failed requests: one word each for programs, the vocabulary of Kubernetes' `Status` where it has one.
//!
//! [`REASONS`] is the table that `docs/errors.md` is made from.

#[cfg(test)]
use std::fmt::Write;

/// A kind of failure. Its name is stable: clients compare it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// The word: `NotFound`.
    pub(crate) name: &'static str,
    /// The HTTP status that goes with it.
    pub(crate) status: u16,
    /// The kind of failure in a few words; the same for all of the kind.
    pub(crate) title: &'static str,
    /// What it means and what to do, for the documents.
    pub(crate) meaning: &'static str,
}

/// Defines constants, and the table of all.
macro_rules! reasons {
    ($($constant:ident: $name:literal, $status:literal, $title:literal, $meaning:literal;)*) => {
        impl Reason {
            $(pub(crate) const $constant: &'static Self =
                &Self { name: $name, status: $status, title: $title, meaning: $meaning };)*
        }

        /// All reasons, by status.
        pub(crate) const REASONS: &[&Reason] = &[$(Reason::$constant),*];
    };
}

reasons! {
    BAD_REQUEST: "BadRequest", 400, "The request is malformed",
        "The path, the query, a header or the JSON of the body cannot be read. `detail` names the field, its value and \
         what is allowed. Sending the same again does not help.";
    UNAUTHORIZED: "Unauthorized", 401, "Who calls is not known",
        "There is no bearer token, or Kubernetes does not know it (any more). Send `Authorization: Bearer TOKEN`, for \
         example one from `kubectl create token`.";
    FORBIDDEN: "Forbidden", 403, "The caller may not do this",
        "Kubernetes' RBAC does not allow it. `missing` names the permissions that are missing; [permissions.md] says \
         which an operation needs.";
    FOREIGN_ORIGIN: "ForeignOrigin", 403, "A web page of another origin could have sent this",
        "The request came under a host name that is not this server's, or a browser says that a page of another origin \
         is behind it. Programs send no `Origin`. A server behind a name is told it with `--allowed-host`.";
    NOT_FOUND: "NotFound", 404, "There is no such thing",
        "No such path, or no object of that name in the cluster. `detail` says which.";
    METHOD_NOT_ALLOWED: "MethodNotAllowed", 405, "The path does not take this method",
        "The header `Allow` lists those that it takes.";
    PRECONDITION_FAILED: "PreconditionFailed", 412, "The object is not as the request expects it",
        "What `If-Match` or `ticket` demands is not so. Read the object, decide, and try again.";
    REQUEST_ENTITY_TOO_LARGE: "RequestEntityTooLarge", 413, "The body is too large",
        "No body of this API needs more than 64 KiB.";
    UNSUPPORTED_MEDIA_TYPE: "UnsupportedMediaType", 415, "The body is no JSON",
        "A body is sent with `Content-Type: application/json`. A web page of another origin cannot do that unasked, \
         which is why it is demanded.";
    INVALID: "Invalid", 422, "A value is not allowed",
        "The JSON can be read, but a field is unknown, is missing, or has a value of a wrong type or out of range. \
         `detail` and `field` name it.";
    TOO_MANY_REQUESTS: "TooManyRequests", 429, "Too many requests",
        "This caller sends more than its share, or the server answers as many requests at once as it can. Wait as long \
         as `Retry-After` says.";
    REQUEST_HEADER_FIELDS_TOO_LARGE: "RequestHeaderFieldsTooLarge", 431, "The header is too large",
        "All header fields together are limited to 16 KiB.";
    INTERNAL_ERROR: "InternalError", 500, "A fault of Careen",
        "The log has the details under the `requestId`. Please report it.";
    SERVICE_UNAVAILABLE: "ServiceUnavailable", 503, "Not able to answer at the moment",
        "The server has only just started and does not know the cluster yet, or the API server does not answer. Try \
         again after `Retry-After`; `/readyz` says what is missing.";
    TIMEOUT: "Timeout", 504, "It took too long",
        "The answer was not there in time. Whether a change was made is not known: repeat the call (it is safe), or \
         read the object.";
}

impl Reason {
    /// The URI of the kind of failure, which never changes.
    pub(crate) fn uri(&self) -> String {
        format!("https://careen.dev/problems/{}", self.name)
    }

    /// The reason that goes with a status of the HTTP layer, where nobody has said more.
    pub(crate) fn of_status(status: u16) -> &'static Self {
        let fallback = if status < 500 { Self::BAD_REQUEST } else { Self::INTERNAL_ERROR };
        REASONS.iter().copied().find(|reason| reason.status == status).unwrap_or(fallback)
    }
}

/// `docs/errors.md`.
#[cfg(test)]
pub(crate) fn document() -> String {
    let mut text = String::from(
        "# Errors\n\n\
         <!-- Written from api/src/rest/reason.rs by `UPDATE_DOCUMENTS=1 cargo test -p careen documents`; not by hand. -->\n\n\
         Every answer that is no success has the content type `application/problem+json` \
         ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)):\n\n\
         ```json\n\
         {\n  \"type\": \"https://careen.dev/problems/NotFound\",\n  \"title\": \"There is no such thing\",\n  \
         \"status\": 404,\n  \"detail\": \"there is no node \\\"node09\\\"\",\n  \"reason\": \"NotFound\",\n  \
         \"requestId\": \"6f1c9a52e0b84d0f\"\n}\n\
         ```\n\n\
         `reason` is for programs and does not change; `detail` is for people. `requestId` is in the server's log, and \
         in the header `X-Request-Id` of every answer.\n\n\
         | reason | status | what it is | what to do |\n|---|---|---|---|\n",
    );
    for reason in REASONS {
        let Reason { name, status, title, meaning } = reason;
        // Writing into a String does not fail.
        writeln!(text, "| <a id=\"{name}\"></a>`{name}` | {status} | {title} | {meaning} |").ok();
    }
    text.push_str("\n[permissions.md]: permissions.md\n");
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_words_and_each_is_there_once() {
        let names: BTreeSet<_> = REASONS.iter().map(|reason| reason.name).collect();
        assert_eq!(names.len(), REASONS.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_alphabetic())));
        assert!(REASONS.is_sorted_by_key(|reason| reason.status));
    }

    #[test]
    fn a_bare_status_has_a_reason() {
        for (status, name) in
            [(404, "NotFound"), (403, "Forbidden"), (418, "BadRequest"), (502, "InternalError"), (504, "Timeout")]
        {
            assert_eq!(Reason::of_status(status).name, name);
        }
    }
}
