"""Hooks of schemathesis: its documents ask for what there is in the demo, and their answers are held to answers.py."""

import atexit
import json
import os
from collections import Counter, defaultdict
from random import Random

import graphql
import requests
import schemathesis
from answers import faults, faults_of_document

# A drain and a maintenance refuse each other. One node stays in service, so that VMs have somewhere to go.
DRAINED, MAINTAINED, CORDONED = ["node01", "node02"], ["node03", "node04"], ["node05"]
NODES = DRAINED + MAINTAINED + CORDONED
# Of one namespace, so that most pairs of namespace and name are there.
NAMESPACE, INSTANCES = "shop", ["db-1", "db-2", "cache"]
DURATIONS = ["1s", "30s", "5m", "1h"]
# Values of arguments, and of fields of inputs, by their name: for one field of the schema, or for any.
KNOWN: dict[str, list] = {
    "budget.name": ["web", "checkout"],
    "cancelDrain.node": DRAINED,
    "cordonNode.node": CORDONED + NODES,
    "drainNode.node": DRAINED,
    "migrateVirtualMachineInstance.name": INSTANCES,
    "node.name": NODES,
    "startMaintenance.name": ["one", "two", "three"],
    "startMaintenance.node": MAINTAINED,
    # The maintenance of the other node stays: otherwise there is none to be asked for at most times.
    "stopMaintenance.name": [f"{MAINTAINED[0]}-maintenance"],
    "stopMaintenance.node": MAINTAINED[:1],
    "uncordonNode.node": CORDONED + NODES,
    "virtualMachineInstance.name": INSTANCES,
    "deleteAfter": DURATIONS,
    "first": [1, 2, 3, 10],
    "key": ["example.com/a", "example.com/b"],
    "labelSelector": ["kubernetes.io/hostname=node02", "node-role.kubernetes.io/worker", "!a, b notin (c)"],
    "namespace": [NAMESPACE],
    "node": NODES,
    "podSelector": ["app=web", "app notin (report)"],
    "reason": ["Replacing the fan"],
    "ticket": ["CHG1", "CHG2"],
    "ticket.id": ["CHG1", "CHG2"],
    "timeout": DURATIONS,
    "url": ["https://tickets.example.com/CHG1"],
    "value": ["a", ""],
}
# What comes and goes is looked for before every so many documents.
LOOK_EVERY = 10
LOOK = """{
    drains: nodes { edges { cursor node { drain { id } } } }
    maintenances { edges { cursor node { name resourceVersion } } }
    migrations(namespace: "shop", isOver: false) { edges { cursor node { name } } }
    virtualMachineInstances { edges { cursor } }
}"""
# Not Hypothesis' own, which likes to repeat itself.
RANDOM = Random(int(os.environ["SEED"]))


@schemathesis.hook
def map_body(_: schemathesis.HookContext, document: graphql.DocumentNode) -> graphql.DocumentNode:
    return graphql.visit(document, WithKnown())


class WithKnown(graphql.Visitor):
    """Puts known values in the place of most others of the same type; what is wrong with a document stays wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[str] = []

    def enter_field(self, node: graphql.FieldNode, *_: object) -> None:
        self.fields.append(node.name.value)

    def leave_field(self, *_: object) -> None:
        self.fields.pop()

    def enter_argument(self, node: graphql.ArgumentNode, *_: object) -> graphql.ArgumentNode | None:
        value = self.known(node.name.value, node.value)
        return value and graphql.ArgumentNode(name=node.name, value=value)

    def enter_object_field(self, node: graphql.ObjectFieldNode, *_: object) -> graphql.ObjectFieldNode | None:
        value = self.known(node.name.value, node.value)
        return value and graphql.ObjectFieldNode(name=node.name, value=value)

    def enter_object_value(self, node: graphql.ObjectValueNode, *_: object) -> graphql.ObjectValueNode | None:
        """Most inputs have few fields, and a stop needs one of these."""
        if self.fields[-1] != "stopMaintenance" or {"name", "node"} & {member.name.value for member in node.fields}:
            return None
        value = graphql.StringValueNode(value=MAINTAINED[0])
        return graphql.ObjectValueNode(
            fields=(*node.fields, graphql.ObjectFieldNode(name=graphql.NameNode(value="node"), value=value))
        )

    def known(self, name: str, value: graphql.ValueNode) -> graphql.ValueNode | None:
        values = KNOWN.get(f"{self.fields[-1]}.{name}") or KNOWN.get(name)
        if not values or RANDOM.random() < 0.1:
            return None
        chosen = RANDOM.choice(values)
        if isinstance(chosen, int) and isinstance(value, graphql.IntValueNode) and abs(int(value.value)) < 2**31:
            return graphql.IntValueNode(value=str(chosen))
        if isinstance(chosen, str) and isinstance(value, graphql.StringValueNode):
            return graphql.StringValueNode(value=chosen)
        return None


@schemathesis.check
class AnswersAreAsDocumented:
    """And many were answered without an error: otherwise what was asked shows little."""

    def __init__(self) -> None:
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.count, self.slowest = 0, 0.0
        atexit.register(self.tell)

    def after_response(self, _: object, response: schemathesis.Response, case: schemathesis.Case) -> None:
        if self.count % LOOK_EVERY == 0:
            look(response.request.url)
        self.count, self.slowest = self.count + 1, max(self.slowest, response.elapsed)
        found = list(faults(response.status_code, response.headers["content-type"][0], response.content))
        if not found:
            answer = json.loads(response.content)
            self.outcomes[case.operation.label].update(outcome(answer))
            if response.status_code == 200:
                found += faults_of_document(case.body, None, answer)
        if found:
            raise AssertionError("\n".join(found))

    def after_run(self, _: object) -> None:
        for root in ROOTS:
            answered, ran = self.answered(root)
            if answered < ran / 10:
                raise AssertionError(f"{root}: of {ran} that ran, only {answered} were answered without an error")

    def answered(self, root: str) -> tuple[int, int]:
        of_root = [outcomes for label, outcomes in self.outcomes.items() if label.startswith(root)]
        ran = sum(outcomes.total() - outcomes[REFUSED] for outcomes in of_root)
        return sum(outcomes[ANSWERED] for outcomes in of_root), ran

    def tell(self) -> None:
        for label, outcomes in sorted(self.outcomes.items()):
            print(f"{label}: {', '.join(f'{name} {count}' for name, count in outcomes.most_common())}")
        for root in ROOTS:
            print("{}: {} of {} that ran were answered without an error".format(root, *self.answered(root)))
        print(f"{self.count} documents; the slowest answer took {self.slowest:.2f} s.")


ROOTS = ("Query", "Mutation")
ANSWERED, REFUSED = "answered", "refused before it ran"


def outcome(answer: dict) -> set[str]:
    """In a word: the codes of its errors, if it ran and has some."""
    if answer.get("data") is None:
        return {REFUSED}
    return {error["extensions"]["code"] for error in answer.get("errors", [])} or {ANSWERED}


def look(url: str) -> None:
    seen = requests.post(url, json={"query": LOOK}, timeout=20).json()["data"]
    edges = {name: connection["edges"] for name, connection in seen.items()}
    cursors = {name: [edge["cursor"] for edge in found] for name, found in edges.items()}
    nodes = {name: [edge.get("node") or {} for edge in found] for name, found in edges.items()}
    migrations = [migration["name"] for migration in nodes["migrations"]]
    KNOWN.update(
        {
            "cancelDrain.id": [node["drain"]["id"] for node in nodes["drains"] if node["drain"]],
            "cancelMigration.name": migrations,
            "maintenance.name": [maintenance["name"] for maintenance in nodes["maintenances"]],
            "maintenances.after": cursors["maintenances"],
            "migration.name": migrations,
            "migrations.after": cursors["migrations"],
            "nodes.after": cursors["drains"],
            "stopMaintenance.resourceVersion": [
                maintenance["resourceVersion"] for maintenance in nodes["maintenances"]
            ],
            "virtualMachineInstances.after": cursors["virtualMachineInstances"],
        }
    )
