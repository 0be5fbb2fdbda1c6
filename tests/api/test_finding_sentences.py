"""What a library's decoder says of a body is a sentence of ours, with where it is, what stood there and what may."""

import asyncio
import json
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta
from tests.api.small_service import MILL, Running, order, running

from flexpeer.api.declining import Declined
from flexpeer.api.edge import decoded
from flexpeer.api.finding_sentences import PATTERNS, sentence_of_message
from flexpeer.wire.api import ImportedChange, Instant, OrderRequest, Sentence, SideWord
from flexpeer.wire.api_operations import WebhookRequest
from flexpeer.wire.api_registry import Intervals

SHAPES: tuple[Any, ...] = (OrderRequest, ImportedChange, WebhookRequest, Intervals)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text(max_size=3) | st.just("Sell"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("quantity", "x", "")), inner),
    max_leaves=4,
)
CHANGED = st.fixed_dictionaries({}, optional=dict.fromkeys(order(), VALUES)).map(lambda changed: order() | changed)


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """Every way in which a value may be restricted."""

    count: Annotated[int, Meta(ge=1, le=5)] = 1
    share: Annotated[float, Meta(gt=0.0)] = 1.0
    names: Annotated[list[str], Meta(min_length=1, max_length=2)] | None = None
    text: Annotated[str, Meta(min_length=2, max_length=3)] = "ab"
    at: Instant = "2026-02-10T08:00:00Z"
    side: SideWord = SideWord.BUY
    price: Decimal = Decimal(1)
    known: bool = True


@pytest.mark.parametrize(
    ("body", "template", "values"),
    [
        ('{"count": 0}', "expected was {expected}, at least {least}", {"expected": "a whole number", "least": "1"}),
        ('{"count": 9}', "expected was {expected}, at most {most}", {"expected": "a whole number", "most": "5"}),
        ('{"share": 0}', "expected was {expected}, more than {below}", {"expected": "a number", "below": "0.0"}),
        ('{"names": []}', "the list has fewer than {least} entries", {"least": "1"}),
        ('{"names": ["", "", ""]}', "the list has more than {most} entries", {"most": "2"}),
        ('{"text": ""}', "the text is shorter than {least} characters", {"least": "2"}),
        ('{"text": "abcd"}', "the text is longer than {most} characters", {"most": "3"}),
        ('{"at": "soon"}', "the text does not have the form that /openapi.json describes", {}),
        ('{"side": "Hold"}', "{found} is none of the words that may stand here", {"found": "Hold"}),
        ('{"price": "much"}', "this is no number", {}),
        ('{"known": 1}', "expected was {expected}, and {found} was found",
         {"expected": "true or false", "found": "a whole number"}),
        ('{"names": 1}', "expected was {expected}, and {found} was found",
         {"expected": "a list", "found": "a whole number"}),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong(body: str, template: str, values: dict[str, str]) -> None:
    with pytest.raises(Declined) as declined:
        decoded(body.encode(), Strict)
    problem, place = declined.value.problem, f"$.{next(iter(json.loads(body)))}"
    assert problem.sentence == Sentence(template, values | {"place": place})
    (finding,) = problem.validation_errors
    assert (finding.property, finding.sentence) == (place, Sentence(template, values))
    assert finding.message in problem.detail


@settings(deadline=None)
@given(st.sampled_from(SHAPES), VALUES | CHANGED)
def test_no_message_of_the_decoder_is_left_in_its_own_words(shape: Any, value: Any) -> None:
    text = json.dumps(value).encode()
    for body in (text, text[:-1], b"[" + text + b"]", text + b"?"):
        try:
            decoded(body, shape)
        except Declined as declined:
            problem = declined.problem
            assert problem.sentence is not None
            assert problem.sentence.template in PATTERNS.values(), problem.detail


def test_a_message_of_no_known_pattern_stays_as_it_is() -> None:
    assert sentence_of_message("something else - at `$.a`") == Sentence("something else", {"place": "$.a"})


def test_over_the_api_the_message_is_the_decoders_and_the_sentence_is_ours() -> None:
    async def story(here: Running) -> None:
        async with here.client(MILL) as client:
            body = order() | {"side": "Hold"}
            told = (await client.post("/api/Orders", json=body)).json()
        assert told["detail"] == "Invalid enum value 'Hold' - at `$.side`"
        assert told["sentence"]["values"] == {"found": "Hold", "place": "$.side"}
        assert told["validation-errors"][0]["message"] == "Invalid enum value 'Hold'"

    with running() as here:
        asyncio.run(story(here))
