"""A folder with two files for each organisation, `NAME.html` and `NAME.csv`, and nothing of anybody else in them."""

import csv
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from flexpeer.app.views.own_day import OwnDay, OwnOrder, OwnTrade, ResourceDay
from flexpeer.quantities import MINOR_PER_MAJOR, MONEY_PER_MINOR, WATT_MINUTES_PER_MWH, decimal_text, major

FOLDER = "organisations"
COLUMNS = (
    "what", "resource", "congestion_point", "order", "trade", "side", "from", "to", "quantity_w", "traded_w", "left_w",
    "price", "amount", "status", "detail",
)  # fmt: skip
LONGEST = 80
NAMELESS = "organisation"
RESERVED = {"con", "prn", "aux", "nul", *(f"{device}{n}" for device in ("com", "lpt") for n in range(10))}
"""Names that some systems keep for devices."""

Row = dict[str, object]


def write_organisations(days: Sequence[OwnDay], pages: Iterable[str], times: Sequence[str], folder: Path) -> list[Row]:
    """Both files of each; whose they are, for `result.json`. `times` are the starts of the MTUs and the day's end."""
    (folder / FOLDER).mkdir()
    written: list[Row] = []
    stems = file_stems(day.organisation for day in days)
    for day, page in zip(days, pages, strict=True):
        html, table = (f"{FOLDER}/{stems[day.organisation]}.{ending}" for ending in ("html", "csv"))
        (folder / html).write_text(page, encoding="utf-8")
        with (folder / table).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(own_rows(day, times))
        written.append({"organisation": day.organisation, "html": html, "csv": table})
    return written


def file_stems(names: Iterable[str]) -> dict[str, str]:
    """A name for the files of each organisation that every file system takes, no two the same in any of them.

    Letters and digits stay, all else becomes a hyphen; of names that are then equal but for case or form of writing,
    all but the first get a number.
    """
    taken: set[str] = set()
    stems: dict[str, str] = {}
    for name in sorted(names):
        plain = _plain(name)
        tries = (plain if n == 1 else f"{plain}-{n}" for n in range(1, len(taken) + 2))
        stem = next(each for each in tries if _same(each) not in taken)
        taken.add(_same(stem))
        stems[name] = stem
    return stems


def _plain(name: str) -> str:
    letters = "".join(c if c.isalnum() else "-" for c in unicodedata.normalize("NFC", name))
    short = letters.encode()[:LONGEST].decode(errors="ignore").strip("-")
    return f"{NAMELESS}-{short}".rstrip("-") if not short or _same(short) in RESERVED else short


def _same(stem: str) -> str:
    """Equal for what some file system takes as one name."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", stem).casefold())


def own_rows(day: OwnDay, times: Sequence[str]) -> Iterator[Row]:
    """What a CSV file has: rows of several kinds, named in `what`."""
    for each in (*day.resources, *(other for other in day.connected if other not in day.resources)):
        yield from _resource_rows(each, times)
    yield from map(_order, day.orders)
    yield from map(_trade, day.trades)
    for kind, amount in day.money.items():
        yield {"what": "money", "status": kind, "amount": decimal_text(major(amount))}
    if day.money or day.invoiced_minor:
        yield {"what": "money", "status": "invoiced", "amount": _price(day.invoiced_minor)}
    if day.worth.avoided_wm:
        energy = f"{decimal_text(Decimal(day.worth.avoided_wm) / WATT_MINUTES_PER_MWH)} MWh"
        worth = _price(round(day.worth.avoided / MONEY_PER_MINOR))
        yield {"what": "value", "status": "curtailment_avoided", "amount": worth, "detail": energy}
    if day.trades:
        yield {"what": "value", "status": "gain", "amount": decimal_text(major(day.worth.gain))}
    for point in day.points:
        named: Row = {"what": "need", "congestion_point": point.point.congestion_point, "status": point.point.direction}
        for first, end, (need, left) in _runs(point.need_w, point.residual_need_w):
            if need or left:
                yield {**named, "from": times[first], "to": times[end], "quantity_w": need, "left_w": left}


def _resource_rows(day: ResourceDay, times: Sequence[str]) -> Iterator[Row]:
    name = day.resource.resource
    for first, end, (owed, left) in _runs(day.owed_w, day.left_w):
        if owed:
            yield {
                "what": "obligation", "resource": name, "from": times[first], "to": times[end], "quantity_w": owed,
                "traded_w": owed - left, "left_w": left,
            }  # fmt: skip
    for first, end, (watts,) in _runs(day.after_w) if day.is_concerned else ():
        yield {"what": "schedule", "resource": name, "from": times[first], "to": times[end], "quantity_w": watts}


def _runs(*rows: Sequence[int]) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Neighbouring MTUs with the same values, as first, end and values."""
    columns = list(zip(*rows, strict=True))
    starts = [mtu for mtu, values in enumerate(columns) if mtu == 0 or values != columns[mtu - 1]]
    yield from ((first, end, columns[first]) for first, end in pairwise([*starts, len(columns)]))


def _order(order: OwnOrder) -> Row:
    return {
        "what": "order", "resource": order.unit, "order": order.order, "side": order.side, "from": order.start,
        "to": order.end, "quantity_w": _known(order.quantity_w), "traded_w": order.filled_w,
        "left_w": _known(order.left_w), "price": "" if order.price_minor is None else _price(order.price_minor),
        "status": order.status, "detail": order.why,
    }  # fmt: skip


def _trade(trade: OwnTrade) -> Row:
    c = trade.confirmation
    return {
        "what": "trade", "resource": c.unit, "order": c.order, "trade": c.trade, "side": c.side, "from": trade.start,
        "to": trade.end, "quantity_w": c.quantity_w, "price": _price(c.price_minor),
        "amount": decimal_text(major(c.remuneration)), "status": c.phase,
    }  # fmt: skip


def _known(value: int | None) -> object:
    return "" if value is None else value


def _price(minor: int) -> str:
    sign, (whole, rest) = "-" if minor < 0 else "", divmod(abs(minor), MINOR_PER_MAJOR)
    return f"{sign}{whole}.{rest:02}" if rest else f"{sign}{whole}"
