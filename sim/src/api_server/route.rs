//! Which part answers a request, and whether it may.

use std::sync::Arc;

use super::{
    aggregation, authorization, binding, builtin, discovery, eviction, list,
    refusal::Refusal,
    reply::{Answer, Reply, Style},
    request::{Request, Target},
    resource_type::{ResourceType, Subresource},
    review, scale,
    server::ApiServer,
    service_account_token,
    watch::Watch,
    webhook,
    write::{Write, create, delete, patch, update},
};

/// Answers a request of a user who is known.
pub(super) async fn answer(
    server: &ApiServer,
    request: &Request,
    style: impl FnOnce() -> Result<Style, Refusal>,
) -> Result<Answer, Refusal> {
    // To do it in one's own name instead would be another answer than was asked for.
    if request.headers.keys().any(|name| name.as_str().starts_with("impersonate-")) {
        return Err(Refusal::not_implemented("impersonation (kubectl --as)"));
    }
    authorization::check(server, request)?;
    if let Some(reply) = aggregation::answer(server, request).await {
        return Ok(reply?.into());
    }
    let Some(target) = &request.target else {
        return discovery::answer(server, request).map(Answer::from);
    };
    if request.method == http::Method::HEAD {
        return Err(Refusal::method_not_allowed());
    }
    let resource = find(server, target)?;
    let write = Write { request, target, resource: &resource };
    match (request.method.as_str(), target.subresource.as_str()) {
        ("POST", "eviction") if resource.has(Subresource::Eviction) => {
            return eviction::evict(server, &write).await;
        }
        ("POST", "token") if resource.has(Subresource::Token) => return service_account_token::create(server, &write),
        ("POST", _) if builtin::is_review(&resource) => return review::answer(server, &write),
        _ => {}
    }
    // Whoever cannot read the answer shall not have changed anything.
    let style = style()?;
    let warnings = match (request.verb, target.subresource.as_str()) {
        ("create", "") => webhook::ask_about_new(server, &write).await?,
        _ => Vec::new(),
    };
    let mut answer = answer_with_store(server, &write, style)?;
    answer.warnings.extend(warnings);
    answer.warnings.extend(resource.deprecation().map(ToOwned::to_owned));
    Ok(answer)
}

fn find(server: &ApiServer, target: &Target) -> Result<Arc<ResourceType>, Refusal> {
    let store = server.store();
    if let Some(resource) = store.kinds.of(target) {
        return Ok(resource);
    }
    let group = target.group.as_str();
    if builtin::OTHER_GROUPS.contains(&group) || builtin::OTHER_RESOURCES.contains(&(group, target.plural.as_str())) {
        return Err(Refusal::not_implemented(target.qualified()));
    }
    if target.version == "v1" && (target.plural == "watch" || target.plural == "proxy") {
        return Err(Refusal::not_implemented(format_args!("the old paths below /{}", target.plural)));
    }
    // A group that is known answers with a Status, one that is not as any web server does.
    let is_builtin = builtin::resource_types().iter().any(|kind| kind.group == group);
    Err(if is_builtin { Refusal::no_such_resource() } else { Refusal::page_not_found() })
}

fn answer_with_store(server: &ApiServer, write: &Write, style: Style) -> Result<Answer, Refusal> {
    let Write { request, target, resource } = *write;
    let mut store = server.store();
    let is_about_many = matches!(request.verb, "list" | "watch" | "deletecollection");
    let is_in_namespace = !target.namespace.is_empty() || !resource.is_namespaced();
    if !resource.is_namespaced() && !target.namespace.is_empty() && target.namespace != target.name {
        return Err(Refusal::no_such_resource());
    }
    let is_about_nothing = target.name.is_empty() && !is_about_many && request.verb != "create";
    if is_about_nothing
        || builtin::is_review(resource)
        || (!is_about_many && !is_in_namespace && request.verb != "create")
    {
        return Err(Refusal::method_not_allowed());
    }
    match (request.verb, target.subresource.as_str()) {
        ("list", _) => {
            let filter = list::filter(request, target, resource)?;
            list::list(&store, request, resource, &filter).map(Answer::from)
        }
        ("watch", _) => {
            let filter = list::filter(request, target, resource)?;
            let watch = Watch::open(server, &mut store, request, resource, filter, style)?;
            Ok(Reply::Watch(Box::new(watch)).into())
        }
        ("deletecollection", _) if target.plural == "namespaces" || !is_in_namespace => {
            Err(Refusal::method_not_allowed())
        }
        ("deletecollection", _) => delete::delete_collection(&mut store, write),
        ("create", "") if target.name.is_empty() && is_in_namespace => create::create(&mut store, write),
        ("create", "binding") if resource.has(Subresource::Binding) => {
            binding::bind(&mut store, write).map(Answer::from)
        }
        ("get", "") => get(&store, write),
        ("get", "status") if resource.has(Subresource::Status) => get(&store, write),
        ("update", "") => update::update(&mut store, write),
        ("update", "status") if resource.has(Subresource::Status) => update::update(&mut store, write),
        ("patch", "") => patch::patch(&mut store, write),
        ("patch", "status") if resource.has(Subresource::Status) => patch::patch(&mut store, write),
        ("delete", "") => delete::delete(&mut store, write),
        (_, "scale") if resource.has(Subresource::Scale) => scale::answer(&mut store, write).map(Answer::from),
        (_, "") => Err(Refusal::method_not_allowed()),
        (verb, subresource) => Err(other(resource, &target.name, verb, subresource)),
    }
}

fn get(store: &super::store::Store, write: &Write) -> Result<Answer, Refusal> {
    let key = write.key();
    let object = store.get(&write.resource.storage(), &key).cloned();
    let object = object.ok_or_else(|| Refusal::not_found(write.resource, &key.1))?;
    Ok(Reply::Object { code: 200, resource: write.resource.clone(), object }.into())
}

fn other(resource: &ResourceType, name: &str, verb: &str, subresource: &str) -> Refusal {
    let first = subresource.split('/').next().unwrap_or_default();
    let is_served = [
        ("status", Subresource::Status),
        ("scale", Subresource::Scale),
        ("eviction", Subresource::Eviction),
        ("binding", Subresource::Binding),
        ("token", Subresource::Token),
    ];
    if is_served.iter().any(|(name, kind)| *name == first && resource.has(*kind)) {
        return Refusal::method_not_allowed();
    }
    if !resource.is_custom() && builtin::OTHER_SUBRESOURCES.contains(&(resource.plural.as_ref(), first)) {
        return Refusal::not_implemented(format_args!("{verb} of {}/{first}", resource.plural));
    }
    if resource.is_custom() && matches!(first, "status" | "scale") {
        return Refusal::not_found(resource, name);
    }
    Refusal::no_such_resource()
}
