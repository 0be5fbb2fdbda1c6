"""An output folder to plant faults in: its events as data, written back with chain and seal whole again."""

import csv
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class NoPlace(Exception):
    """A day has no place for a fault."""


class Planted:
    """A copy of an output folder. Faults of an engine change `events`; those of a file its table."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = (folder / "events.log").read_bytes().splitlines()
        records = [json.loads(line) for line in lines]
        self.events: list[Event] = [record["event"] for record in records[:-1]]
        self.seal: dict[str, Any] = records[-1]["seal"]

    def of(self, kind: str) -> Iterator[tuple[int, Event]]:
        """The events of a type, with their place."""
        return ((at, event) for at, event in enumerate(self.events) if event["type"] == kind)

    def first(self, kind: str, where: Callable[[Event], object] = lambda _: True) -> tuple[int, Event]:
        for at, event in self.of(kind):
            if where(event):
                return at, event
        raise NoPlace(kind)

    def order(self, name: str) -> dict[str, Any]:
        """An order as placed."""
        order: dict[str, Any] = self.first("OrderPlaced", lambda e: e["order"]["order"] == name)[1]["order"]
        return order

    def resource(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.first("ResourceRegistered", lambda e: e["resource"]["resource"] == name)[1]
        inner: dict[str, Any] = found["resource"]
        return inner

    def trades(self, phase: str = "continuous") -> Iterator[Event]:
        return (event for _, event in self.of("TradeConcluded") if event["trade"]["phase"] == phase)

    def rule(self, name: str) -> Any:
        return self.first("DayOpened")[1]["rulebook"][name]

    def write(self) -> None:
        """The log anew, whole from end to end; `log_head` follows it."""
        prev, self.seal = "0" * 64, {**self.seal, "records": len(self.events)}
        with (self.folder / "events.log").open("wb") as log:
            for n, event in enumerate([*self.events, self.seal], 1):
                kind = "event" if n <= len(self.events) else "seal"
                body = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
                digest = sha256(f"{n}\n{prev}\n{kind}\n{body}".encode()).hexdigest()
                log.write(f'{{"n":{n},"{kind}":{body},"prev":"{prev}","hash":"{digest}"}}\n'.encode())
                prev = digest
        self.result(log_head=prev, state_hash=self.seal["state_hash"])

    def result(self, **changes: object) -> None:
        path = self.folder / "result.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")

    def table(self, name: str, change: Callable[[list[dict[str, str]]], None]) -> None:
        """A table read, changed in place and written back."""
        path = self.folder / name
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or ())
        if not rows:
            raise NoPlace(name)
        change(rows)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def granted(day: Planted, match: int) -> tuple[Event, Event]:
    """The proposal and the verdict of a match."""
    proposal = day.first("MatchProposed", lambda e: e["match"]["match"] == match)[1]
    return proposal, day.first("VerdictRecorded", lambda e: e["match"] == match)[1]


def plain_trades(day: Planted) -> Iterator[Event]:
    """Continuous trades of one leg that concluded at once and as proposed, between resources."""
    reserved = {event["match"]["match"] for _, event in day.of("MatchReserved")}
    for event in day.trades():
        match, leg = event["trade"]["match"], event["trade"]["leg"]
        proposal, verdict = granted(day, match)
        whole = verdict["quantity_w"] == leg["quantity_buy_w"] == proposal["match"]["legs"][0]["quantity_buy_w"]
        if match not in reserved and len(proposal["match"]["legs"]) == 1 and whole:
            yield event


def some(found: Iterator[Event]) -> Event:
    for event in found:
        return event
    raise NoPlace


def rescale(day: Planted, trade: Event, buy_w: int, sell_w: int) -> None:
    """A trade at other quantities, as if it had been proposed, granted and concluded so."""
    leg = trade["trade"]["leg"]
    proposal, verdict = granted(day, trade["trade"]["match"])
    verdict["quantity_w"] = buy_w
    for each in (leg, proposal["match"]["legs"][0]):
        each["quantity_buy_w"], each["quantity_sell_w"] = buy_w, sell_w
    trade["fills_w"] = {leg["buy"]: buy_w, leg["sell"]: sell_w}
    for name, watts in ((leg["buy_unit"], buy_w), (leg["sell_unit"], sell_w)):
        if name in trade["moves_w"]:
            sign = 1 if trade["moves_w"][name] > 0 else -1
            trade["moves_w"][name] = sign * watts
