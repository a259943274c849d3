"""The examples of README.md and docs/ run, on a cluster in memory."""

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from careen.testing import SimulatedCluster

FOLDER = pathlib.Path(__file__).parent.parent
HEADING_OR_EXAMPLE = re.compile(r"^## ([^\n]+)\n|^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples() -> Iterator[object]:
    for document in (FOLDER / "README.md", *sorted((FOLDER / "docs").glob("*.md"))):
        heading = ""
        for title, code in HEADING_OR_EXAMPLE.findall(document.read_text()):
            heading = title or heading
            if code:
                yield pytest.param(code, id=f"{document.name}: {heading}")


@pytest.mark.parametrize("simulated_cluster", [{"kubevirt": True}], indirect=True)
@pytest.mark.parametrize("code", list(examples()))
def test_the_example_runs(code: str, simulated_cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    simulated_cluster.settle()
    simulated_cluster.add_deployment("shop", "web", 3, on="node02")
    simulated_cluster.add_budget("shop", "web", max_unavailable=1)
    simulated_cluster.add_virtual_machine("office", "files", on="node02")
    simulated_cluster.settle()
    monkeypatch.setenv("KUBECONFIG", os.fspath(simulated_cluster.kubeconfig))
    exec(compile("import careen\n" + code, "the example", "exec"), {"__name__": "example"})


def test_the_reference_is_of_these_sources() -> None:
    made = subprocess.run([sys.executable, FOLDER / "reference"], capture_output=True, text=True, check=True).stdout
    assert (FOLDER / "docs" / "reference.md").read_text() == made, "bindings-py/reference > bindings-py/docs/reference.md"
