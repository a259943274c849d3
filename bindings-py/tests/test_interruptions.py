"""Ctrl-C, cancelled tasks, closed connections, forks, API servers that go away."""

import asyncio
import http.server
import json
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

import careen
from careen import _careen
from careen.models import DrainEnd
from careen.testing import SimulatedCluster
from still import is_let_go
from waiting import ended

T = TypeVar("T")

AT_ONCE = 5
"""It takes a tenth of a second, and another half for the drain at most: on a machine that does nothing else."""


class Interrupt(threading.Thread):
    """Ctrl-C for the main thread, as soon as something is so."""

    def __init__(self, when: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._when = when
        self.sent_at = 0.0
        self.start()

    def run(self) -> None:
        while not self._when():
            time.sleep(0.01)
        main = threading.main_thread().ident
        assert main is not None
        self.sent_at = time.monotonic()
        signal.pthread_kill(main, signal.SIGINT)


def test_ctrl_c_ends_a_drain_in_the_middle_and_nothing_new_is_evicted(simulated_cluster: SimulatedCluster) -> None:
    simulated_cluster.settle()
    # One after the other, each for half a second.
    simulated_cluster.add_deployment("shop", "web", 20, on="node02", settings={"ends-after": "10s"})
    simulated_cluster.add_budget("shop", "web", max_unavailable=1)
    simulated_cluster.settle()
    with simulated_cluster.connect() as cluster:
        drain = cluster.drain("node02")
        interrupt = Interrupt(lambda: len(simulated_cluster.evicted()) >= 2)
        with pytest.raises(KeyboardInterrupt):
            drain.wait()
        assert time.monotonic() - interrupt.sent_at < AT_ONCE
        assert ended(drain).end is DrainEnd.CANCELLED
        evicted = simulated_cluster.evicted()
        assert 2 <= len(evicted) < 20
        # Now all could go at once.
        simulated_cluster.edit("poddisruptionbudgets.policy", "shop", "web", {"spec": {"maxUnavailable": 100}})
        simulated_cluster.settle()
        assert simulated_cluster.evicted() == evicted
        node = cluster.node("node02")
        assert not node.schedulable and node.record is None


def test_ctrl_c_while_a_drain_begins_leaves_nothing_behind(simulated_cluster: SimulatedCluster) -> None:
    simulated_cluster.settle()
    with simulated_cluster.connect() as cluster:
        simulated_cluster.fail("patch", "nodes", "Hang", 1)
        interrupt = Interrupt(lambda: simulated_cluster.get("leases.coordination.k8s.io", "medik8s-leases", "node-node02"))
        with pytest.raises(KeyboardInterrupt):
            cluster.drain("node02")
        assert time.monotonic() - interrupt.sent_at < AT_ONCE
    # Its request is never answered, so that its Lease has to lapse; but it does nothing.
    node = simulated_cluster.get("nodes", "", "node02")
    assert node is not None and "careen.dev/record" not in node["metadata"].get("annotations", {})


async def test_a_cancelled_task_cancels_its_drain(stuck: SimulatedCluster) -> None:
    async with stuck.connect_aio() as cluster:
        drain = await cluster.drain("node02")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(drain.wait(), 0.2)
        with pytest.raises(careen.CancelledError):
            await drain.wait(10)


async def test_a_task_that_is_cancelled_while_a_drain_begins_leaves_no_drain(stuck: SimulatedCluster) -> None:
    async with stuck.connect_aio() as cluster:
        stuck.fail("patch", "nodes", "Hang", 1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(cluster.drain("node02"), 0.3)
        stuck.heal()
    assert stuck.evicted() == []
    node = stuck.get("nodes", "", "node02")
    assert node is not None and "careen.dev/record" not in node["metadata"].get("annotations", {})


def eviction_was_asked_for(simulated: SimulatedCluster) -> bool:
    return any(event.get("objectRef", {}).get("subresource") == "eviction" for event in simulated.audit())


async def test_a_task_that_is_cancelled_before_it_has_the_handle_leaves_no_drain(
    simulated_cluster: SimulatedCluster,
) -> None:
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 2, on="node02")
    simulated_cluster.settle()
    simulated_cluster.fail("create", "pods/eviction", "Unavailable")
    async with simulated_cluster.connect_aio() as cluster:
        task = asyncio.ensure_future(cluster.drain("node02"))
        await asyncio.sleep(0)
        deadline = time.monotonic() + 30
        # Without the loop: it has begun, and nobody has been told.
        while not eviction_was_asked_for(simulated_cluster):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not is_let_go(simulated_cluster, "node02"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        simulated_cluster.heal()
        simulated_cluster.settle()
        assert simulated_cluster.evicted() == []


def test_a_drain_whose_handle_nobody_has_taken_is_cancelled_with_it(stuck: SimulatedCluster) -> None:
    with stuck.connect() as cluster:
        native = _careen.drain(cluster._native, "node02", "{}")
        assert not is_let_go(stuck, "node02")
        del native
        deadline = time.monotonic() + 30
        while not is_let_go(stuck, "node02"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_connection_outlives_the_loop_that_it_was_made_on(simulated_cluster: SimulatedCluster) -> None:
    cluster = simulated_cluster.connect_aio()

    def on_a_new_loop(asking: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(asking())
        finally:
            loop.close()

    async def ask_and_leave() -> None:
        # Nobody waits for the answer, and then the loop is gone.
        task = asyncio.ensure_future(cluster.nodes())
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # that is asyncio's to tell
        await asyncio.sleep(0)

    simulated_cluster.fail("list", "nodes", "Hang", 1)
    on_a_new_loop(ask_and_leave)
    simulated_cluster.heal()
    assert len(on_a_new_loop(cluster.nodes)) == 3
    on_a_new_loop(cluster.close)

    async def ask() -> None:
        with pytest.raises(careen.ClosedError):
            await cluster.nodes()

    on_a_new_loop(ask)


def test_a_connection_that_is_closed_cancels_its_drains_and_says_so_afterwards(stuck: SimulatedCluster) -> None:
    with stuck.connect() as cluster:
        drain = cluster.drain("node02")
    assert drain.result is not None and drain.result.end is DrainEnd.CANCELLED
    assert cluster.closed
    with pytest.raises(careen.ClosedError):
        cluster.nodes()
    cluster.close()


def test_a_connection_that_is_being_closed_begins_nothing(stuck: SimulatedCluster) -> None:
    cluster = stuck.connect()
    cluster.drain("node02")
    # So that closing takes its time.
    stuck.fail("patch", "nodes", "Hang")
    closing = threading.Thread(target=cluster.close)
    closing.start()
    deadline = time.monotonic() + 2
    while not cluster.closed:
        assert time.monotonic() < deadline
    assert closing.is_alive()
    with pytest.raises(careen.ClosedError):
        cluster.drain("node01")
    stuck.heal()
    closing.join()


async def test_a_connection_that_is_closed_while_it_is_made_stays_closed(simulated_cluster: SimulatedCluster) -> None:
    cluster = simulated_cluster.connect_aio()
    native, cluster._native = cluster._native, None
    assert native is not None
    is_made = asyncio.Event()

    async def connect() -> _careen.Cluster:
        await is_made.wait()
        return native

    cluster._connect = connect
    asking = asyncio.ensure_future(cluster.nodes())
    await asyncio.sleep(0)
    await cluster.close()
    is_made.set()
    with pytest.raises(careen.ClosedError):
        await asking
    assert native.closed


def test_a_drain_goes_on_without_its_handle(simulated_cluster: SimulatedCluster) -> None:
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 2, on="node02")
    simulated_cluster.settle()
    with simulated_cluster.connect() as cluster:
        cluster.drain("node02")
        deadline = time.monotonic() + 20
        while cluster.workloads("node02"):
            assert time.monotonic() < deadline


def test_an_api_server_that_does_not_answer_is_unreachable(tmp_path: pathlib.Path) -> None:
    with SimulatedCluster(1) as simulated:
        kubeconfig = pathlib.Path(simulated.kubeconfig)
        text = kubeconfig.read_text()
        cluster = careen.Cluster(kubeconfig, timeout=3)
        assert [node.name for node in cluster.nodes()] == ["node01"]
    kept = tmp_path / "kubeconfig"
    kept.write_text(text)
    with pytest.raises(careen.UnreachableError):
        careen.Cluster(kept)
    began = time.monotonic()
    for call in (cluster.nodes, lambda: cluster.node("node01"), lambda: cluster.drain("node01")):
        with pytest.raises((careen.UnreachableError, careen.TimeoutError)):
            call()
    # Each has 3 s.
    assert time.monotonic() - began < 30


class Unreliable(http.server.BaseHTTPRequestHandler):
    """An API server that tells its version, and nothing else to the end."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if self.path == "/version":
            fields = "major minor gitVersion gitCommit gitTreeState buildDate goVersion compiler platform".split()
            body = json.dumps(dict.fromkeys(fields, "1")).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"kind": "NodeList", "items": [')
            self.close_connection = True

    do_PATCH = do_GET

    def log_message(self, format: str, *args: object) -> None: ...


def test_an_api_server_that_goes_away_in_mid_call_is_unreachable() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unreliable) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with careen.Cluster(url=f"http://127.0.0.1:{server.server_port}", timeout=3) as cluster:
            for call in (cluster.nodes, lambda: cluster.node("node01"), lambda: cluster.drain("node01")):
                began = time.monotonic()
                with pytest.raises((careen.UnreachableError, careen.TimeoutError)):
                    call()
                assert time.monotonic() - began < 10
        server.shutdown()


def test_a_drain_whose_api_server_is_gone_can_be_left(stuck: SimulatedCluster) -> None:
    cluster = stuck.connect()
    drain = cluster.drain("node02")
    stuck.fail("create", "pods/eviction", "DropConnection")
    for resource in ("nodes", "pods", "leases", "poddisruptionbudgets"):
        for verb in ("get", "list", "watch", "patch", "update"):
            stuck.fail(verb, resource, "DropConnection")
    with pytest.raises(careen.TimeoutError):
        drain.wait(0.3)
    began = time.monotonic()
    cluster.close()
    assert time.monotonic() - began < 10
    with pytest.raises(careen.ClosedError):
        cluster.nodes()


def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: pathlib.Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(careen.InvalidArgumentError, match="missing") as caught:
        careen.Cluster(missing)
    assert caught.value.argument == "kubeconfig"
    broken = tmp_path / "broken"
    broken.write_text("token: [secret-token")
    with pytest.raises(careen.InvalidArgumentError) as caught:
        careen.Cluster(broken)
    assert "secret-token" not in str(caught.value)
    with SimulatedCluster(0) as simulated:
        with pytest.raises(careen.InvalidArgumentError, match="other-context") as caught:
            careen.Cluster(simulated.kubeconfig, "other-context")
    assert caught.value.argument == "context"


def test_a_kubeconfig_that_is_misspelt_in_a_pod_does_not_mean_the_cluster_of_the_pod(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "misspelt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with pytest.raises(careen.ConfigurationError, match="misspelt") as caught:
        careen.Cluster()
    assert "in the pod" not in str(caught.value) and "--" not in str(caught.value)
