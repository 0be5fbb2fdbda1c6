"""/openapi.json is what is enforced: what it allows is answered as it says, what it forbids is refused."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from tests.api.small_service import DSO, MILL, OPERATOR, Running, order, running

from flexpeer.wire.api_problems import ACCEPTED, STATUS, Denial

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
BOUNDED = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def here() -> Iterator[Running]:
    """A market whose gate is open, with an order in it."""

    async def begin(here: Running) -> None:
        await here.open_gate()
        async with here.client(MILL) as client:
            await client.post("/api/Orders", json=order())

    with running() as service:
        asyncio.run(begin(service))
        yield service


@pytest.mark.parametrize("mode", GenerationMode)
def test_what_is_written_is_what_is_done(here: Running, mode: GenerationMode) -> None:
    """Each request as every organisation in turn: finding one takes longer than answering it."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", here.app)
    everybody = [{"Authorization": f"Bearer {here.token(organisation)}"} for organisation in (MILL, DSO, OPERATOR)]
    found = schema.exclude(path=["/api/events", "/api/PublicOrders/stream"]).get_all_operations()
    operations = [each.ok() for each in found if isinstance(each, Ok)]
    assert len(operations) > 30

    walked = set()
    for operation in operations:

        @settings(BOUNDED)
        @given(operation.as_strategy(generation_mode=mode))
        def walk(case: Any) -> None:
            walked.add(case.operation.label)
            for headers in everybody:
                case.call_and_validate(headers=headers, checks=CHECKS)

        with suppress(Unsatisfiable):
            walk()
    assert len(walked) == len(operations) if mode is GenerationMode.POSITIVE else len(walked) > 15


def test_the_document_names_every_route_once(here: Running) -> None:
    document = asyncio.run(_document(here))
    assert document["openapi"].startswith("3.1")
    operations = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(operations) == len(set(operations))
    for path, method in (("/api/Orders", "post"), ("/api/events", "get"), ("/api/token", "post"), ("/readyz", "get")):
        assert method in document["paths"][path]


async def _document(here: Running) -> dict[str, Any]:
    async with here.client() as client:
        document: dict[str, Any] = (await client.get("/openapi.json")).json()
        return document


def test_every_denial_has_its_status_and_says_what_would_have_been_accepted() -> None:
    assert set(STATUS) == set(ACCEPTED) == set(Denial)


def test_metrics_are_those_of_the_market(here: Running) -> None:
    async def read() -> str:
        async with here.client() as client:
            return (await client.get("/metrics")).text

    text = asyncio.run(read())
    assert "flexpeer_writer_alive 1.0" in text
    assert 'flexpeer_market_orders{market="2026-04-21"} ' in text
    assert 'flexpeer_requests_total{method="POST",route="/api/Orders",status="201"}' in text
