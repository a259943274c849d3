"""The engine's log is Python's."""

import logging
import subprocess
import sys

import pytest

import careen
from careen import _careen
from careen._logging import name_of
from careen.testing import SimulatedCluster


def test_what_a_drain_does_is_logged(simulated_cluster: SimulatedCluster, caplog: pytest.LogCaptureFixture) -> None:
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 2, on="node02")
    simulated_cluster.settle()
    with caplog.at_level(logging.INFO, logger="careen"), simulated_cluster.connect() as cluster:
        cluster.drain("node02").wait(60)
        _careen.flush_log()
    evicted = [record for record in caplog.records if record.name == "careen.drain.requests"]
    assert len(evicted) == 2 and all(record.levelno == logging.INFO for record in evicted)
    assert evicted[0].getMessage().startswith("evicted node=node02 pod=shop/web-")
    assert evicted[0].filename == "requests.rs" and evicted[0].lineno > 0
    assert evicted[0].created <= evicted[1].created


def test_levels_are_pythons(simulated_cluster: SimulatedCluster, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="careen"), simulated_cluster.settle().connect() as cluster:
        cluster.drain("node02").wait(60)
        _careen.flush_log()
    assert not [record for record in caplog.records if record.levelno < logging.WARNING]


def test_who_sets_up_no_logging_sees_none_and_who_does_sees_the_last_line(simulated_cluster: SimulatedCluster) -> None:
    kubeconfig = simulated_cluster.settle().kubeconfig
    script = "import careen, sys; careen.Cluster(sys.argv[1]).drain('node02').wait(60)"
    quiet = subprocess.run([sys.executable, "-c", script, kubeconfig], capture_output=True, timeout=60)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, b"", b"")
    script = "import logging; logging.basicConfig(level=logging.INFO)\n" + script.replace("02", "01")
    heard = subprocess.run([sys.executable, "-c", script, kubeconfig], capture_output=True, text=True, timeout=60)
    assert "INFO:careen.controller.draining:cordoned and recorded node=node01" in heard.stderr


def test_nobody_is_in_the_interpreter_when_it_ends(simulated_cluster: SimulatedCluster) -> None:
    kubeconfig = simulated_cluster.settle().kubeconfig
    # A handler that lets others run while it works, and a drain that goes on logging.
    script = """
import logging, sys, time, careen
class Slow(logging.Handler):
    def emit(self, record): time.sleep(0.01)
logging.basicConfig(level=logging.DEBUG, handlers=[Slow()])
drain = careen.Cluster(sys.argv[1]).drain(sys.argv[2])
"""
    for number in range(6):
        command = [sys.executable, "-c", script, kubeconfig, f"node0{1 + number % 3}"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_what_the_bindings_do_is_logged_as_well(simulated_cluster: SimulatedCluster, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="careen"), simulated_cluster.settle().connect() as cluster:
        handle = cluster.start_maintenance("node02")
        simulated_cluster.fail("list", "nodemaintenances", "Unavailable", 1)
        with pytest.raises(careen.TimeoutError):
            handle.wait(2)
        _careen.flush_log()
    assert "careen.resources.maintenances" in [record.name for record in caplog.records]


def test_a_logger_has_the_name_of_its_module() -> None:
    assert name_of("careen_core::drain::requests") == "careen.drain.requests"
    assert name_of("careen_sim::actors") == "careen.sim.actors"
    assert name_of("careen_core") == name_of("_careen") == "careen"
