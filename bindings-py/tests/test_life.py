"""The whole life of a node, as a script has it: `examples/life.py`, against an API over HTTP."""

import pathlib
import subprocess
import sys

import pytest

from careen.testing import SimulatedCluster

SCRIPT = pathlib.Path(__file__).parent.parent / "examples" / "life.py"


@pytest.mark.parametrize("simulated_cluster", [{"kubevirt": True}], indirect=True)
@pytest.mark.parametrize("way", [[], ["--asyncio"]], ids=["blocking", "asyncio"])
def test_a_node_goes_all_ways_out_of_service_and_back(simulated_cluster: SimulatedCluster, way: list[str]) -> None:
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 3, on="node02")
    simulated_cluster.add_budget("shop", "web", max_unavailable=1)
    simulated_cluster.add_virtual_machine("office", "files", on="node02")
    simulated_cluster.settle()
    command = [sys.executable, "-W", "error", str(SCRIPT), "node02", "office/files", *way]
    command += ["--kubeconfig", simulated_cluster.kubeconfig]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "office/files has moved from" in ran.stdout and "Drained: 0 of 4 are left" in ran.stdout
    # The log of the engine, as Python's.
    assert "careen.controller.steps: cordoned, tainted and recorded" in ran.stderr
    assert "panicked" not in ran.stderr
    assert len(simulated_cluster.evicted()) >= 3
