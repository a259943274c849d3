"""Processes that end while a drain runs, and forks."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

import careen
from careen import _careen
from careen.testing import SimulatedCluster
from still import is_let_go


def ask_in_a_child(*calls: Callable[[], object]) -> None:
    for number, call in enumerate(calls, 1):
        try:
            call()
        except careen.CareenError as error:
            if error.reason == "Forked" and "before careen is first used" in str(error):
                continue
        os._exit(number)
    began = time.monotonic()
    _careen.flush_log()
    _careen.end_drains()
    os._exit(0 if time.monotonic() - began < 0.5 else 100)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("simulated_cluster", [{"kubevirt": True}], indirect=True)
def test_after_a_fork_it_says_so(stuck: SimulatedCluster) -> None:
    stuck.add_virtual_machine("office", "files", on="node01", settings={"migrates-for": "1h"})
    stuck.settle()
    with stuck.connect() as cluster:
        drain, migration = cluster.drain("node02"), cluster.migrate("office", "files")
        calls = (
            cluster.nodes,
            lambda: drain.result,
            lambda: drain.event,
            drain.cancel,
            lambda: next(iter(drain)),
            drain.wait,
            lambda: migration.result,
            lambda: next(iter(migration)),
            migration.wait,
            migration.cancel,
        )
        child = multiprocessing.get_context("fork").Process(target=ask_in_a_child, args=calls)
        child.start()
        child.join(20)
        assert child.exitcode == 0
        assert drain.result is None, "it goes on in this process"


def run(script: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, timeout=60)


def test_a_drain_in_a_process_that_ends_leaves_nothing_behind_and_no_noise(stuck: SimulatedCluster) -> None:
    ended = run("import careen, sys; careen.Cluster(sys.argv[1]).drain('node02')", stuck.kubeconfig)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert is_let_go(stuck, "node02")
    with stuck.connect() as cluster:
        assert not cluster.node("node02").schedulable
        cluster.drain("node02").cancel()


def test_a_script_that_gives_up_leaves_nothing_behind(stuck: SimulatedCluster) -> None:
    script = "import careen, sys; cluster = careen.Cluster(sys.argv[1]); cluster.drain('node02').wait(0.1)"
    ended = run(script, stuck.kubeconfig)
    assert ended.returncode == 1 and b"TimeoutError" in ended.stderr
    assert is_let_go(stuck, "node02")


def test_what_a_process_that_was_killed_has_left_behind_is_explained(stuck: SimulatedCluster) -> None:
    script = "import careen, os, sys; cluster = careen.Cluster(sys.argv[1]); cluster.drain('node02'); os._exit(3)"
    assert run(script, stuck.kubeconfig).returncode == 3
    assert not is_let_go(stuck, "node02")
    with stuck.connect() as cluster:
        for call in (cluster.drain, cluster.start_maintenance):
            with pytest.raises(careen.ConflictError, match="if its process has ended, uncordon the node") as caught:
                call("node02")
            assert caught.value.reason == "DrainInProgress" and caught.value.holder
