"""Whatever the arguments are: a result, or an error that is documented."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import careen
import careen.aio
from careen import models
from careen._model import Model
from careen.testing import SimulatedCluster

texts = st.text(max_size=300) | st.sampled_from(
    ["node01", "office", "", "..", "a/b", "\0", "NoSchedule", "kubevirt.io/drain", "x" * 300, "é", "\ud800", "pods", "50%"]
)
anything = (
    texts
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=4)
    | st.lists(st.none(), max_size=1)
    | st.dictionaries(texts, st.none() | texts | st.floats() | st.dictionaries(texts, texts, max_size=1), max_size=2)
)
# Nobody waits for more than an instant here.
instants = st.floats(max_value=0.01) | st.integers(max_value=0) | st.timedeltas(max_value=timedelta(0)) | texts | st.booleans()
option_values = anything | st.sampled_from(["Evict", "Block", "ShutDown", "Migrate", "Leave", "Abort"]) | st.timedeltas()
options = st.dictionaries(st.sampled_from(careen.DrainOptions.__slots__), option_values, max_size=3)

quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def simulated() -> Iterator[SimulatedCluster]:
    with SimulatedCluster(2, kubevirt=True) as simulated:
        simulated.settle()
        simulated.add_virtual_machine("office", "office", settings={"migrates-for": "1h"})
        yield simulated.settle()


@pytest.fixture(scope="module")
def cluster(simulated: SimulatedCluster) -> Iterator[careen.Cluster]:
    with simulated.connect(timeout=5) as cluster:
        yield cluster


def is_documented(call: Callable[[], object]) -> None:
    """A result, or an error that is documented and says something; never one that says that careen is at fault."""
    try:
        call()
    except (careen.CareenError, TypeError) as error:
        assert str(error)
        assert getattr(error, "reason", "") not in ("Internal", "Unknown"), repr(error)


def drained(cluster: careen.Cluster, node: Any, **more: Any) -> None:
    drain = cluster.drain(node, careen.DrainOptions(**more))
    drain.cancel()
    drain.wait(10)


METHODS: dict[str, tuple[Callable[..., object], st.SearchStrategy[Any]]] = {
    "node": (careen.Cluster.node, st.tuples(anything)),
    "workloads": (careen.Cluster.workloads, st.tuples(anything)),
    "plan": (lambda c, n, o, m: c.plan(n, o, for_maintenance=m), st.tuples(anything, anything, anything)),
    "plan with options": (lambda c, o: c.plan("node01", careen.DrainOptions(**o)), st.tuples(options)),
    "cordon": (lambda c, n, d: c.cordon(n, dry_run=d), st.tuples(anything, anything)),
    "uncordon": (lambda c, n, d: c.uncordon(n, dry_run=d), st.tuples(anything, anything)),
    "taint": (lambda c, *a: c.taint(*a[:4], dry_run=a[4]), st.tuples(*[anything] * 5)),
    "untaint": (lambda c, *a: c.untaint(*a[:3], dry_run=a[3]), st.tuples(*[anything] * 4)),
    "drain": (careen.Cluster.drain, st.tuples(anything, anything)),
    "drain with options": (lambda c, o: drained(c, "node02", **o), st.tuples(options)),
    "start_maintenance": (
        lambda c, n, r, t, o: c.start_maintenance(n, r, ticket=t, options=o),
        st.tuples(*[anything] * 4),
    ),
    "start_maintenance of a ticket": (
        lambda c, i, u: c.start_maintenance("node01", ticket=careen.Ticket(i, u)),
        st.tuples(anything, anything),
    ),
    "stop_maintenance": (
        lambda c, n, t, f: c.stop_maintenance(n, ticket=t, force=f),
        st.tuples(anything, anything, anything),
    ),
    "maintenance": (careen.Cluster.maintenance, st.tuples(anything)),
    "virtual_machine_instance": (careen.Cluster.virtual_machine_instance, st.tuples(anything, anything)),
    "migrate": (careen.Cluster.migrate, st.tuples(anything, anything)),
    "migration": (careen.Cluster.migration, st.tuples(anything, anything)),
    "Controller": (lambda c, n: careen.Controller(c, namespace=n).stop(), st.tuples(anything)),
    "Controller of anything": (lambda c, n: careen.Controller(n), st.tuples(anything)),
}


@pytest.mark.parametrize("name", METHODS)
def test_no_argument_breaks_a_call(cluster: careen.Cluster, name: str) -> None:
    call, arguments = METHODS[name]

    @quick
    @given(arguments)
    def ask(arguments: tuple[Any, ...]) -> None:
        is_documented(lambda: call(cluster, *arguments))

    ask()


AWAITED: dict[str, tuple[Callable[..., Any], st.SearchStrategy[Any]]] = {
    "node": (careen.aio.Cluster.node, st.tuples(anything)),
    "workloads": (careen.aio.Cluster.workloads, st.tuples(anything)),
    "plan": (lambda c, n, o, m: c.plan(n, o, for_maintenance=m), st.tuples(anything, anything, anything)),
    "cordon": (lambda c, n, d: c.cordon(n, dry_run=d), st.tuples(anything, anything)),
    "uncordon": (lambda c, n, d: c.uncordon(n, dry_run=d), st.tuples(anything, anything)),
    "taint": (lambda c, *a: c.taint(*a[:4], dry_run=a[4]), st.tuples(*[anything] * 5)),
    "untaint": (lambda c, *a: c.untaint(*a[:3], dry_run=a[3]), st.tuples(*[anything] * 4)),
    "drain": (careen.aio.Cluster.drain, st.tuples(anything, anything)),
    "start_maintenance": (
        lambda c, n, r, t, o: c.start_maintenance(n, r, ticket=t, options=o),
        st.tuples(*[anything] * 4),
    ),
    "stop_maintenance": (
        lambda c, n, t, f: c.stop_maintenance(n, ticket=t, force=f),
        st.tuples(anything, anything, anything),
    ),
    "maintenance": (careen.aio.Cluster.maintenance, st.tuples(anything)),
    "virtual_machine_instance": (careen.aio.Cluster.virtual_machine_instance, st.tuples(anything, anything)),
    "migrate": (careen.aio.Cluster.migrate, st.tuples(anything, anything)),
    "migration": (careen.aio.Cluster.migration, st.tuples(anything, anything)),
}


@pytest.mark.parametrize("name", AWAITED)
def test_no_argument_breaks_a_call_of_asyncio(simulated: SimulatedCluster, name: str) -> None:
    call, arguments = AWAITED[name]
    with asyncio.Runner() if hasattr(asyncio, "Runner") else OldRunner() as runner:
        cluster = simulated.connect_aio(timeout=5)

        @quick
        @given(arguments)
        def ask(arguments: tuple[Any, ...]) -> None:
            async def wait() -> None:
                await call(cluster, *arguments)

            is_documented(lambda: runner.run(wait()))

        ask()
        runner.run(cluster.close())


class OldRunner:
    """``asyncio.Runner``, which Python 3.10 does not have."""

    def __enter__(self) -> "OldRunner":
        self._loop = asyncio.new_event_loop()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()

    def run(self, coroutine: Any) -> object:
        return self._loop.run_until_complete(coroutine)


def test_every_method_of_a_cluster_is_tried() -> None:
    public = {
        name
        for name, member in inspect.getmembers(careen.Cluster, inspect.isfunction)
        if not name.startswith("_") and len(inspect.signature(member).parameters) > 1
    }
    assert public <= {name.partition(" ")[0] for name in METHODS}
    assert public <= set(AWAITED)


@quick
@given(st.dictionaries(st.sampled_from(["on_progress", "progress", "raise_if_stuck"]), anything), instants)
def test_no_argument_breaks_a_wait(cluster: careen.Cluster, arguments: dict[str, Any], timeout: Any) -> None:
    drain = cluster.drain("node02")
    is_documented(lambda: drain.wait(timeout, **arguments))
    drain.cancel()
    is_documented(lambda: drain.wait(10))


@quick
@given(instants)
def test_no_timeout_breaks_waiting_for_a_migration_or_a_maintenance(cluster: careen.Cluster, timeout: Any) -> None:
    for begin in (lambda: cluster.migrate("office", "office"), lambda: cluster.start_maintenance("node01")):
        try:
            handle = begin()
        except careen.ConflictError:
            continue
        is_documented(lambda: handle.wait(timeout))
    is_documented(lambda: cluster.start_maintenance("node01").wait_gone(timeout))


places = st.fixed_dictionaries(
    {},
    optional={
        "kubeconfig": anything,
        "context": anything,
        "url": anything | st.just("http://127.0.0.1:1"),
        "token": anything,
        "certificate_authority": anything,
        "timeout": anything | st.timedeltas(max_value=timedelta(seconds=1)),
        "scope": anything | st.sampled_from(["nodes", "whole"]),
    },
)


@quick
@given(places)
@example({"url": "http://127.0.0.1:1", "kubeconfig": "kubeconfig"})
@example({"token": "top-secret"})
@example({"url": "http://127.0.0.1:1", "token": "top\nsecret"})
def test_no_argument_breaks_a_connection(place: dict[str, Any]) -> None:
    is_documented(lambda: careen.Cluster(**place))

    async def connect() -> None:
        async with careen.aio.Cluster(**place):
            pass

    is_documented(lambda: asyncio.run(connect()))


@quick
@given(options)
def test_no_value_breaks_options(values: dict[str, Any]) -> None:
    is_documented(lambda: careen.DrainOptions(**values))


SIMULATED: dict[str, tuple[Callable[..., object], st.SearchStrategy[Any]]] = {
    "connect": (lambda s, t, w, u: s.connect(timeout=t, scope=w, user=u), st.tuples(*[anything] * 3)),
    "connect_aio": (lambda s, t, w, u: s.connect_aio(timeout=t, scope=w, user=u), st.tuples(*[anything] * 3)),
    "create": (SimulatedCluster.create, st.tuples(anything)),
    "set": (SimulatedCluster.set, st.tuples(*[anything] * 4)),
    "set of a node": (lambda s, x: s.set("nodes", "", "node02", x), st.tuples(anything)),
    "add_node": (lambda s, n, c, x: s.add_node(n, control_plane=c, settings=x), st.tuples(*[anything] * 3)),
    "add_pod": (lambda s, n, p, o, x: s.add_pod(n, p, on=o, settings=x), st.tuples(*[anything] * 4)),
    "add_deployment": (
        lambda s, n, d, r, o, x: s.add_deployment(n, d, r, on=o, settings=x),
        st.tuples(anything, anything, texts | st.integers(-3, 1), anything, anything),
    ),
    "add_stateful_set": (
        lambda s, n, d, r, o, x: s.add_stateful_set(n, d, r, on=o, settings=x),
        st.tuples(anything, anything, texts | st.integers(-3, 1), anything, anything),
    ),
    "add_daemon_set": (SimulatedCluster.add_daemon_set, st.tuples(anything, anything)),
    "add_budget": (
        lambda s, n, b, a, u: s.add_budget(n, b, min_available=a, max_unavailable=u),
        st.tuples(*[anything] * 4),
    ),
    "add_virtual_machine": (
        lambda s, n, v, e, r, o, x: s.add_virtual_machine(n, v, eviction_strategy=e, run_strategy=r, on=o, settings=x),
        st.tuples(*[anything] * 6),
    ),
    "get": (SimulatedCluster.get, st.tuples(*[anything] * 3)),
    "objects": (SimulatedCluster.objects, st.tuples(anything)),
    "put": (SimulatedCluster.put, st.tuples(anything, anything)),
    "put of a pod": (lambda s, m: s.put("pods", {"metadata": m}), st.tuples(anything)),
    "edit": (SimulatedCluster.edit, st.tuples(*[anything] * 4)),
    "edit of a node": (lambda s, p: s.edit("nodes", "", "node02", p), st.tuples(anything)),
    "edit of its metadata": (lambda s, m: s.edit("nodes", "", "node02", {"metadata": m}), st.tuples(anything)),
    "remove": (SimulatedCluster.remove, st.tuples(*[anything] * 3)),
    "fail": (SimulatedCluster.fail, st.tuples(*[anything] * 4)),
    "settle": (SimulatedCluster.settle, st.tuples(instants)),
}


@pytest.mark.parametrize("name", SIMULATED)
def test_no_argument_breaks_a_simulated_cluster(name: str) -> None:
    call, arguments = SIMULATED[name]
    with SimulatedCluster(2, kubevirt=True) as simulated:

        @quick
        @given(arguments)
        def ask(arguments: tuple[Any, ...]) -> None:
            is_documented(lambda: call(simulated, *arguments))

        ask()
        # It is still there for others.
        simulated.heal()
        with simulated.connect(timeout=10) as cluster:
            assert "node01" in [node.name for node in cluster.nodes()]


def test_every_method_of_a_simulated_cluster_is_tried() -> None:
    public = {
        name
        for name, member in inspect.getmembers(SimulatedCluster, inspect.isfunction)
        if not name.startswith("_") and len(inspect.signature(member).parameters) > 1
    }
    assert public <= {name.partition(" ")[0] for name in SIMULATED}


@settings(quick, max_examples=15)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "nodes": st.integers(max_value=3) | st.lists(texts, max_size=2) | texts | st.floats() | st.just(10**9),
            "kubevirt": anything,
            "eviction_strategy": anything,
            "scale": anything,
            "seed": anything,
        },
    )
)
def test_no_argument_breaks_a_new_simulated_cluster(arguments: dict[str, Any]) -> None:
    is_documented(lambda: SimulatedCluster(**arguments).close())


MODELS = [cls for name in models.__all__ if isinstance(cls := getattr(models, name), type) and issubclass(cls, Model)]


@pytest.mark.parametrize("model", MODELS)
def test_no_data_breaks_a_model(model: type[Model]) -> None:
    keys = st.sampled_from(["name", "kind", "phase", "conditions", "createdAt", "timeout", "taints", "node", "progress"])

    @quick
    @given(st.dictionaries(keys, anything | st.lists(anything, max_size=2), max_size=4) | anything)
    def ask(data: Any) -> None:
        is_documented(lambda: model.from_dict(data))

    ask()


def test_an_error_names_the_argument(cluster: careen.Cluster) -> None:
    with pytest.raises(careen.InvalidArgumentError) as caught:
        cluster.node("Not A Node")
    assert caught.value.argument == "node" and isinstance(caught.value, ValueError)
    for argument, values in {
        "timeout": {"timeout": -1},
        "delete_after": {"delete_after": timedelta(seconds=-1)},
        "empty_dir_pods": {"empty_dir_pods": "Perhaps"},
    }.items():
        with pytest.raises(careen.InvalidArgumentError) as caught:
            careen.DrainOptions(**values)  # type: ignore[arg-type]
        assert caught.value.argument == argument
    with pytest.raises(careen.InvalidArgumentError) as caught:
        cluster.plan("node01", careen.DrainOptions(pod_selector="a in"))
    assert caught.value.argument == "pod_selector"
    with pytest.raises(TypeError, match="nobody"):
        careen.DrainOptions(nobody="Evict")  # type: ignore[call-arg]
    with pytest.raises(careen.InvalidArgumentError, match="negative") as caught:
        cluster.drain("node02").wait(-1)
    assert caught.value.argument == "timeout"
    for argument, place in {
        "url": {"url": "10.0.0.1:6443"},
        "token": {"token": "top-secret"},
        "certificate_authority": {"url": "https://127.0.0.1:1", "certificate_authority": "/nonexistent/ca.crt"},
        "scope": {"scope": "everything"},
        "timeout": {"timeout": 0},
    }.items():
        with pytest.raises(careen.InvalidArgumentError) as caught:
            careen.Cluster(**place)  # type: ignore[arg-type]
        assert caught.value.argument == argument and "top-secret" not in str(caught.value)


@pytest.mark.parametrize("amount", [10**400, -(10**400), 1e308])
def test_no_number_is_too_large_to_be_refused(simulated: SimulatedCluster, amount: float) -> None:
    for call in (lambda: simulated.settle(amount), lambda: careen.DrainOptions(timeout=amount)):
        with pytest.raises(careen.InvalidArgumentError) as caught:
            call()
        assert caught.value.argument == "timeout"


def test_an_error_has_the_name_that_the_argument_has_here(cluster: careen.Cluster, simulated: SimulatedCluster) -> None:
    calls: dict[str, Callable[[], object]] = {
        "instance": lambda: cluster.migrate("office", ""),
        "namespace": lambda: cluster.virtual_machine_instance("a/b", "files"),
        "min_available": lambda: simulated.add_budget("shop", "web", min_available=-1),
        "max_unavailable": lambda: simulated.add_budget("shop", "web", max_unavailable=2**31),
        "replicas": lambda: simulated.add_deployment("shop", "web", -1),
    }
    for argument, call in calls.items():
        with pytest.raises(careen.InvalidArgumentError) as caught:
            call()
        assert caught.value.argument == argument and argument in str(caught.value)
