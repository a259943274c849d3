"""The pytest plugin: a cluster in memory as a fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from careen.testing import SimulatedCluster


@pytest.fixture
def simulated_cluster(request: pytest.FixtureRequest) -> Iterator[SimulatedCluster]:
    """A :class:`careen.testing.SimulatedCluster` with three nodes, new for each test.

    ``@pytest.mark.parametrize("simulated_cluster", [{"nodes": 6, "kubevirt": True}], indirect=True)`` gives it arguments.
    """
    with SimulatedCluster(**getattr(request, "param", {})) as cluster:
        yield cluster
