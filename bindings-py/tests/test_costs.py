"""What a drain costs the API server, and which rights it takes."""

import collections

import careen
from careen.testing import SimulatedCluster


def test_a_cold_drain_costs_one_eviction_for_each_pod_and_a_handful_of_other_requests() -> None:
    with SimulatedCluster(10) as simulated:
        simulated.settle()
        for namespace in ("blog", "forum", "shop"):
            simulated.add_deployment(namespace, "web", 10, on="node02")
            # Those on other nodes must not matter.
            simulated.add_deployment(namespace, "other", 20, on="node05")
        simulated.settle()
        on_node02 = [pod for pod in simulated.objects("pods") if pod["spec"]["nodeName"] == "node02"]
        before = len(simulated.audit())
        with simulated.connect() as cluster:
            cluster.drain("node02", careen.DrainOptions()).wait(60)
        ours = [event for event in simulated.audit()[before:] if event["userAgent"].startswith("careen/")]
        kinds = collections.Counter(f"{event['verb']} {event.get('objectRef', {}).get('resource')}" for event in ours)
        assert len(simulated.evicted()) == len(on_node02) == 30
        # A list and a watch of each namespace's budgets; 15 for everything else; and 3 for writes to the node that are
        # repeated because the node's watch has not told of the one before.
        assert len(ours) <= 30 + 2 * 3 + 15 + 3, kinds
