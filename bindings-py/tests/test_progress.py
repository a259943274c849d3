"""The bar on a terminal."""

import dataclasses
import json
import os
import pty
import subprocess
import sys

import pytest

from careen import _careen
from careen._progress import line
from careen.models import DrainEvent, DrainProgress, Maintenance, MaintenancePhase
from careen.testing import SimulatedCluster

SAMPLES = json.loads(_careen.samples())["models"]


def test_the_bar_says_how_far_it_is_and_what_is_in_the_way() -> None:
    event = dataclasses.replace(DrainEvent.from_dict(SAMPLES["DrainEvent"]), progress=DrainProgress(8, 4, 1, 50))
    quiet = dataclasses.replace(event, trouble=None, workloads=())
    assert line("node02", quiet) == f"node02 [{'#' * 12}{'-' * 12}] 4/8 {event.phase}"
    assert line("node02", dataclasses.replace(event, trouble=None)).endswith("stuck: Forbidden)")
    assert event.trouble is not None
    assert line("node02", event).endswith(f"({event.trouble.message})")
    maintenance = dataclasses.replace(
        Maintenance.from_dict(SAMPLES["Maintenance"]),
        drain_progress=25,
        phase=MaintenancePhase.RUNNING,
        last_error=None,
        blocking=(),
    )
    assert line("node02", maintenance) == f"node02 [{'#' * 6}{'-' * 18}] 25 % Running"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_bar_is_for_terminals_only(simulated_cluster: SimulatedCluster, is_terminal: bool) -> None:
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 2, on="node02")
    simulated_cluster.settle()
    script = "import careen, sys; careen.Cluster(sys.argv[1]).drain('node02').wait(60, progress=True)"
    terminal, other_end = pty.openpty() if is_terminal else os.pipe()
    ran = subprocess.run(
        [sys.executable, "-c", script, simulated_cluster.kubeconfig], stderr=other_end, timeout=60, env={"COLUMNS": "80"}
    )
    os.write(other_end, b"the end")
    shown = os.read(terminal, 100_000).decode()
    assert ran.returncode == 0
    assert ("\rnode02 [########################] 2/2 Drained" in shown) is is_terminal, shown
    assert is_terminal or shown == "the end"
