"""A node's way out of service and back: plan, cordon, taint, drain, migrate a VM, maintain, restore.

    python life.py NODE NAMESPACE/VM [--kubeconfig FILE] [--asyncio]

It does the same twice over, blocking or for asyncio; each step says what is so after it. The VM is on the node, and there
is another node that has room.
"""

from __future__ import annotations

import argparse
import asyncio
import logging

import careen
import careen.aio
from careen.models import DrainEnd, DrainEvent, Maintenance, MaintenancePhase, Node

BROKEN = "example.com/broken"
# Pods with an emptyDir may go here; what else is lost is not.
OPTIONS = careen.DrainOptions(empty_dir_pods="Evict", timeout=300)


def blocking(kubeconfig: str | None, node: str, vm: str) -> None:
    namespace, name = vm.split("/")
    with careen.Cluster(kubeconfig) as cluster:
        before = cluster.node(node)

        plan = cluster.plan(node, OPTIONS)
        print(plan)
        plan.check()

        cluster.cordon(node)
        cluster.taint(node, BROKEN, "fan")
        assert not cluster.node(node).schedulable

        outcome = cluster.drain(node, OPTIONS).wait(300, progress=True, on_progress=tell)
        assert outcome.end is DrainEnd.DRAINED, outcome
        assert cluster.virtual_machine_instance(namespace, name).node != node

        cluster.untaint(node, BROKEN)
        cluster.uncordon(node)
        assert as_it_was(cluster.node(node), before)

        moved = cluster.migrate(namespace, name).wait(300)
        print(f"{vm} has moved from {moved.source} to {moved.target}")
        assert cluster.virtual_machine_instance(namespace, name).node == moved.target

        with careen.Controller(cluster):
            maintenance = cluster.start_maintenance(node, "a new fan", ticket="CHG-7", options=OPTIONS)
            said = maintenance.wait(300, on_progress=tell_maintenance)
            assert said.phase is MaintenancePhase.SUCCEEDED, said
            assert cluster.virtual_machine_instance(namespace, name).node != node
            maintenance.stop()
            maintenance.wait_gone(300)
        assert as_it_was(cluster.node(node), before)


async def with_asyncio(kubeconfig: str | None, node: str, vm: str) -> None:
    namespace, name = vm.split("/")
    async with careen.aio.Cluster(kubeconfig) as cluster:
        before = await cluster.node(node)

        plan = await cluster.plan(node, OPTIONS)
        print(plan)
        plan.check()

        await cluster.cordon(node)
        await cluster.taint(node, BROKEN, "fan")
        assert not (await cluster.node(node)).schedulable

        drain = await cluster.drain(node, OPTIONS)
        async for event in drain:
            tell(event)
        outcome = await drain.wait()
        assert outcome.end is DrainEnd.DRAINED, outcome
        assert (await cluster.virtual_machine_instance(namespace, name)).node != node

        await cluster.untaint(node, BROKEN)
        await cluster.uncordon(node)
        assert as_it_was(await cluster.node(node), before)

        moved = await (await cluster.migrate(namespace, name)).wait(300)
        print(f"{vm} has moved from {moved.source} to {moved.target}")
        assert (await cluster.virtual_machine_instance(namespace, name)).node == moved.target

        async with careen.aio.Controller(cluster):
            maintenance = await cluster.start_maintenance(node, "a new fan", ticket="CHG-7", options=OPTIONS)
            said = await maintenance.wait(300, on_progress=tell_maintenance)
            assert said.phase is MaintenancePhase.SUCCEEDED, said
            assert (await cluster.virtual_machine_instance(namespace, name)).node != node
            await maintenance.stop()
            await maintenance.wait_gone(300)
        assert as_it_was(await cluster.node(node), before)


def tell(event: DrainEvent) -> None:
    print(f"{event.phase}: {event.progress.left} of {event.progress.had_to_leave} are left")


def tell_maintenance(said: Maintenance) -> None:
    print(f"{said.name}: {said.phase}")


def as_it_was(node: Node, before: Node) -> bool:
    """Whether a node is as it was, but for what Kubernetes does to cordoned nodes in its own time."""
    kubernetes = "node.kubernetes.io/"
    now, then = (
        [(taint.key, taint.value, taint.effect) for taint in each.taints if not taint.key.startswith(kubernetes)]
        for each in (node, before)
    )
    return (node.schedulable, node.record, now) == (before.schedulable, before.record, then)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node")
    parser.add_argument("vm", metavar="NAMESPACE/VM")
    parser.add_argument("--kubeconfig")
    parser.add_argument("--asyncio", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    if arguments.asyncio:
        asyncio.run(with_asyncio(arguments.kubeconfig, arguments.node, arguments.vm))
    else:
        blocking(arguments.kubeconfig, arguments.node, arguments.vm)


if __name__ == "__main__":
    main()
