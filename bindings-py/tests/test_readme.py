"""The examples of README.md run, on a cluster in memory."""

import os
import pathlib
import re
from collections.abc import Iterator

import pytest

from careen.testing import SimulatedCluster

README = pathlib.Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"^## ([^\n]+)\n|^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def examples() -> Iterator[object]:
    heading = ""
    for title, code in EXAMPLES:
        heading = title or heading
        if code:
            yield pytest.param(code, id=heading)


@pytest.mark.parametrize("simulated_cluster", [{"kubevirt": True}], indirect=True)
@pytest.mark.parametrize("code", list(examples()))
def test_the_example_runs(code: str, simulated_cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 3, on="node02")
    simulated_cluster.add_budget("shop", "web", max_unavailable=1)
    simulated_cluster.add_virtual_machine("office", "files", on="node02")
    simulated_cluster.settle()
    monkeypatch.setenv("KUBECONFIG", os.fspath(simulated_cluster.kubeconfig))
    exec(compile("import careen\n" + code, "README.md", "exec"), {"__name__": "example"})
