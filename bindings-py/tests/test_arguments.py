"""Whatever the arguments are: a result, or an error that is documented."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import careen
from careen.testing import SimulatedCluster

texts = st.text(max_size=300) | st.sampled_from(["node01", "", "..", "a/b", "\0", "NoSchedule", "x" * 300, "é", "\ud800"])
anything = texts | st.none() | st.integers() | st.floats() | st.binary(max_size=4) | st.lists(st.none(), max_size=1)
durations = st.floats() | st.integers() | st.timedeltas() | st.none() | st.text(max_size=3)
booleans = st.booleans()
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def cluster() -> Iterator[careen.Cluster]:
    with SimulatedCluster(1, kubevirt=True) as simulated:
        with simulated.settle().connect(timeout=5) as cluster:
            yield cluster


def calls(cluster: careen.Cluster) -> dict[str, tuple[Any, ...]]:
    # Those that change something are only tried: node01 has to stay as it is.
    return {
        "node": (cluster.node, anything),
        "workloads": (cluster.workloads, anything),
        "plan": (cluster.plan, anything, anything),
        "cordon": (lambda node: cluster.cordon(node, dry_run=True), anything),
        "uncordon": (lambda node: cluster.uncordon(node, dry_run=True), anything),
        "taint": (lambda *rest: cluster.taint(*rest, dry_run=True), anything, anything, anything, anything),
        "untaint": (lambda *rest: cluster.untaint(*rest, dry_run=True), anything, anything, anything),
        "maintenance": (cluster.maintenance, anything),
        "stop_maintenance": (lambda node, ticket: cluster.stop_maintenance(node, ticket=ticket), anything, anything),
        "virtual_machine_instance": (cluster.virtual_machine_instance, anything, anything),
        "migrate": (cluster.migrate, anything, anything),
    }


@pytest.mark.parametrize("name", calls(careen.Cluster.__new__(careen.Cluster)))
def test_no_argument_breaks_a_call(cluster: careen.Cluster, name: str) -> None:
    call, *strategies = calls(cluster)[name]

    @quick
    @given(st.tuples(*strategies))
    def ask(arguments: tuple[Any, ...]) -> None:
        try:
            call(*arguments)
        except (careen.CareenError, TypeError) as error:
            assert str(error)

    ask()


@quick
@given(st.dictionaries(st.sampled_from(careen.DrainOptions.__slots__), anything | durations | booleans))
def test_no_option_breaks_a_plan(cluster: careen.Cluster, options: dict[str, Any]) -> None:
    try:
        cluster.plan("node01", careen.DrainOptions(**options))
    except (careen.InvalidArgumentError, TypeError) as error:
        assert str(error)


@quick
@given(durations)
def test_no_duration_breaks_a_connection(timeout: Any) -> None:
    try:
        careen.Cluster("/nonexistent", timeout=timeout)
    except (careen.InvalidArgumentError, TypeError) as error:
        assert str(error)


def test_an_error_names_the_argument(cluster: careen.Cluster) -> None:
    with pytest.raises(careen.InvalidArgumentError) as caught:
        cluster.node("Not A Node")
    assert caught.value.argument == "node" and isinstance(caught.value, ValueError)
    for argument, options in {
        "timeout": {"timeout": -1},
        "delete_after": {"delete_after": timedelta(seconds=-1)},
        "empty_dir_pods": {"empty_dir_pods": "Perhaps"},
    }.items():
        with pytest.raises(careen.InvalidArgumentError) as caught:
            careen.DrainOptions(**options)  # type: ignore[arg-type]
        assert caught.value.argument == argument
    with pytest.raises(careen.InvalidArgumentError) as caught:
        cluster.plan("node01", careen.DrainOptions(pod_selector="a in"))
    assert caught.value.argument == "podSelector"
    with pytest.raises(TypeError, match="nobody"):
        careen.DrainOptions(nobody="Evict")  # type: ignore[call-arg]
