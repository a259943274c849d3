"""The official client for Python lists, watches and evicts, as on any cluster. KUBECONFIG leads to that of `careen demo`."""

from collections.abc import Iterator

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

config.load_kube_config()
core = client.CoreV1Api()


def pods_in_pages(namespace: str, limit: int) -> Iterator[client.V1Pod]:
    token = None
    while True:
        page = core.list_namespaced_pod(namespace, limit=limit, _continue=token)
        assert len(page.items) <= limit
        yield from page.items
        token = page.metadata._continue
        if not token:
            return


def evict(pod: client.V1Pod) -> None:
    """By its UID: a successor of that name is left alone."""
    name, namespace = pod.metadata.name, pod.metadata.namespace
    options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=pod.metadata.uid))
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=name), delete_options=options)
    core.create_namespaced_pod_eviction(name, namespace, eviction)


def refusal(pod: client.V1Pod) -> ApiException:
    try:
        evict(pod)
    except ApiException as refused:
        return refused
    raise AssertionError(f"{pod.metadata.name} was evicted")


def lists() -> None:
    # `False` goes over the wire as it is.
    nodes = core.list_node(watch=False, allow_watch_bookmarks=False).items
    names = [node.metadata.name for node in nodes]
    assert names == [f"node0{number}" for number in range(1, 7)], names
    whole = {pod.metadata.name for pod in core.list_namespaced_pod("shop").items}
    paged = [pod.metadata.name for pod in pods_in_pages("shop", 5)]
    assert len(paged) == len(whole) and set(paged) == whole, (paged, whole)
    deployment = client.AppsV1Api().read_namespaced_deployment("web", "shop")
    assert deployment.status.ready_replicas == 12, deployment.status
    budget = client.PolicyV1Api().read_namespaced_pod_disruption_budget("web", "shop")
    assert budget.status.expected_pods == 12, budget.status
    machines = client.CustomObjectsApi().list_cluster_custom_object("kubevirt.io", "v1", "virtualmachineinstances")
    assert len(machines["items"]) == 7


def watches_and_evicts() -> None:
    found = core.list_namespaced_pod("shop", label_selector="app=web")
    first, second, *_ = found.items
    evict(first)
    refused = refusal(second)
    assert refused.status == 429 and "disruption budget" in refused.body, refused
    events = watch.Watch().stream(
        core.list_namespaced_pod,
        "shop",
        label_selector="app=web",
        resource_version=found.metadata.resource_version,
        timeout_seconds=60,
    )
    is_gone, has_successor = False, False
    known = {pod.metadata.name for pod in found.items}
    for event in events:
        name = event["object"].metadata.name
        is_gone |= event["type"] == "DELETED" and name == first.metadata.name
        has_successor |= event["type"] == "ADDED" and name not in known
        if is_gone and has_successor:
            return
    raise AssertionError(f"the pod is gone: {is_gone}; it has a successor: {has_successor}")


def is_refused_what_kubevirt_refuses() -> None:
    (launcher,) = core.list_namespaced_pod("office", label_selector="vm.kubevirt.io/name=licences").items
    refused = refusal(launcher)
    assert refused.status == 429 and "is not live-migratable" in refused.body, refused


lists()
watches_and_evicts()
is_refused_what_kubevirt_refuses()
print("the official client lists, watches and evicts")
