"""A Kubernetes cluster in memory, with KubeVirt if wanted, to test your scripts on.

Its API answers as the real one does, budgets really block, VMs really migrate; only time is faster, and nothing runs. The
pytest plugin that comes with the package has the fixture ``simulated_cluster``.

How long things take, and what goes wrong, are settings: of a node (:meth:`~SimulatedCluster.add_node`), of the pods
of a workload, of a VM. :meth:`~SimulatedCluster.set` changes those of what is there. Durations are written ``1m30s``,
``2s``, ``500ms``, and are multiplied by ``scale``; a wish is ``"true"``.

Of a node: ``unreachable`` (nothing is heard of it, and nothing on it moves), ``not-ready``.

Of a pod: ``starts-after`` (default ``1s``, from its binding), ``ready-after`` (``1s``, from then), ``ends-after``
(``1s``, from its deletion; no longer than its grace), ``completes-after`` and ``fails-after`` (never, from its
start), ``never-starts``, ``never-ready``, ``ignores-termination`` (it ends when its grace is over), ``never-ends``
(not even then), ``left-alone`` (the kubelet does nothing about it).

Of a VM, beside those of its launcher pods: ``guest-starts-after`` (``1s``), ``guest-never-starts``,
``shuts-down-after`` (``2s``), ``powers-off-after`` and ``crashes-after`` (never), ``not-migratable`` (KubeVirt's
reason: ``DisksNotLiveMigratable``), ``prepares-for`` (``1s``) and ``migrates-for`` (``5s``): how long its migrations
take, ``migration-stays-in`` (a phase), ``migration-fails`` (so many do), ``migration-mode`` (``PreCopy``,
``PostCopy``, ``Paused``).
"""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, cast

from careen import _careen, _read, aio
from careen._arguments import invalid, text
from careen._cluster import Cluster
from careen._read import Scope
from careen._read import name as _text
from careen._settled import unsettled
from careen._settings import KINDS, Kind, metadata_of
from careen.errors import TimeoutError

__all__ = ["SimulatedCluster"]

_LOOK_EVERY = 0.01
# More than Kubernetes itself is made for.
_MOST_NODES = 5_000
_LARGEST_SCALE = 1_000


class SimulatedCluster:
    """A cluster in memory, in this process. It has Careen's CustomResourceDefinition, and its clock is the real one.

    :param nodes: how many (``node01``, ``node02``, …), or their names.
    :param kubevirt: whether KubeVirt is installed.
    :param eviction_strategy: KubeVirt's cluster-wide one: ``"LiveMigrate"``.
    :param scale: everything takes that many times as long as in a real cluster.
    :param seed: decides everything that is random.
    :param still: nothing happens by itself: there is no scheduler, no kubelet and no controller, and objects stay as you
        :meth:`put` them. For clusters of thousands of pods.
    """

    def __init__(
        self,
        nodes: int | Iterable[str] = 3,
        *,
        kubevirt: bool = False,
        eviction_strategy: str | None = None,
        scale: float = 0.05,
        seed: int = 0,
        still: bool = False,
    ) -> None:
        names = _node_names(nodes)
        if not 0 <= seed < 2**64:
            raise invalid("seed", f"{seed} is not a number of 64 bits")
        if not 0 < scale <= _LARGEST_SCALE:
            raise invalid("scale", f"{scale} is not between 0 and {_LARGEST_SCALE}")
        strategy = text("eviction_strategy", eviction_strategy)
        self._native = _careen.SimulatedCluster(kubevirt, strategy, scale, seed, still)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        for each in names:
            self.add_node(each)

    def __enter__(self) -> SimulatedCluster:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends it: nothing happens in it any more, and :attr:`kubeconfig` leads to nobody. Connections that :meth:`connect`
        has made still find what is there."""
        self._native.close()
        if self._folder is not None:
            self._folder.cleanup()

    def connect(
        self, *, timeout: timedelta | float = 30.0, scope: Scope = "nodes", user: str | None = None
    ) -> Cluster:
        """A connection to it, without a socket.

        :param user: somebody who may do what Roles and ClusterRoles say that you have created and bound to this name
            (``system:serviceaccount:NAMESPACE:NAME`` is an account); else somebody who may do everything.
        """
        return Cluster._of(self._connected(timeout, scope, user))

    def connect_aio(
        self, *, timeout: timedelta | float = 30.0, scope: Scope = "nodes", user: str | None = None
    ) -> aio.Cluster:
        """A connection to it for asyncio, without a socket. See :meth:`connect`."""
        return aio.Cluster._of(self._connected(timeout, scope, user))

    def _connected(self, timeout: timedelta | float, scope: Scope, user: str | None) -> _careen.Cluster:
        return self._native.connect(_read.call_timeout(timeout), _read.is_whole(scope), text("user", user))

    @property
    def kubeconfig(self) -> str:
        """A kubeconfig file that leads to it over HTTP on loopback: for ``kubectl`` and other clients. It goes with it.

        Whoever can read the file, or finds the port, may do everything in this cluster.
        """
        address = self._native.serve()
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="careen-")
        path = pathlib.Path(self._folder.name, "kubeconfig")
        if not path.exists():
            name = "simulated"
            content = {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": name, "cluster": {"server": f"http://{address}"}}],
                "users": [{"name": name, "user": {}}],
                "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
                "current-context": name,
            }
            path.write_text(json.dumps(content))
        return os.fspath(path)

    def create(self, manifests: str | Mapping[str, Any]) -> None:
        """Creates the objects of YAML or JSON documents, or one object; missing namespaces as well."""
        if isinstance(manifests, str):
            self._native.create(_text("manifests", manifests))
        else:
            self._native.create(_json("manifests", manifests))

    def add_node(
        self, name: str, *, control_plane: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        """A node with 16 CPUs, 64 GiB and room for 110 pods."""
        kind = "ControlPlaneNode" if control_plane else "Node"
        self._add(kind, "", name, patch={"metadata": metadata_of(settings, "nodes")})

    def add_pod(
        self, namespace: str, name: str, *, on: str | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        """A pod that nobody owns."""
        self._add("Pod", namespace, name, patch={"metadata": metadata_of(settings, "pods"), "spec": _prefers(on)})

    def add_deployment(
        self,
        namespace: str,
        name: str,
        replicas: int = 1,
        *,
        on: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """A Deployment whose pods have the label ``app`` with its name.

        :param on: the node where its pods start if they can.
        """
        self._add("Deployment", namespace, name, replicas, patch=_template(on, settings))

    def add_stateful_set(
        self,
        namespace: str,
        name: str,
        replicas: int = 1,
        *,
        on: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """A StatefulSet without volumes."""
        self._add("StatefulSet", namespace, name, replicas, patch=_template(on, settings))

    def add_daemon_set(self, namespace: str, name: str) -> None:
        """A DaemonSet on all nodes but those with taints of their own."""
        self._add("DaemonSet", namespace, name)

    def add_budget(
        self,
        namespace: str,
        name: str,
        *,
        min_available: int | str | None = None,
        max_unavailable: int | str | None = None,
    ) -> None:
        """A PodDisruptionBudget for the pods whose label ``app`` is its name: a count, or a share (``"50%"``)."""
        if (min_available is None) == (max_unavailable is None):
            raise invalid("min_available", "give either min_available or max_unavailable")
        kind = "MaxUnavailable" if min_available is None else "MinAvailable"
        argument = "max_unavailable" if min_available is None else "min_available"
        amount = max_unavailable if min_available is None else min_available
        if isinstance(amount, int):
            self._add(kind, namespace, name, amount, counted=argument)
        else:
            self._add(kind, namespace, name, words=text(argument, amount))

    def add_virtual_machine(
        self,
        namespace: str,
        name: str,
        *,
        eviction_strategy: str | None = "LiveMigrate",
        run_strategy: str = "Always",
        on: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """A VM; it needs ``kubevirt=True``.

        :param eviction_strategy: ``None`` for the cluster's.
        """
        patch = _template(on, settings, "virtualmachineinstances.kubevirt.io")
        patch["spec"]["runStrategy"] = _text("run_strategy", run_strategy)
        self._add("VirtualMachine", namespace, name, words=text("eviction_strategy", eviction_strategy), patch=patch)

    def get(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        """An object as it is: ``get("pods", "shop", "web-1")``, ``get("nodes", "", "node01")``."""
        found = self._native.get(*_key(resource, namespace, name))
        return None if found is None else json.loads(found)

    def objects(self, resource: str) -> list[dict[str, Any]]:
        """All objects of a resource as they are: ``pods``, ``deployments.apps``."""
        found: list[dict[str, Any]] = json.loads(self._native.all(_text("resource", resource)))
        return found

    def put(self, resource: str, found: Mapping[str, Any]) -> None:
        """Writes an object past all checks, as it is, status and all: what would otherwise take long to come about."""
        self._native.put(_text("resource", resource), _json("found", found))

    def edit(self, resource: str, namespace: str, name: str, patch: Mapping[str, Any]) -> None:
        """Changes an object by a merge patch, past all checks: to make it what your script has to cope with."""
        self._native.patch(*_key(resource, namespace, name), _json("patch", patch))

    def set(self, resource: str, namespace: str, name: str, settings: Mapping[str, str | None]) -> None:
        """Changes the settings of an object that is there; ``None`` takes one away.

        :param resource: ``"nodes"``, ``"pods"`` or ``"virtualmachineinstances.kubevirt.io"``.
        """
        key = _key(resource, namespace, name)
        if resource not in KINDS:
            raise invalid("resource", f"{resource!r} has no settings: {', '.join(KINDS)} have")
        self._native.patch(*key, _json("settings", {"metadata": metadata_of(settings, cast(Kind, resource))}))

    def remove(self, resource: str, namespace: str, name: str) -> bool:
        """Removes an object past all checks. Says whether it was there."""
        return self._native.remove(*_key(resource, namespace, name))

    def audit(self) -> list[dict[str, Any]]:
        """One ``audit.k8s.io/v1`` Event for each finished request of anybody, in order."""
        found: list[dict[str, Any]] = json.loads(self._native.audit())
        return found

    def evicted(self) -> list[str]:
        """The pods whose eviction was accepted, as ``namespace/name``, in order."""
        return [
            f"{reference['namespace']}/{reference['name']}"
            for event in self.audit()
            if (reference := event.get("objectRef", {})).get("subresource") == "eviction"
            and event["responseStatus"]["code"] < 300
        ]

    def fail(
        self,
        verb: str,
        resource: str,
        how: Literal["Forbidden", "Unauthorized", "Unavailable", "Hang", "DropConnection", "LoseAnswer"] = "Unavailable",
        times: int | None = None,
    ) -> None:
        """Lets requests of scripts go wrong; the cluster's own controllers go on.

        :param verb: ``"get"``, ``"list"``, ``"watch"``, ``"create"``, ``"update"``, ``"patch"``, ``"delete"`` or
            ``"deletecollection"``.
        :param resource: one that the cluster serves, without its group: ``"nodes"``, ``"pods/eviction"``, …
        :param how: ``LoseAnswer`` is carried out, all others are not.
        :param times: so often; else until :meth:`heal`.
        """
        if times is not None and not 0 <= times < 2**32:
            raise invalid("times", f"{times} is not a count")
        self._native.fail(_text("verb", verb), _text("resource", resource), _text("how", how), times)

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self._native.heal()

    def settle(self, timeout: timedelta | float = 30.0) -> SimulatedCluster:
        """Waits until everything is there, runs and is ready; gives the cluster."""
        limit = _read.call_timeout(timeout)
        looked_at = time.monotonic()
        deadline = looked_at + limit
        while missing := unsettled(self.objects):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not settled within {limit:g} s: {missing}")
            # A look at a large cluster takes its time: that is left to those who settle it.
            time.sleep(max(_LOOK_EVERY, time.monotonic() - looked_at))
            looked_at = time.monotonic()
        return self

    def _add(
        self,
        kind: str,
        namespace: str,
        name: str,
        number: int = 0,
        words: str | None = None,
        patch: Mapping[str, Any] | None = None,
        *,
        counted: str = "replicas",
    ) -> None:
        if not 0 <= number < 2**31:
            raise invalid(counted, f"{number} is not a count that Kubernetes takes")
        place = _text("namespace", namespace), _text("name", name)
        self._native.create(_careen.simulated_object(kind, *place, number, words, _json("settings", patch or {})))


def _node_names(nodes: int | Iterable[str]) -> list[str]:
    if isinstance(nodes, str):
        raise TypeError("nodes has to be a count or names, not one str")
    names = nodes if isinstance(nodes, int) else list(nodes)
    count = names if isinstance(names, int) else len(names)
    if not 0 <= count <= _MOST_NODES:
        raise invalid("nodes", f"{count} is not a count between 0 and {_MOST_NODES}")
    return [f"node{number:02}" for number in range(1, count + 1)] if isinstance(names, int) else names


def _key(resource: str, namespace: str, name: str) -> tuple[str, str, str]:
    return _text("resource", resource), _text("namespace", namespace), _text("name", name)


def _json(argument: str, value: Mapping[str, Any]) -> str:
    if not isinstance(value, Mapping):
        raise TypeError(f"{argument} has to be a mapping, not {type(value).__name__}")
    try:
        return json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise invalid(argument, f"is no JSON: {error}") from None


def _prefers(node: str | None) -> dict[str, Any]:
    if node is None:
        return {}
    _text("on", node)
    is_there = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    preferred = [{"weight": 100, "preference": {"matchExpressions": [is_there]}}]
    return {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}


def _template(node: str | None, settings: Mapping[str, str] | None, kind: Kind = "pods") -> dict[str, Any]:
    return {"spec": {"template": {"metadata": metadata_of(settings, kind), "spec": _prefers(node)}}}
