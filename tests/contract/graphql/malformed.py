"""Sends /graphql what no client library makes: malformed.py SEED SECONDS, to $CAREEN.

Each kind of request below says how it is to be answered: with a status, or (200) with one of some codes, or as another
implementation of GraphQL reads the document (answers.py). The requests follow from the seed alone.
"""

import json
import os
import re
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlencode

import requests
from answers import ROOT, faults, faults_of_document

CAREEN = os.environ["CAREEN"]
# A caller may send 50 in a second.
PAUSE = 1 / 45
# None takes longer, or it hangs.
WITHIN = 20.0
MAX_BODY, MAX_HEADER = 64 * 1024, 16 * 1024
JSON = {"Content-Type": "application/json"}

QUESTIONS = re.findall(r"^```graphql\n(.*?)^```$", (ROOT / "docs" / "graphql.md").read_text(), re.DOTALL | re.MULTILINE)
CHANGES = [
    'mutation { cordonNode(input: { node: "node04", dryRun: true }) { changed node { schedulable } warnings } }',
    'mutation { taintNode(input: { node: "node04", key: "a", effect: NoSchedule, dryRun: true }) { nodeName } }',
    'mutation { drainNode(input: { node: "node04", dryRun: true, options: { timeout: "5m" } }) { changed nodeName } }',
    'mutation { startMaintenance(input: { node: "node04", dryRun: true, ticket: { id: "a" } }) { created name } }',
]


@dataclass
class Case:
    """A request, and how it is to be answered."""

    status: int = 200
    method: str = "POST"
    query: str = ""
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    body: bytes = b""
    # With 200: one of these codes, if any are given.
    codes: frozenset[str] = frozenset()
    # With 200: the document and its variables, if another implementation is to judge them.
    document: str | None = None
    variables: dict | None = None


KINDS: list[Callable[[Random], Case]] = []


def kind(make: Callable[[Random], Case]) -> Callable[[Random], Case]:
    KINDS.append(make)
    return make


def body_of(**members: object) -> bytes:
    return json.dumps(members).encode()


# Bodies.


@kind
def a_body_that_is_no_json(random: Random) -> Case:
    whole = body_of(query=random.choice(QUESTIONS))
    bodies = [
        b"",
        b" \n",
        whole[: random.randrange(1, len(whole))],
        whole + random.choice([b"}", b"{}", b"\0", b"x"]),
        b"\xff" + random.randbytes(random.randrange(300)),
        b"\xef\xbb\xbf" + whole,
        whole.replace(b" ", b"\n").replace(b"\\n", b"\n"),
        whole.replace(b'"', b"'"),
        b'{"query": "\xff\xfe"}',
        b'{"query": "\\ud800"}',
        b'{"query": NaN}',
        b"[" * random.choice([33, 1000, 60_000]),
    ]
    return Case(400, body=random.choice(bodies))


@kind
def json_that_is_no_request(random: Random) -> Case:
    query = random.choice(QUESTIONS)
    other = [None, True, 5, -1.5, "a", ["a"], {"a": "b"}]
    bodies: list[object] = [
        random.choice([None, True, 5, "a", [], {}]),
        [{"query": query}],
        [{"query": query}] * 2,
        {"qeury": query},
        {"query": random.choice([value for value in other if not isinstance(value, str)])},
        {"query": query, "variables": random.choice([True, 5, "a", ["a"], []])},
        {"query": query, "operationName": random.choice([True, 5, ["a"], {}])},
        {"query": query, "extensions": random.choice([True, 5, "a", ["a"]])},
    ]
    return Case(422, body=json.dumps(random.choice(bodies)).encode())


@kind
def a_body_that_is_too_large(random: Random) -> Case:
    # Not so large that the answer comes while it is still being sent.
    size = random.choice([MAX_BODY + 1, MAX_BODY + 1000, 2 * MAX_BODY])
    return Case(413, body=random.choice([body_of(query="#" * size), b" " * size, b"[" * size]))


# Everything around the body.


@kind
def a_body_of_another_type(random: Random) -> Case:
    types = ["", "*/*", "json", "text/plain", "text/json", "text/plain, application/json", "application/jsonp"]
    types += ["application/graphql", "application/json+a", "application/x-www-form-urlencoded", "multipart/form-data"]
    return Case(415, headers={"Content-Type": random.choice(types)}, body=body_of(query=random.choice(QUESTIONS)))


@kind
def a_body_of_json_however_that_is_said(random: Random) -> Case:
    types = ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;a=b"]
    accepts = ["*/*", "application/json", "application/graphql-response+json", "text/html, */*;q=0.1"]
    headers = {"Content-Type": random.choice(types), "Accept": random.choice(accepts)}
    document = random.choice(QUESTIONS)
    return Case(headers=headers, body=body_of(query=document), document=document)


@kind
def an_answer_of_another_type(random: Random) -> Case:
    accept = random.choice(["text/html", "application/json;q=0", "image/*, text/*", "application/problem+json"])
    return Case(406, headers=JSON | {"Accept": accept}, body=body_of(query=random.choice(QUESTIONS)))


@kind
def another_method(random: Random) -> Case:
    body = body_of(query=random.choice(QUESTIONS))
    return Case(405, method=random.choice(["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]), body=body)


@kind
def a_page_of_another_origin(random: Random) -> Case:
    name, value = random.choice([("Origin", "https://elsewhere.example"), ("Origin", "null"), ("Host", "elsewhere")])
    return Case(403, headers=JSON | {name: value}, body=body_of(query=random.choice(CHANGES)))


@kind
def a_header_that_is_too_large(random: Random) -> Case:
    size = random.randrange(MAX_HEADER, 2 * MAX_HEADER)
    if random.random() < 0.5:
        return Case(431, headers=JSON | {"X-Padding": "a" * size}, body=body_of(query="{ __typename }"))
    return Case(431, method="GET", query=urlencode({"query": "a" * size}), headers={})


@kind
def an_upgrade_to_something_else(random: Random) -> Case:
    headers = {
        "Connection": random.choice(["Upgrade", "keep-alive"]),
        "Upgrade": random.choice(["websocket", "h2c", "a"]),
        "Sec-WebSocket-Version": random.choice(["13", "8", "a"]),
        "Sec-WebSocket-Protocol": random.choice(["graphql-transport-ws", "a"]),
    }
    # Without a key it is never one.
    return Case(400, method="GET", headers=headers)


# GET.


@kind
def a_get(random: Random) -> Case:
    document, variables = random.choice(QUESTIONS), random.choice([{}, {"unused": [1, None]}])
    return Case(
        method="GET",
        query=urlencode({"query": document, "variables": json.dumps(variables)}),
        headers={},
        document=document,
        variables=variables,
    )


@kind
def a_get_that_would_change_something(random: Random) -> Case:
    return Case(405, method="GET", query=urlencode({"query": random.choice(CHANGES)}), headers={})


@kind
def a_get_that_cannot_be_read(random: Random) -> Case:
    question = ("query", random.choice(QUESTIONS))
    queries: list[list[tuple[str, str]]] = [
        [],
        [("qeury", question[1])],
        [question, question],
        [question, ("more", "")],
        [question, ("variables", random.choice(["", "a", "{", "[]", "5", '"a"']))],
        [question, ("extensions", random.choice(["", "a", "{", "[]"]))],
        [("variables", "{}")],
    ]
    return Case(400, method="GET", query=urlencode(random.choice(queries)), headers={})


# Documents.


@kind
def a_document_that_asks_for_too_much(random: Random) -> Case:
    count = random.choice([60, 300, 1000])
    documents = [
        "{" + 'node(name: "node01") { maintenance { ' * count + "name" + "} }" * count + "}",
        "{ nodes(first: " + "[" * count + "]" * count + ") { nodes { name } } }",
        "{" + "".join(f"a{index}: __typename " for index in range(count)) + "}",
        "{ __typename " + "@skip(if: false) " * count + "}",
        "{ nodes(first: 500) { nodes { workloads(first: 500) { nodes { budgets { name } } } } } }",
        "{ nodes(first: 500) { nodes { plan { counts { evict } } } } }",
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
    ]
    return Case(body=body_of(query=random.choice(documents)), codes=frozenset({"TooExpensive"}))


@kind
def fragments_that_use_themselves_or_multiply(random: Random) -> Case:
    count = random.choice([1, 2, 30])
    uses = random.choice(["...F{0}", "...F{0} ...F{0}", "name ... on Node {{ ...F{0} }}"])
    fragments = [f"fragment F{index} on Node {{ {uses.format((index + 1) % count)} }}" for index in range(count)]
    document = '{ node(name: "node01") { ...F0 } } ' + " ".join(fragments)
    return Case(body=body_of(query=document), codes=frozenset({"Invalid", "TooExpensive"}))


@kind
def an_operation_that_is_not_there(random: Random) -> Case:
    document = random.choice(["{ __typename }", "query A { __typename }", "query A { name } query B { __typename }"])
    name = random.choice(["C", "", "a", "A B", "\0", "query", "A" * 1000])
    return Case(body=body_of(query=document, operationName=name), codes=frozenset({"BadRequest"}))


@kind
def a_document_with_odd_text(random: Random) -> Case:
    document = random.choice(QUESTIONS + CHANGES)
    pieces = [*"\0\ufeff\u2028\ré\U0001f600\\\"'#&-", '"""', "...", "1e400", "0x1", "{}", "()"]
    for _ in range(random.choice([1, 2, 5])):
        at = random.randrange(len(document) + 1)
        document = document[:at] + random.choice(pieces) + document[at:]
    return Case(body=body_of(query=document), document=document)


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\w+|\.\.\.|\S')


@kind
def a_document_with_a_slip(random: Random) -> Case:
    tokens = TOKEN.findall(random.choice(QUESTIONS + CHANGES))
    others = TOKEN.findall(" ".join(QUESTIONS + CHANGES)) + '... @ @skip $ $a ! # null 1 "" on &'.split()
    names = [token for token in others if token.isidentifier()]
    for _ in range(random.choice([1, 1, 2, 3])):
        at = random.randrange(len(tokens))
        # Most can be read, so that it is looked at what they mean.
        other = random.choice(names if tokens[at].isidentifier() and random.random() < 0.8 else others)
        slips = [[other]] * 3 + [[], [tokens[at], other], [other, tokens[at]], [tokens[at]] * 2]
        tokens[at : at + 1] = random.choice(slips)
        tokens = tokens or ["{"]
    document = " ".join(tokens)
    return Case(body=body_of(query=document), document=document)


# Variables.

WITH_VARIABLES = [
    "query ($a: String!) { node(name: $a) { name ready } }",
    "query ($a: Int) { nodes(first: $a) { nodes { name } pageInfo { hasNextPage } } }",
    "query ($a: Boolean!) { nodes(ready: $a) { nodes { name } } }",
    'query ($a: DrainOptionsInput) { plan(node: "node02", options: $a) { counts { evict } } }',
    'query ($a: EvictOrBlock) { plan(node: "node02", options: { unmanagedPods: $a }) { counts { evict } } }',
    "mutation ($a: NodeInput!) { cordonNode(input: $a) { changed nodeName } }",
    'mutation ($a: TicketInput) { startMaintenance(input: { node: "node04", dryRun: true, ticket: $a }) { created } }',
    'mutation ($a: TaintEffect!) { taintNode(input: { node: "node04", key: "a", effect: $a }) { changed nodeName } }',
]


@kind
def variables_of_any_value(random: Random) -> Case:
    document = random.choice(WITH_VARIABLES)
    variables = {"a": any_value(random, 3)} if random.random() < 0.95 else {}
    return Case(body=body_of(query=document, variables=variables), document=document, variables=variables)


def any_value(random: Random, depth: int) -> object:
    texts = ["", "node01", "Evict", "NoSchedule", "5m", "\0", "a" * 300]
    plain = [None, True, False, 0, 1, -1, 2**31 - 1, 1.5, 1e300, *texts]
    if depth == 0 or random.random() < 0.5:
        return random.choice(plain)
    values = [any_value(random, depth - 1) for _ in range(random.randrange(4))]
    if random.random() < 0.3:
        return values
    names = ["node", "dryRun", "id", "url", "timeout", "unmanagedPods", "podSelector", "a"]
    return {random.choice(names): value for value in values}


# There is more to these than to what is around them.
KINDS += 3 * [a_document_with_odd_text, a_document_with_a_slip, variables_of_any_value]

# Sending and judging.


def main(seed: int, seconds: float) -> None:
    random, session, outcomes = Random(seed), requests.Session(), Counter[str]()
    slowest, wrong, end = 0.0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        make = KINDS[outcomes.total() % len(KINDS)]
        name, case, begun = make.__name__.replace("_", " "), make(random), time.monotonic()
        outcome, found = send(session, case)
        took = time.monotonic() - begun
        slowest = max(slowest, took)
        if took > WITHIN:
            found.append(f"it took {took:.1f} s")
        outcomes[f"{name}: {outcome}"] += 1
        if found:
            wrong += 1
            print(f"{name}: {'; '.join(found)}\n{textwrap.shorten(repr(case), 2000)}\n")
        time.sleep(max(0.0, PAUSE - took))
    for outcome, count in sorted(outcomes.items()):
        print(f"{outcome} {count}")
    print(f"{outcomes.total()} requests, {wrong} answered wrongly; the slowest answer took {slowest:.2f} s.")
    if wrong:
        sys.exit(1)


def send(session: requests.Session, case: Case) -> tuple[str, list[str]]:
    """The outcome in a word, and what is wrong with it."""
    url = f"{CAREEN}/graphql" + (f"?{case.query}" if case.query else "")
    body = case.body if case.method != "GET" else None
    try:
        answer = session.request(case.method, url, data=body, headers=case.headers, timeout=2 * WITHIN)
    except requests.RequestException as error:
        return "no answer", [f"no answer: {error}"]
    found = list(faults(answer.status_code, answer.headers.get("Content-Type", ""), answer.content))
    if answer.status_code != case.status:
        found.append(f"answered with {answer.status_code} instead of {case.status}: {answer.text[:300]}")
    if found or answer.status_code != 200:
        return str(answer.status_code), found
    codes = {error["extensions"]["code"] for error in answer.json().get("errors", [])}
    return " and ".join(sorted(codes)) or "answered", [*wrong_with(case, answer.json(), codes)]


def wrong_with(case: Case, answer: dict, codes: set[str]) -> Iterator[str]:
    if case.codes and not (codes and codes <= case.codes):
        yield f"{sorted(codes)} instead of one of {sorted(case.codes)}"
    if case.document is not None:
        for fault in faults_of_document(case.document, case.variables, answer):
            yield f"{fault}: {json.dumps(answer)[:300]}"


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
