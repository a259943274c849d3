"""Maintenances, with a controller in this process."""

import asyncio
import dataclasses
import threading
from datetime import timedelta

import pytest

import careen
import careen.aio
from careen._following import TAKEN_UP_WITHIN, Following
from careen.models import Maintenance, MaintenancePhase
from careen.testing import SimulatedCluster


KIND = "nodemaintenances.nodemaintenance.kubevirt.io"


@pytest.fixture
def shop(simulated_cluster: SimulatedCluster) -> SimulatedCluster:
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 2, on="node02")
    return simulated_cluster.settle()


def test_a_node_goes_out_of_service_and_comes_back(shop: SimulatedCluster) -> None:
    with shop.connect() as cluster, careen.Controller(cluster):
        handle = cluster.start_maintenance("node02", "a new fan", ticket=careen.Ticket("CHG-7", "https://tickets/7"))
        assert (handle.created, handle.changed, handle.node) == (True, True, "node02")
        said = handle.wait(30)
        assert (said.phase, said.reason, said.ticket) == (
            MaintenancePhase.SUCCEEDED,
            "a new fan",
            careen.Ticket("CHG-7", "https://tickets/7"),
        )
        node = cluster.node("node02")
        assert not node.schedulable and [taint.key for taint in node.taints if "medik8s" in taint.key]
        assert [each.name for each in cluster.maintenances()] == [handle.name]
        again = cluster.start_maintenance("node02", ticket="CHG-7")
        assert (again.created, again.changed, again.name) == (False, False, handle.name)
        with pytest.raises(careen.ConflictError) as conflict:
            cluster.cordon("node02")
        assert (conflict.value.reason, conflict.value.holder) == ("UnderMaintenance", handle.name)
        with pytest.raises(careen.ConflictError):
            cluster.start_maintenance("node02", ticket="CHG-8")
        with pytest.raises(careen.PreconditionFailedError):
            cluster.stop_maintenance("node02", ticket="CHG-8")
        assert handle.stop().name == handle.name
        handle.wait_gone(30)
        node = cluster.node("node02")
        assert node.schedulable and node.record is None and not [each for each in node.taints if "medik8s" in each.key]
        with pytest.raises(careen.NotFoundError):
            cluster.maintenance(handle.name)


async def test_the_same_in_asyncio(shop: SimulatedCluster) -> None:
    async with shop.connect_aio() as cluster, careen.aio.Controller(cluster):
        handle = await cluster.start_maintenance("node02")
        phases: list[MaintenancePhase] = []
        async for said in handle:
            phases.append(said.phase)
            if said.phase is MaintenancePhase.SUCCEEDED:
                await handle.stop()
        assert MaintenancePhase.RUNNING in phases and phases[-1] is MaintenancePhase.STOPPING
        assert (await cluster.node("node02")).schedulable


def test_without_a_controller_it_says_so(shop: SimulatedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # Long enough for the maintenance to be seen.
    monkeypatch.setattr("careen._following.TAKEN_UP_WITHIN", 2.0)
    with shop.connect() as cluster:
        handle = cluster.start_maintenance("node02")
        with pytest.raises(careen.NoControllerError, match="careen.Controller"):
            handle.wait()
        with pytest.raises(careen.TimeoutError):
            handle.wait(0)


def test_one_that_is_not_accepted_has_failed(shop: SimulatedCluster) -> None:
    with shop.connect() as cluster:
        handle = cluster.start_maintenance("node02")
        shop.remove("nodes", "", "node02")
        with careen.Controller(cluster), pytest.raises(careen.FailedError) as failed:
            handle.wait(30)
        assert (failed.value.reason, failed.value.node) == ("NodeNotFound", "node02")
        assert handle.status().phase is MaintenancePhase.FAILED
        with pytest.raises(careen.NotFoundError):
            cluster.start_maintenance("node99")


def test_a_handle_is_about_its_maintenance_and_no_later_one(shop: SimulatedCluster) -> None:
    with shop.connect() as cluster:
        handle = cluster.start_maintenance("node02")
        shop.remove(KIND, "", handle.name)
        of_its_name = cluster.start_maintenance("node02")
        assert of_its_name.name == handle.name
        for call in (handle.status, handle.stop):
            with pytest.raises(careen.NotFoundError) as caught:
                call()
            assert caught.value.reason == "MaintenanceNotFound"
        shop.remove(KIND, "", handle.name)
        with pytest.raises(careen.NotFoundError):
            handle.status()
        shop.create(
            """
            apiVersion: nodemaintenance.kubevirt.io/v1beta1
            kind: NodeMaintenance
            metadata: {name: by-kubectl}
            spec: {nodeName: node02}
            """
        )
        with pytest.raises(careen.NotFoundError):
            of_its_name.stop()
        assert cluster.maintenance("by-kubectl").stopping_since is None


async def test_a_handle_of_asyncio_is_about_its_maintenance_as_well(shop: SimulatedCluster) -> None:
    async with shop.connect_aio() as cluster:
        handle = await cluster.start_maintenance("node02")
        shop.remove(KIND, "", handle.name)
        other = await cluster.start_maintenance("node02")
        with pytest.raises(careen.NotFoundError):
            await handle.stop()
        with pytest.raises(careen.NotFoundError):
            await handle.status()
        assert (await other.status()).uid == (await other.stop()).uid


def test_a_maintenance_is_stopped_at_once_whatever_the_caches_show(shop: SimulatedCluster) -> None:
    with shop.connect(scope="whole") as cluster:
        # From here on the caches follow, a moment behind.
        cluster.nodes()
        handle = cluster.start_maintenance("node02")
        assert handle.stop().name == handle.name


def test_a_wait_after_a_change_does_not_believe_what_was_said_before_it(
    shop: SimulatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop.connect() as cluster:
        with careen.Controller(cluster):
            cluster.start_maintenance("node02").wait(30)
        changed = cluster.start_maintenance("node02", "another fan")
        assert (changed.created, changed.changed) == (False, True)
        status = changed.status()
        assert (status.phase, status.accepted, status.blocking) == (MaintenancePhase.UNDECIDED, None, ())
        with monkeypatch.context() as hasty, pytest.raises(careen.NoControllerError):
            hasty.setattr("careen._following.TAKEN_UP_WITHIN", 2.0)
            changed.wait()
        with careen.Controller(cluster):
            assert changed.wait(30).reason == "another fan"
        assert changed.stop().phase is not MaintenancePhase.ENDED
        assert changed.status().phase is MaintenancePhase.STOPPING


def test_one_with_a_long_timeout_does_not_hide_the_others(shop: SimulatedCluster) -> None:
    shop.create(
        """
        apiVersion: nodemaintenance.kubevirt.io/v1beta1
        kind: NodeMaintenance
        metadata: {name: patient}
        spec: {nodeName: node03, drain: {timeout: 9999999999h}}
        """
    )
    with shop.connect() as cluster:
        cluster.start_maintenance("node02")
        assert [each.name for each in cluster.maintenances()] == ["node02-maintenance", "patient"]
        options = cluster.maintenance("patient").drain
        assert options is not None and options.timeout == timedelta(days=100_000)


def test_a_wait_notices_that_the_connection_is_closed(shop: SimulatedCluster) -> None:
    for wait in (careen.MaintenanceHandle.wait, careen.MaintenanceHandle.wait_gone, list[Maintenance]):
        with shop.connect() as cluster:
            handle = cluster.start_maintenance("node02")
            threading.Timer(0.3, cluster.close).start()
            with pytest.raises(careen.ClosedError):
                wait(handle)


async def test_a_wait_of_asyncio_notices_that_the_connection_is_closed(shop: SimulatedCluster) -> None:
    async with shop.connect_aio() as cluster:
        handle = await cluster.start_maintenance("node02")
        waiting = asyncio.ensure_future(handle.wait())
        await asyncio.sleep(0.3)
        await cluster.close()
        with pytest.raises(careen.ClosedError):
            await waiting


def test_an_api_server_that_is_away_from_the_start_is_unreachable(
    shop: SimulatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("careen._following.TAKEN_UP_WITHIN", 0.5)
    with shop.connect() as cluster:
        handle = cluster.start_maintenance("node02")
        shop.fail("list", "nodemaintenances", "Unavailable")
        with pytest.raises(careen.UnreachableError) as caught:
            handle.wait()
        assert caught.value.node == "node02"
        with pytest.raises(careen.TimeoutError):
            handle.wait(0.1)


def test_a_handle_has_the_verbs_of_a_drain(shop: SimulatedCluster) -> None:
    with shop.connect() as cluster, careen.Controller(cluster):
        handle = cluster.start_maintenance("node02")
        assert handle.result is None
        assert handle.wait(30) == handle.result
        assert handle.cancel().name == handle.name
        handle.wait_gone(30)
        assert cluster.node("node02").schedulable


async def test_a_handle_of_asyncio_has_the_verbs_of_a_drain(shop: SimulatedCluster) -> None:
    async with shop.connect_aio() as cluster, careen.aio.Controller(cluster):
        handle = await cluster.start_maintenance("node02")
        assert handle.result is None
        async for said in handle:
            if said.phase is MaintenancePhase.SUCCEEDED:
                assert handle.result == said
                await handle.cancel()
        assert handle.result is None, "what it came to does not hold any more"


def test_without_the_definition_there_are_none(simulated_cluster: SimulatedCluster) -> None:
    simulated_cluster.settle().remove("customresourcedefinitions.apiextensions.k8s.io", "", KIND)
    with simulated_cluster.connect() as cluster:
        assert cluster.maintenances() == []
        for call in (lambda: cluster.maintenance("x"), lambda: cluster.start_maintenance("node02")):
            with pytest.raises(careen.NotServedError):
                call()


class Clock:
    """The time that a wait sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("careen._following.monotonic", lambda: self.now)


@pytest.fixture
def undecided(shop: SimulatedCluster) -> Maintenance:
    with shop.connect() as cluster:
        return cluster.start_maintenance("node02").status()


def test_one_that_is_changed_in_the_middle_of_a_wait_has_time_again(
    undecided: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    following = Following(undecided, None)
    following.saw(dataclasses.replace(undecided, phase=MaintenancePhase.RUNNING))
    assert following.left() is None
    clock.now += 100
    following.saw(undecided)
    assert following.left() == TAKEN_UP_WITHIN
    clock.now += 30
    following.saw(undecided)
    assert following.left() == TAKEN_UP_WITHIN - 30
    clock.now += TAKEN_UP_WITHIN - 30
    assert isinstance(following.late(), careen.NoControllerError)


def test_a_controller_has_the_time_that_is_really_waited(
    undecided: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than a leader that has gone without a word keeps its Lease.
    assert TAKEN_UP_WITHIN > 35
    clock = Clock(monkeypatch)
    following = Following(undecided, None)
    assert following.left() == TAKEN_UP_WITHIN
    clock.now += 1
    following.saw(undecided)
    # The body of a loop, or on_progress.
    clock.now += 100
    assert following.left() == TAKEN_UP_WITHIN - 1


def test_a_time_out_names_what_was_asked_for_and_what_is_in_the_way(
    undecided: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    following = Following(undecided, 600, "restored")
    following.left()
    clock.now += 599.58
    stopping = dataclasses.replace(undecided, phase=MaintenancePhase.STOPPING)
    following.saw(dataclasses.replace(stopping, last_error="node02 is held by another"))
    following.left()
    clock.now += 0.42
    late = following.late()
    assert isinstance(late, careen.TimeoutError) and late.node == "node02"
    assert str(late) == "node node02 is not restored within 600 s: node02 is held by another"


def test_a_word_that_is_on_its_way_is_looked_for(shop: SimulatedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop.connect() as cluster:
        handle = cluster.start_maintenance("node02")
        with careen.Controller(cluster):
            handle.wait(30)
        # Its watch shows nothing any more.
        shop.fail("list", "nodemaintenances", "Hang")
        shop.fail("watch", "nodemaintenances", "Hang")
        monkeypatch.setattr("careen._following.TAKEN_UP_WITHIN", 0.3)
        assert handle.wait(30).phase is MaintenancePhase.SUCCEEDED


def test_one_that_nobody_restores_is_told(shop: SimulatedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop.connect() as cluster:
        handle = cluster.start_maintenance("node02")
        with careen.Controller(cluster):
            handle.wait(30)
        handle.stop()
        with monkeypatch.context() as hasty, pytest.raises(careen.NoControllerError, match="restores node node02"):
            hasty.setattr("careen._following.TAKEN_UP_WITHIN", 0.5)
            handle.wait_gone()
        with careen.Controller(cluster):
            handle.wait_gone(60)
        assert cluster.node("node02").schedulable


async def test_one_that_nobody_restores_is_told_in_asyncio(
    shop: SimulatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop.connect_aio() as cluster:
        handle = await cluster.start_maintenance("node02")
        async with careen.aio.Controller(cluster):
            await handle.wait(30)
        await handle.stop()
        with pytest.raises(careen.TimeoutError, match="node node02 is not restored within 0.2 s"):
            await handle.wait_gone(0.2)
        monkeypatch.setattr("careen._following.TAKEN_UP_WITHIN", 0.5)
        with pytest.raises(careen.NoControllerError):
            await handle.wait_gone()


def test_a_controller_that_can_never_lead_says_so_at_once(shop: SimulatedCluster) -> None:
    with shop.connect() as cluster:
        with pytest.raises(careen.NotFoundError, match="namespace nowhere") as missing:
            careen.Controller(cluster, namespace="nowhere")
        assert missing.value.reason == "NamespaceMissing"
        shop.fail("create", "leases", "Forbidden")
        with pytest.raises(careen.ForbiddenError) as forbidden:
            careen.Controller(cluster)
        assert forbidden.value.permission is not None and forbidden.value.permission.startswith("create leases")
        shop.heal()
        with careen.Controller(cluster), careen.Controller(cluster):
            pass


async def test_a_controller_of_asyncio_that_can_never_lead_says_so_at_once(shop: SimulatedCluster) -> None:
    async with shop.connect_aio() as cluster:
        with pytest.raises(careen.NotFoundError, match="namespace nowhere"):
            async with careen.aio.Controller(cluster, namespace="nowhere"):
                pass
