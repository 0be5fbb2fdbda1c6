"""The whole OpenAPI as every role, also in chains of requests: `python -m tests.api.openapi_walk [EXAMPLES] [SEED]`.

Each operation by itself with what is allowed and what is not, and then several in a row, each with ids that answers
before it had. Prints what was answered otherwise than the document says, and ends with 1 if there was anything.
"""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import schemathesis
import structlog
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from tests.api.small_service import BRP, DSO, MILL, OBSERVER, OPERATOR, Running, order, running
from tests.api.test_openapi import CHECKS

STREAMS = ["/api/events", "/api/PublicOrders/stream"]
ROLES = (MILL, DSO, OPERATOR, OBSERVER, BRP, "Sum")


def walk(here: Running, organisation: str, examples: int, chance: int) -> tuple[Counter[str], list[str]]:
    """How often each operation was asked as this organisation, and what was wrong with the answers."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", here.app).exclude(path=STREAMS)
    headers = {"Authorization": f"Bearer {here.token(organisation)}"}
    bounded = settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate], print_blob=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    asked, wrong = Counter[str](), list[str]()

    def check(case: Any) -> None:
        asked[case.operation.label] += 1
        case.call_and_validate(headers=headers, checks=CHECKS)

    for each in schema.get_all_operations():
        for mode in GenerationMode:
            if isinstance(each, Ok):
                alone = given(each.ok().as_strategy(generation_mode=mode))(check)
                _noted(seed(chance)(bounded(alone)), wrong)
    _noted(lambda: _in_a_row(schema, headers, examples, asked), wrong)
    return asked, wrong


def _noted(run: Callable[[], None], wrong: list[str]) -> None:
    try:
        run()
    except Unsatisfiable:
        pass
    except BaseExceptionGroup as several:
        wrong += [str(each) for each in several.exceptions]
    except Exception as error:
        wrong.append(str(error))


def _in_a_row(schema: Any, headers: dict[str, str], examples: int, asked: Counter[str]) -> None:
    class Machine(schema.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, _case: Any) -> dict[str, Any]:
            return {"headers": headers}

        def validate_response(self, response: Any, case: Any, **_more: Any) -> None:
            asked["in a row"] += 1
            case.validate_response(response, checks=CHECKS, headers=headers)

    bounded = settings(
        max_examples=examples, stateful_step_count=8, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    Machine.run(settings=bounded)


def main(examples: int, chance: int) -> int:
    """Whether anything was answered otherwise."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    found = 0
    for organisation in ROLES:
        with running() as here:
            asyncio.run(_begun(here))
            asked, wrong = walk(here, organisation, examples, chance)
        print(
            f"{organisation}: {sum(asked.values())} requests, {len(asked)} operations, {len(wrong)} wrong", flush=True
        )
        for each in wrong:
            print(each, flush=True)
        found += len(wrong)
    return int(found > 0)


async def _begun(here: Running) -> None:
    await here.open_gate()
    async with here.client(MILL) as client:
        await client.post("/api/Orders", json=order())


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    sys.exit(main(words[0] if words else 15, words[1] if len(words) > 1 else 1))
