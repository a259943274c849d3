"""What an answer of /graphql is held to: docs/graphql.md, the reasons of docs/errors.md, and openapi/schema.graphql as
another implementation of GraphQL understands it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import graphql

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = graphql.build_schema((ROOT / "openapi" / "schema.graphql").read_text())
# Each reason, and its HTTP status in REST.
REASONS = {
    reason: int(status)
    for reason, status in re.findall(r'<a id="(\w+)"></a>`\w+` \| (\d+)', (ROOT / "docs" / "errors.md").read_text())
}
# What the library of the service (async-graphql) does not hold against a document. Harmless, and nobody relies on it.
TOLERATED = re.compile(
    # It looks at the range of an Int only where the field runs.
    r"Int cannot represent non 32-bit"
)
# Nor this: the field that has it as its argument refuses it, and does nothing.
REFUSED_BY_THE_FIELD = re.compile(r"Expected value of type '\w+' to be an object")
# Of an answer to a document.
OF_GRAPHQL = {"application/json", "application/graphql-response+json"}


def faults(status: int, content_type: str, body: bytes) -> Iterator[str]:
    """What is wrong with an answer, whatever was asked."""
    expected = OF_GRAPHQL if status == 200 else {"application/problem+json"}
    if status >= 500:
        yield f"status {status}"
    if content_type not in expected:
        yield f"content type {content_type!r} with status {status}"
    try:
        answer = json.loads(body)
    except ValueError as error:
        yield f"no JSON: {error}"
        return
    if not isinstance(answer, dict):
        yield "no JSON object"
    elif status == 200:
        yield from faults_of_answer(answer)
    else:
        yield from faults_of_problem(status, answer)


def faults_of_problem(status: int, problem: dict) -> Iterator[str]:
    if REASONS.get(problem.get("reason")) != status or problem.get("status") != status:
        yield f"reason {problem.get('reason')!r} with status {status}"
    for member in ("type", "title", "detail", "requestId"):
        if not is_text(problem.get(member)):
            yield f"a problem without {member}"


def faults_of_answer(answer: dict) -> Iterator[str]:
    if "data" not in answer or not answer.keys() <= {"data", "errors", "extensions"}:
        yield f"members {sorted(answer)}"
    errors = answer.get("errors")
    if errors is None:
        if answer.get("data") is None:
            yield "neither data nor errors"
        return
    if not isinstance(errors, list) or not errors:
        yield "errors are no list, or an empty one"
        return
    for error in errors:
        yield from faults_of_error(error)
        if answer["data"] is None and "path" in error:
            yield f"it did not run, and has an error at {error['path']}"


def faults_of_error(error: dict) -> Iterator[str]:
    if not error.keys() <= {"message", "locations", "path", "extensions"} or not is_text(error.get("message")):
        yield f"an error with the members {sorted(error)}"
    for location in error.get("locations", []):
        if location.keys() != {"line", "column"} or min(location.values()) < 1:
            yield f"an error at {location}"
    if not all(isinstance(segment, str | int) for segment in error.get("path", [])):
        yield f"an error at the path {error['path']}"
    extensions = error.get("extensions", {})
    code = extensions.get("code")
    if code not in REASONS:
        yield f"extensions.code is {code!r}"
    elif extensions.get("status", REASONS[code]) != REASONS[code]:
        yield f"{code} with status {extensions['status']}"
    elif REASONS[code] >= 500:
        yield f"{code}, which in REST is {REASONS[code]}"


def is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def faults_of_document(query: str, variables: dict | None, answer: dict) -> Iterator[str]:
    """What is wrong with an answer to that document of one operation: whether it ran, and what it found."""
    ran, (document, wrong) = answer["data"] is not None, read(query, variables or {})
    codes = {error["extensions"]["code"] for error in answer.get("errors", [])}
    tolerated = TOLERATED if "Invalid" not in codes else re.compile(f"{TOLERATED.pattern}|{REFUSED_BY_THE_FIELD.pattern}")
    serious = [message for message in wrong if not tolerated.search(message)]
    if ran and serious:
        yield f"it ran, although: {serious[0]}"
    elif not ran and not wrong and codes != {"TooExpensive"}:
        yield "it did not run, although nothing is wrong with it"
    elif ran and not wrong and not {"__schema", "__type"} & answer["data"].keys():
        yield from faults_of_data(document, variables or {}, answer["data"])


def read(query: str, variables: dict) -> tuple[graphql.DocumentNode | None, list[str]]:
    """The document, and what is wrong with it or with its variables."""
    try:
        document = graphql.parse(query)
    except graphql.GraphQLError as error:
        return None, [error.message]
    errors = graphql.validate(SCHEMA, document, [*graphql.specified_rules, NothingSelected])
    operation = graphql.get_operation_ast(document)
    if not errors and operation:
        values = graphql.get_variable_values(SCHEMA, operation.variable_definitions or [], variables)
        errors = values if isinstance(values, list) else []
        if operation.operation == graphql.OperationType.SUBSCRIPTION:
            errors = [graphql.GraphQLError("it is a subscription")]
    return document, [error.message for error in errors]


class NothingSelected(graphql.ValidationRule):
    """graphql-core takes `{ }` for a selection, and the specification does not."""

    def enter_selection_set(self, node: graphql.SelectionSetNode, *_: object) -> None:
        if not node.selections:
            self.report_error(graphql.GraphQLError("nothing is selected", node))


def faults_of_data(document: graphql.DocumentNode, variables: dict, data: dict) -> Iterator[str]:
    """Asked of the answer itself, the same document has the same answer: nothing is missing, null or of another type
    where the schema does not say so, and nothing is there that was not asked for."""

    def member(parent: dict, info: graphql.GraphQLResolveInfo, **_: object) -> object:
        return parent[info.path.key]

    result = graphql.execute_sync(SCHEMA, document, root_value=data, variable_values=variables, field_resolver=member)
    for error in result.errors or []:
        yield f"at {error.path}: {error.message or type(error.original_error).__name__}"
    if not result.errors and result.data != data:
        yield "the data have another shape than what was asked for"
