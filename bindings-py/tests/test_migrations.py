"""VMs, and how they move."""

import asyncio
import threading
import time

import pytest

import careen
from careen.models import VerdictKind, VirtualMachineInstancePhase, WorkloadKind
from careen.testing import SimulatedCluster

with_kubevirt = pytest.mark.parametrize("simulated_cluster", [{"kubevirt": True}], indirect=True)


@pytest.fixture
def office(simulated_cluster: SimulatedCluster) -> SimulatedCluster:
    simulated_cluster.settle()
    simulated_cluster.add_virtual_machine("office", "files", on="node02")
    return simulated_cluster.settle()


@with_kubevirt
def test_a_vm_moves(office: SimulatedCluster) -> None:
    with office.connect() as cluster:
        vm = cluster.virtual_machine_instance("office", "files")
        assert (vm.node, vm.phase, vm.live_migratable) == ("node02", VirtualMachineInstancePhase.RUNNING, True)
        assert cluster.virtual_machine_instances() == [vm]
        moved = cluster.migrate("office", "files").wait(60)
        assert (moved.source, moved.phase) == ("node02", "Succeeded")
        assert cluster.virtual_machine_instance("office", "files").node == moved.target != "node02"
        with pytest.raises(careen.NotFoundError):
            cluster.migrate("office", "mail")


@with_kubevirt
async def test_the_same_in_asyncio_and_with_a_drain(office: SimulatedCluster) -> None:
    async with office.connect_aio() as cluster:
        plan = await cluster.plan("node02")
        assert [(entry.kind, entry.verdict) for entry in plan.workloads] == [
            (WorkloadKind.VIRTUAL_MACHINE_INSTANCE, VerdictKind.MIGRATE)
        ]
        await (await cluster.drain("node02")).wait(60)
        there = (await cluster.virtual_machine_instance("office", "files")).node
        assert there is not None and there != "node02"
        assert (await (await cluster.migrate("office", "files")).wait(60)).source == there


@with_kubevirt
def test_a_migration_is_cancelled(simulated_cluster: SimulatedCluster) -> None:
    simulated_cluster.settle()
    simulated_cluster.add_virtual_machine("office", "files", on="node02", settings={"migrates-for": "1h"})
    simulated_cluster.settle()
    with simulated_cluster.connect() as cluster:
        handle = cluster.migrate("office", "files")
        with pytest.raises(careen.ConflictError) as caught:
            cluster.migrate("office", "files")
        assert (caught.value.reason, caught.value.migration) == ("AlreadyMigrating", handle.name)
        with pytest.raises(careen.TimeoutError, match="VM office/files has not moved within 0.3 s: .*" + handle.name):
            handle.wait(0.3)
        assert handle.cancel() is False
        with pytest.raises(careen.FailedError):
            handle.wait(30)
        assert cluster.virtual_machine_instance("office", "files").node == "node02"


@pytest.fixture
def slow(simulated_cluster: SimulatedCluster) -> SimulatedCluster:
    """A VM that is on its way for longer than any test."""
    simulated_cluster.settle()
    simulated_cluster.add_virtual_machine("office", "files", on="node02", settings={"migrates-for": "1h"})
    return simulated_cluster.settle()


@with_kubevirt
def test_a_migration_can_be_waited_for_again(office: SimulatedCluster) -> None:
    with office.connect() as cluster:
        handle = cluster.migrate("office", "files")
        moved = handle.wait(60)
        assert handle.wait(10).target == moved.target
        office.remove("virtualmachineinstancemigrations.kubevirt.io", "office", handle.name)
        for _ in range(2):
            with pytest.raises(careen.FailedError) as failed:
                # The caches may be a moment behind.
                for _ in range(1000):
                    handle.wait(10)
                    time.sleep(0.01)
            assert failed.value.reason == "MigrationNotFound"


@with_kubevirt
async def test_a_migration_can_be_waited_for_by_several(office: SimulatedCluster) -> None:
    async with office.connect_aio() as cluster:
        handle = await cluster.migrate("office", "files")
        one, other = await asyncio.gather(handle.wait(60), handle.wait(60))
        assert one.target == other.target


@with_kubevirt
def test_a_migration_has_the_verbs_of_a_drain(office: SimulatedCluster) -> None:
    with office.connect() as cluster:
        handle = cluster.migrate("office", "files")
        assert handle.result is None
        phases = [seen.phase for seen in handle]
        assert phases[-1] == "Succeeded" and len(phases) > 1
        office.remove("virtualmachineinstancemigrations.kubevirt.io", "office", handle.name)
        with pytest.raises(careen.FailedError):
            for _ in range(1000):
                handle.wait(10)
                time.sleep(0.01)
        assert list(handle) == []
        # It is kept where KubeVirt does not keep it.
        assert handle.result is not None and handle.result.phase == "Succeeded"


@with_kubevirt
async def test_a_migration_of_asyncio_has_the_verbs_of_a_drain(office: SimulatedCluster) -> None:
    async with office.connect_aio() as cluster:
        handle = await cluster.migrate("office", "files")
        assert [seen.phase async for seen in handle][-1] == "Succeeded"
        assert handle.result is not None and handle.result.phase == "Succeeded"


@with_kubevirt
def test_a_migration_is_cancelled_at_once(slow: SimulatedCluster) -> None:
    with slow.connect() as cluster:
        # So that the caches are behind.
        slow.fail("watch", "virtualmachineinstancemigrations", "Unavailable", 1)
        handle = cluster.migrate("office", "files")
        assert handle.cancel() is False
        with pytest.raises(careen.FailedError):
            handle.wait(30)
        assert cluster.virtual_machine_instance("office", "files").node == "node02"


@with_kubevirt
def test_a_wait_notices_that_the_connection_is_closed(slow: SimulatedCluster) -> None:
    with slow.connect() as cluster:
        handle = cluster.migrate("office", "files")
        threading.Timer(0.3, cluster.close).start()
        with pytest.raises(careen.ClosedError):
            handle.wait()


def test_without_kubevirt_nothing_migrates(simulated_cluster: SimulatedCluster) -> None:
    with simulated_cluster.settle().connect() as cluster:
        for call in (cluster.migrate, cluster.virtual_machine_instance):
            with pytest.raises(careen.NotServedError, match="KubeVirt"):
                call("office", "files")


@with_kubevirt
@pytest.mark.parametrize("scope", ["nodes", "whole"])
def test_a_vm_that_is_starting_can_be_read(simulated_cluster: SimulatedCluster, scope: careen.Scope) -> None:
    simulated_cluster.settle()
    with simulated_cluster.connect(scope=scope) as cluster:
        for node in cluster.nodes():
            cluster.cordon(node.name)
        simulated_cluster.add_virtual_machine("office", "files")
        deadline = time.monotonic() + 30
        while simulated_cluster.get("virtualmachineinstances.kubevirt.io", "office", "files") is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        while True:
            try:
                vm = cluster.virtual_machine_instance("office", "files")
                break
            except careen.NotFoundError:
                # With scope="whole", a moment behind.
                assert scope == "whole" and time.monotonic() < deadline
        assert (vm.name, vm.node) == ("files", None) and vm.phase is not VirtualMachineInstancePhase.RUNNING
        with pytest.raises(careen.ConflictError) as caught:
            cluster.migrate("office", "files")
        assert caught.value.reason == "NotRunning"


@with_kubevirt
def test_a_migration_of_somebody_else_can_be_followed(slow: SimulatedCluster) -> None:
    with slow.connect() as theirs, slow.connect() as cluster:
        name = theirs.migrate("office", "files").name
        with pytest.raises(careen.ConflictError) as caught:
            cluster.migrate("office", "files")
        assert caught.value.migration == name
        handle = cluster.migration("office", name)
        assert (handle.namespace, handle.name, handle.virtual_machine_instance) == ("office", name, "files")
        assert handle.cancel() is False
        with pytest.raises(careen.FailedError):
            handle.wait(30)
        for namespace, migration in (("office", "other"), ("elsewhere", name)):
            with pytest.raises(careen.NotFoundError) as missing:
                cluster.migration(namespace, migration)
            assert missing.value.reason == "MigrationNotFound"


@with_kubevirt
async def test_a_migration_that_is_over_can_be_found_in_asyncio(office: SimulatedCluster) -> None:
    async with office.connect_aio() as cluster:
        moved = await (await cluster.migrate("office", "files")).wait(60)
        assert moved.name is not None
        office.remove("virtualmachineinstances.kubevirt.io", "office", "files")
        found = await cluster.migration("office", moved.name)
        assert (await found.wait(30)).phase == "Succeeded"
        assert found.result is not None and found.virtual_machine_instance == "files"
