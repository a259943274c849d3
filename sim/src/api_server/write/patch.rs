//! `PATCH`.

use serde_json::Value;

use super::{
    super::{
        patch::{self, PatchType},
        refusal::Refusal,
        reply::{Answer, in_version},
        request::Request,
        resource_type::ResourceType,
        store::Store,
    },
    Write, body,
    update::{self, Options},
};

/// The type of a patch, by its media type.
pub(in super::super) fn patch_type(request: &Request, resource: &ResourceType) -> Result<PatchType, Refusal> {
    match request.content_type() {
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/strategic-merge-patch+json" if resource.is_custom() => Err(Refusal::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        "application/strategic-merge-patch+json" => Ok(PatchType::StrategicMerge),
        "application/apply-patch+yaml" | "application/apply-patch+cbor" => {
            Err(Refusal::not_implemented("server-side apply; use kubectl apply without --server-side"))
        }
        _ => Err(Refusal::generic(415, "UnsupportedMediaType", "415: Unsupported Media Type")),
    }
}

/// The patch itself.
pub(in super::super) fn parsed(request: &Request, type_: PatchType) -> Result<Value, Refusal> {
    serde_json::from_slice(&request.body).map_err(|error| match type_ {
        PatchType::Json => Refusal::bad_request(format!("error decoding patch: {error}")),
        PatchType::Merge | PatchType::StrategicMerge => Refusal::bad_request("invalid JSON patch"),
    })
}

/// Answers a `PATCH` of an object or of its status.
pub(in super::super) fn patch(store: &mut Store, write: &Write<'_>) -> Result<Answer, Refusal> {
    let options = Options::of(write, "PatchOptions")?;
    let type_ = patch_type(write.request, write.resource)?;
    let patch = parsed(write.request, type_)?;
    let key = write.key();
    let old = store.get(&write.resource.storage(), &key).cloned();
    let old = old.ok_or_else(|| Refusal::not_found(write.resource, &key.1))?;
    let seen = in_version(write.resource, &old);
    // A patch that does not fit is told with details in which there is nothing.
    let new = patch::apply(type_, write.resource, &seen, &patch)
        .map_err(|refusal| Refusal { has_details: type_ == PatchType::Json, ..refusal })?;
    body::check_kind(&new, write.resource, &store.kinds)?;
    update::check_name(&new, write)?;
    update::replace(store, write.resource, &old, new, options)
}
