"""Whether a cluster in memory has come to rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def unsettled(objects: Callable[[str], list[dict[str, Any]]]) -> str | None:
    """What is not there yet, does not run or is not ready; ``objects`` gives all of a resource."""
    for node in objects("nodes"):
        if not _is_true(node, "Ready"):
            return f"node {_name(node)} is not ready"
    for resource in ("deployments.apps", "statefulsets.apps"):
        for each in objects(resource):
            if each.get("status", {}).get("readyReplicas", 0) != each["spec"]["replicas"]:
                return f"not all pods of {resource} {_name(each)} are ready"
    for each in objects("daemonsets.apps"):
        status = each.get("status", {})
        # Before its controller has looked at the nodes it wants none.
        wanted = max(status.get("desiredNumberScheduled", 0), 1)
        if status.get("numberReady", 0) < wanted:
            return f"not all pods of daemonsets.apps {_name(each)} are ready"
    for pod in objects("pods"):
        over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if "deletionTimestamp" in pod["metadata"] or not (over or _is_true(pod, "Ready")):
            return f"pod {_name(pod)} is not ready"
    for budget in objects("poddisruptionbudgets.policy"):
        status = budget.get("status", {})
        is_current = status.get("observedGeneration") == budget["metadata"].get("generation")
        if not is_current or status.get("currentHealthy", 0) < status.get("expectedPods", 0):
            return f"budget {_name(budget)} is not up to date"
    running = {
        _name(each)
        for each in objects("virtualmachineinstances.kubevirt.io")
        if each.get("status", {}).get("phase") == "Running" and _condition(each, "LiveMigratable") is not None
    }
    for each in objects("virtualmachines.kubevirt.io"):
        if each["spec"].get("runStrategy") == "Always" and _name(each) not in running:
            return f"VM {_name(each)} does not run"
    return None


def _name(found: Mapping[str, Any]) -> str:
    metadata = found["metadata"]
    return "/".join(part for part in (metadata.get("namespace"), metadata["name"]) if part)


def _condition(found: Mapping[str, Any], type_: str) -> str | None:
    conditions = found.get("status", {}).get("conditions") or []
    return next((each["status"] for each in conditions if each["type"] == type_), None)


def _is_true(found: Mapping[str, Any], type_: str) -> bool:
    return _condition(found, type_) == "True"
