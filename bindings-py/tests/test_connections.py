"""Where a cluster is, and who asks."""

import json
import pathlib
import time
import urllib.request
from collections.abc import Iterator

import pytest

import careen
import careen.aio
from careen.testing import SimulatedCluster

DEPLOY = pathlib.Path(__file__).parent.parent.parent / "deploy"
ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: ci, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ci}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: careen-scripts}
subjects: [{kind: ServiceAccount, name: ci, namespace: default}]
"""


@pytest.fixture
def url(simulated_cluster: SimulatedCluster) -> Iterator[str]:
    """The address of a cluster with an account for scripts."""
    simulated_cluster.settle().create((DEPLOY / "scripts-clusterrole.yaml").read_text())
    simulated_cluster.create(ACCOUNT)
    kubeconfig = json.loads(pathlib.Path(simulated_cluster.kubeconfig).read_text())
    yield kubeconfig["clusters"][0]["cluster"]["server"]


def token_of_the_account(url: str) -> str:
    request = urllib.request.Request(
        f"{url}/api/v1/namespaces/default/serviceaccounts/ci/token",
        json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        token: str = json.load(answer)["status"]["token"]
        return token


async def test_an_address_and_a_token_are_enough(url: str, simulated_cluster: SimulatedCluster) -> None:
    token = token_of_the_account(url)
    with careen.Cluster(url=url, token=token) as cluster:
        assert [node.name for node in cluster.nodes()] == ["node01", "node02", "node03"]
        assert cluster.cordon("node02").changed
        # The token's rights count: no Role lets it hold a node.
        with pytest.raises(careen.ForbiddenError) as caught:
            cluster.drain("node03")
        assert caught.value.permission == "get leases in namespace medik8s-leases"
    async with careen.aio.Cluster(url=url, token=token) as cluster_aio:
        assert not (await cluster_aio.node("node02")).schedulable
    accounts = {event["user"]["username"] for event in simulated_cluster.audit() if event["userAgent"].startswith("careen/")}
    assert accounts == {"system:serviceaccount:default:ci"}


def test_a_token_that_nobody_knows_is_unauthorized_and_not_repeated(url: str) -> None:
    with pytest.raises(careen.UnauthorizedError) as caught:
        careen.Cluster(url=url, token="top-secret")
    assert url in str(caught.value) and "top-secret" not in str(caught.value)


def test_an_address_and_a_kubeconfig_are_too_much(url: str) -> None:
    for argument, arguments in {
        "url": {"url": url, "kubeconfig": "kubeconfig"},
        "token": {"token": "top-secret"},
        "certificate_authority": {"certificate_authority": "ca.crt"},
    }.items():
        with pytest.raises(careen.InvalidArgumentError) as caught:
            careen.Cluster(**arguments)  # type: ignore[arg-type]
        assert caught.value.argument == argument


def test_without_a_kubeconfig_and_outside_of_a_pod_there_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(careen.ConfigurationError, match="this is not a pod"):
        careen.Cluster()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with pytest.raises(careen.ConfigurationError, match="in the pod"):
        careen.Cluster()


def watches_that_have_ended(simulated: SimulatedCluster) -> set[str]:
    return {
        event["objectRef"]["resource"]
        for event in simulated.audit()
        if event["verb"] == "watch" and event["user"]["username"] != "system:actors"
    }


def test_a_connection_that_is_closed_watches_nothing(simulated_cluster: SimulatedCluster) -> None:
    cluster = simulated_cluster.settle().connect(scope="whole")
    deadline = time.monotonic() + 30
    # What has been listed is watched a moment later: that the watches have begun is seen by what they bring.
    cluster.cordon("node01")
    simulated_cluster.add_deployment("shop", "web", 1, on="node02")
    while cluster.node("node01").schedulable or not cluster.workloads("node02"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "pods" not in watches_that_have_ended(simulated_cluster)
    cluster.close()
    while not {"nodes", "pods"} <= watches_that_have_ended(simulated_cluster):
        assert time.monotonic() < deadline
        time.sleep(0.01)
