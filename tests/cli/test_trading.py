"""Orders, book, trades and settlement as commands, against a served market."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.program import flexpeer
from tests.cli.test_serve_and_play import EXAMPLE, free_port, served

from flexpeer.sdk import Client, Request, markets

DAY = "2026-04-21"
HOUR = ("--from", f"{DAY}T10:00:00+02:00", "--to", f"{DAY}T11:00:00+02:00")


class Desk:
    """A market, and whoever asks there by commands."""

    def __init__(self, url: str, credentials: str) -> None:
        self.url, self.credentials = url, credentials
        self._known = json.loads(Path(credentials).read_text(encoding="utf-8"))["organisations"]

    def ask(self, organisation: str, *words: str) -> Any:
        return flexpeer(*words, "--url", self.url, "--credentials", self.credentials, "--as", organisation)

    def move(self, stage: str | None) -> None:
        """To a stage of the timeline, or to its end."""
        at = self._known["Market operator"]
        with Client(self.url, at["client_id"], at["client_secret"]) as operator:
            timeline = next(operator.all(markets())).timeline
            to = next((each.at for each in timeline if each.stage == stage), timeline[-1].at)
            operator.send(Request("POST", "/api/clock", Any, json.dumps({"to": to}).encode()))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    data = tmp_path_factory.mktemp("traded") / "market"
    with served(data, free_port(), "--scenario", str(EXAMPLE)) as (_, told):
        desk = Desk(told["url"], told["credentials"])
        desk.move("open")
        yield desk


def test_from_an_order_to_its_settlement(desk: Desk) -> None:
    sell = desk.ask("Pellet Mill", "order", "place", "Dryer", "sell", *HOUR, "--quantity", "0.5", "--price", "200",
                    "--id", "mine", "--json")  # fmt: skip
    assert (sell.code, sell.object["id"], sell.object["arrival"]) == (0, "mine", 1)
    again = desk.ask("Pellet Mill", "order", "place", "Dryer", "sell", *HOUR, "--quantity", "0.5", "--price", "200",
                     "--id", "mine", "--json")  # fmt: skip
    assert again.object == sell.object
    less = desk.ask("Pellet Mill", "order", "amend", "mine", "--quantity", "0.4", "--price", "200", "--json")
    assert less.object["pricePoints"] == [{"quantity": 0.4, "unitPrice": 200}]
    book = desk.ask("North Wind", "book", "watch", "--once")
    assert "Sell" in book.out
    assert "Pellet Mill" not in book.out
    buy = desk.ask("North Wind", "order", "place", "N1", "buy", *HOUR, "--quantity", "0.3", "--price", "300")
    assert buy.code == 0
    desk.move(None)
    (traded,) = desk.ask("Pellet Mill", "trades", "--json").object["items"]
    assert (traded["orderId"], traded["side"]) == ("mine", "Sell")
    account = desk.ask("Pellet Mill", "settlement", "--json").object["items"]
    assert [each["ownerOrganizationId"] for each in account] == ["Pellet Mill"]
    listed = desk.ask("Pellet Mill", "order", "list")
    assert "mine" in listed.out
    late = desk.ask("Pellet Mill", "order", "withdraw", "mine")
    assert (late.code, late.out) == (2, "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("order", "place", "Dryer", "sell", *HOUR, "--quantity", "99", "--price", "1"), "expected"),
        (("order", "place", "Dryer", "sell", *HOUR, "--quantity", "much", "--price", "1"), "'much' is no number"),
        (("order", "place", "N1", "sell", *HOUR, "--quantity", "1", "--price", "1"), "not_found"),
        (("order", "withdraw", "nothing"), "not_found"),
        (("trades", "--market", "2020-01-01"), f"there is no market of 2020-01-01; expected {DAY}"),
    ],
)
def test_a_refusal_says_what_would_have_been_accepted(desk: Desk, words: tuple[str, ...], told: str) -> None:
    answer = desk.ask("Pellet Mill", *words)
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err


def test_nobody_and_nowhere(desk: Desk) -> None:
    assert "'Nobody' is not in it" in desk.ask("Nobody", "trades").err
    nowhere = Desk(f"http://127.0.0.1:{free_port()}", desk.credentials).ask("Pellet Mill", "trades")
    assert (nowhere.code, nowhere.out) == (2, "")
    assert "does not answer" in nowhere.err
