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
    NODE_NOT_FOUND: "NodeNotFound", 404, "There is no such node",
        "No node of that name is in the cluster.";
    MAINTENANCE_NOT_FOUND: "MaintenanceNotFound", 404, "There is no such maintenance",
        "The node has no maintenance, or none has that name. After a stop this says that the node is restored.";
    DRAIN_NOT_FOUND: "DrainNotFound", 404, "There is no such drain",
        "The node has no drain, or not the one of that id.";
    VMI_NOT_FOUND: "VirtualMachineInstanceNotFound", 404, "There is no such VM",
        "No VirtualMachineInstance has that namespace and name.";
    MIGRATION_NOT_FOUND: "MigrationNotFound", 404, "There is no such migration",
        "No VirtualMachineInstanceMigration has that namespace and name.";
    METHOD_NOT_ALLOWED: "MethodNotAllowed", 405, "The path does not take this method",
        "The header `Allow` lists those that it takes.";
    NOT_ACCEPTABLE: "NotAcceptable", 406, "There is no answer of a type that is accepted",
        "`Accept` names no media type that this path has. GraphQL has `application/graphql-response+json` and \
         `application/json`.";
    REQUEST_TIMEOUT: "RequestTimeout", 408, "The request was not there in time",
        "Its body did not come to its end within 10 s. Nothing was done: send it again, at once.";
    ALREADY_UNDER_MAINTENANCE: "AlreadyUnderMaintenance", 409, "The node belongs to another maintenance",
        "`see` leads to it. One ticket can neither change nor stop the maintenance of another.";
    UNDER_MAINTENANCE: "UnderMaintenance", 409, "A maintenance acts on the node",
        "Stop it first; `see` leads to it.";
    MAINTENANCE_STOPPING: "MaintenanceStopping", 409, "The maintenance is being stopped",
        "Start again when the node is restored: when `see` is gone.";
    DRAIN_IN_PROGRESS: "DrainInProgress", 409, "A drain acts on the node",
        "Wait for its end, or cancel it; `see` leads to it.";
    NODE_LEASE_HELD: "NodeLeaseHeld", 409, "Somebody else acts on the node",
        "The node Lease is held by another operator. Wait until it is done with the node.";
    NAME_TAKEN: "NameTaken", 409, "The name is taken",
        "A NodeMaintenance of that name is about another node. Take another name, or stop that one.";
    QUORUM_LOST: "QuorumLost", 409, "The control plane would lose its quorum",
        "Another control-plane node is out of service. Bring it back first.";
    QUORUM_UNKNOWN: "QuorumUnknown", 409, "It cannot be known whether the control plane keeps its quorum",
        "`detail` says what is missing. `overrideQuorum` in the drain options goes on all the same.";
    NOT_RUNNING: "NotRunning", 409, "The VM does not run",
        "Only a VM that runs can be migrated.";
    NOT_LIVE_MIGRATABLE: "NotLiveMigratable", 409, "The VM cannot migrate",
        "`detail` has KubeVirt's reason, such as a disk that is not ReadWriteMany.";
    ALREADY_MIGRATING: "AlreadyMigrating", 409, "The VM is being migrated already",
        "`see` leads to the migration, where there is one already.";
    MIGRATION_FINISHED: "MigrationFinished", 409, "The migration is over",
        "There is nothing to cancel.";
    POST_COPY: "PostCopy", 409, "The migration cannot be cancelled any more",
        "In mode PostCopy the VM runs on both nodes, and would be lost.";
    PRECONDITION_FAILED: "PreconditionFailed", 412, "The object is not as the request expects it",
        "What `If-Match` demands is not so. Read the object, decide, and try again.";
    TICKET_MISMATCH: "TicketMismatch", 412, "The maintenance belongs to another ticket",
        "`see` leads to it. `force=true` stops it whatever its ticket, and is noted in the audit log.";
    REQUEST_ENTITY_TOO_LARGE: "RequestEntityTooLarge", 413, "The body is too large",
        "No body of this API needs more than 64 KiB.";
    UNSUPPORTED_MEDIA_TYPE: "UnsupportedMediaType", 415, "The body is no JSON",
        "A body is sent with `Content-Type: application/json`. A web page of another origin cannot do that unasked, \
         which is why it is demanded.";
    INVALID: "Invalid", 422, "A value is not allowed",
        "The JSON can be read, but a field is unknown, is missing, or has a value of a wrong type or out of range. \
         `detail` and `field` name it.";
    IDEMPOTENCY_KEY_REUSED: "IdempotencyKeyReused", 422, "The key is that of another request",
        "An `Idempotency-Key` names one request, of one caller, for 24 hours after its maintenance has ended. Take a new \
         key for a new request.";
    INVALID_ARGUMENT: "InvalidArgument", 422, "A value is not allowed",
        "`field` names it, `detail` says what is allowed.";
    TOO_EXPENSIVE: "TooExpensive", 422, "The question asks for too much",
        "Answering or even checking it would take too long. `detail` says which limit it is beyond; a page of a GraphQL \
         list is made smaller with `first`.";
    KUBEVIRT_DRAIN_TAINT: "KubeVirtDrainTaint", 422, "KubeVirt's own drain taint is never written",
        "It makes KubeVirt evacuate every VM without being asked, and defeats cancelling. Drain the node instead.";
    REJECTED: "Rejected", 422, "Kubernetes says no",
        "The API server, a webhook or KubeVirt has refused what Careen sent; `detail` has its words, and `kubernetesReason` \
         its reason (`Forbidden`, `Invalid`), if it has said one.";
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
    API_SERVER_UNAVAILABLE: "ApiServerUnavailable", 503, "The API server cannot be reached",
        "Try again after `Retry-After`: it is harmless.";
    CONTENDED: "Contended", 503, "Others kept changing the object",
        "Try again after `Retry-After`.";
    NOT_SERVED: "NotServed", 503, "The cluster does not have that kind",
        "A CustomResourceDefinition is missing; `detail` says which.";
    CAREEN_MAY_NOT: "CareenMayNot", 503, "Careen itself lacks a right",
        "Whoever runs Careen has to grant it; `detail` names it.";
    TIMEOUT: "Timeout", 504, "It took too long",
        "The answer was not there in time. Whether a change was made is not known: repeat the call (it is safe), or \
         read the object.";
}

impl Reason {
    /// The URI of the kind of failure, which never changes.
    pub(crate) fn uri(&self) -> String {
        format!("https://careen.dev/problems/{}", self.name)
    }

    /// The reason of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        REASONS.iter().copied().find(|reason| reason.name == name)
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
         {\n  \"type\": \"https://careen.dev/problems/NodeNotFound\",\n  \"title\": \"There is no such node\",\n  \
         \"status\": 404,\n  \"detail\": \"node node09 does not exist: check the name\",\n  \"reason\": \"NodeNotFound\",\n  \
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
