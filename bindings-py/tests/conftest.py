"""A panic of the engine fails the test in which it happens, whatever became of it there."""

import contextlib
from collections.abc import Generator

import pytest

from careen.testing import SimulatedCluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # Rust says so on standard error, in whichever thread it is.
    said = next((text for title, text in report.sections if "stderr" in title and "panicked at" in text), None)
    if said is not None and report.outcome == "passed":
        report.outcome, report.longrepr = "failed", said
    return report


@pytest.fixture(autouse=True)
def no_cluster_of_somebody_else(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is on this machine is not what is tested."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        with contextlib.suppress(KeyError):
            monkeypatch.delenv(name)


@pytest.fixture
def stuck(simulated_cluster: SimulatedCluster) -> SimulatedCluster:
    """A drain of node02 does not end: its budget never lets a pod go."""
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 2, on="node02")
    simulated_cluster.add_budget("shop", "web", max_unavailable=0)
    return simulated_cluster.settle()
