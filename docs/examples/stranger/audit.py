"""Check a market day from its output folder. It needs nothing but Python: no package, no part of the market's program.

    python audit.py FOLDER [--head HASH]

It reads `events.log` as a stranger would: line by line, with its own arithmetic, and asks of every event whether the
rules allow it; then whether the other files say the same. It prints what it checked, and how often, and ends with 0, or
prints each finding (file, record or line, what was expected) and ends with 1. `--head` is a hash of the log that you
noted earlier: the history must still contain it.

Units: watts with injection positive, prices in minor units per MWh, impact factors in parts per million, exact money in
minor units x watt-minutes per MWh (60,000,000 of them are one minor unit).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import floor
from pathlib import Path
from zoneinfo import ZoneInfo

PPM = 1_000_000
MINOR = 60_000_000
WAKE_SLACK_PPM = 100
ENERGY_REST_W = 10
ACROSS = {"BUY": "SELL", "SELL": "BUY", "UP": "DOWN", "DOWN": "UP"}
SIGN = {"UP": 1, "DOWN": -1}
RELIEVED_BY = {"export": "DOWN", "high": "DOWN", "import": "UP", "low": "UP"}
LINE = re.compile(rb'\{"n":(\d+),"(event|seal)":(.*),"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}\n?', re.DOTALL)


def point_of(record: dict) -> str:
    """The congestion point of an order ("": it names none) or a leg: the one place that knows the field's name."""
    return (record["congestion_point"] if "congestion_point" in record else record.get("zone")) or ""


def ceil_div(number: int, by: int) -> int:
    """Rounded up."""
    return -(-number // by)


def split(total: int, weights: dict) -> dict:
    """`total` by weight in whole units, largest remainder first, ties to the first name."""
    whole = sum(weights.values())
    parts = {name: total * weight // whole for name, weight in weights.items()}
    by_rest = sorted(weights, key=lambda name: (-(total * weights[name] % whole), name))
    for name in by_rest[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


class Report:
    """What was checked, and what was found."""

    def __init__(self) -> None:
        self.checked: Counter = Counter()
        self.findings: list[str] = []
        self.where = ""

    def expect(self, kind: str, right: object, text: str, where: str = "") -> bool:
        """Count one check of a kind; where it is not right, say what was expected."""
        self.checked[kind] += 1
        if not right:
            self.findings.append(f"{where or self.where}: {kind}: {text}")
        return bool(right)

    def equal(self, kind: str, found: object, expected: object, where: str = "") -> bool:
        """Two things that must be the same."""
        return self.expect(kind, found == expected, f"expected {expected}, found {found}", where)


def read_log(path: Path, report: Report, head: str = "") -> tuple[list, dict | None, str]:
    """Events with the number of their record, the seal and the hash of the last record; the chain is checked."""
    events, seal, prev, known = [], None, "0" * 64, set()
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        report.where = f"events.log line {number}"
        found = LINE.fullmatch(line)
        if (
            not report.expect("chain of records", found and line.endswith(b"\n"), "expected a whole record")
            or not found
        ):
            continue
        n, kind, body, before, digest = found.groups()
        report.expect("chain of records", seal is None, "expected nothing after the seal")
        report.equal("chain of records", int(n), number)
        report.equal("chain of records", before.decode(), prev)
        written = hashlib.sha256(b"\n".join((n, before, kind, body))).hexdigest()
        report.equal("chain of records", digest.decode(), written)
        prev = digest.decode()
        known.add(prev)
        try:
            content = json.loads(body)
        except ValueError:
            report.expect("chain of records", False, "expected JSON")
            continue
        if kind == b"seal":
            seal = content
        else:
            events.append((int(n), content))
    report.where = "events.log"
    if report.expect("seal", seal, "expected a seal at the end: the log was cut off"):
        report.equal("seal", seal["records"], len(events))
    if head:
        report.expect("noted hash", head in known, f"expected the history to contain {head}")
    return events, seal, prev


class Order:
    """An order as placed, and what has become of it."""

    def __init__(self, placed: dict) -> None:
        self.name, self.number, self.organisation = placed["order"], placed["number"], placed["organisation"]
        self.unit, self.place, self.point = placed["unit"], placed["place"], point_of(placed)
        self.side, self.regulation, self.residual = placed["side"], placed["regulation"], placed["residual"]
        self.span = placed["span"]["first"], placed["span"]["end"]
        self.quantity, self.minimum, self.price = placed["quantity_w"], placed["min_quantity_w"], placed["price_minor"]
        self.in_force, self.status, self.executed, self.reserved = placed["time_in_force"], "open", 0, 0

    @property
    def left(self) -> int:
        """What is neither traded nor reserved."""
        return self.quantity - self.executed - self.reserved

    @property
    def mtus(self) -> range:
        """Its MTUs."""
        return range(*self.span)

    @property
    def relieved_by(self) -> str:
        """The regulation of the SELLs it is or meets."""
        return self.regulation if self.side == "SELL" else ACROSS[self.regulation]


def most_with_whole(most: int, low: Fraction, high: Fraction) -> int:
    """The largest n up to `most` for which a whole number lies between n * low and n * high.

    Where `most` is none: whole parts of the bounds cancel; the whole number below the upper bound is then less than
    `most`, n lies between multiples of it, and the question is the same with bounds turned over.
    """
    if floor(most * high) >= most * low:
        return most
    whole = floor(low)
    low, high = low - whole, high - whole
    return floor(most_with_whole(floor(most * high), 1 / high, 1 / low) / low)


class Leg:
    """One buyer and one seller over a span, at the impact factors that set their ratio."""

    def __init__(self, buy: Order, sell: Order, span: tuple, ratio: tuple, tick: int) -> None:
        self.buy, self.sell, self.span, self.tick = buy, sell, span, tick
        self.point, self.ppm_buy, self.ppm_sell = ratio
        self.buy_w = self.sell_w = 0

    def at(self, spanning: str, quantity: int, raised: int = 0) -> Leg:
        """The leg at a quantity of the side that all legs share; the seller rounds up, the buyer down, to the tick."""
        tick = self.tick
        if spanning == "SELL":
            self.sell_w, self.buy_w = quantity, quantity * self.ppm_sell // (self.ppm_buy * tick) * tick
        else:
            self.buy_w = quantity
            self.sell_w = ceil_div(quantity * self.ppm_buy, self.ppm_sell * tick) * tick + raised
        return self

    def affordable(self) -> bool:
        """Whether the buyer's limit pays for what the seller's limit asks."""
        return self.buy.price * self.buy_w >= self.sell.price * self.sell_w

    def most(self, spanning: str, ticks: int) -> int:
        """The most ticks of that side, up to so many, whose counterpart, rounded to ticks, both limit prices allow."""
        if self.sell.price <= 0 or self.at(spanning, ticks * self.tick).affordable():
            return ticks
        if spanning == "SELL":
            low, high = Fraction(self.sell.price, self.buy.price), Fraction(self.ppm_sell, self.ppm_buy)
        else:
            low, high = Fraction(self.ppm_buy, self.ppm_sell), Fraction(self.buy.price, self.sell.price)
        return most_with_whole(ticks, low, high)

    def fills(self) -> tuple:
        """What each order gives."""
        return (self.buy, self.buy_w), (self.sell, self.sell_w)


PUT_OFF = ("energy", "minimum_acceptance", "fill_or_kill", "self_trade")


class Day:
    """The day as the log tells it so far."""

    def __init__(self, report: Report, factors_decide: bool) -> None:
        self.report, self.factors_decide = report, factors_decide
        self.organisations, self.resources, self.portfolios, self.checks = {}, {}, {}, defaultdict(dict)
        self.rules, self.calendar, self.currency = {}, {}, ""
        self.plans, self.points, self.impacts, self.needs = {}, {}, {}, {}
        self.owed, self.moves = {}, {}
        self.gate, self.orders, self.keys, self.next_number = "not_open", {}, {}, 1
        self.open_by = defaultdict(dict)
        self.place_of, self.ratios, self.counted_at, self.impact_of = {}, {}, {}, {}
        self.next_match, self.pending, self.verdict, self.held, self.reserved = 1, None, None, {}, {}
        self.trades, self.refusals, self.refusals_put_off, self.flags = {}, [], set(), []
        self.blocks, self.awake, self.deferred, self.tentative = {}, set(), set(), set()
        self.sweeping, self.released, self.concluding, self.batch, self.batch_number = "", False, False, [], 0
        self.flows, self.allowed, self.limits = {}, {}, {}
        self.confirmations, self.schedules, self.deliveries = [], {}, {}
        self.revision, self.postings, self.balances, self.kpis = 0, [], Counter(), {}

    # ---- what follows from the frame of the day

    def instant_of_day(self, later: int) -> int:
        """Minutes since 1970 at local midnight, some days later."""
        day = datetime.fromisoformat(self.calendar["delivery_day"]) + timedelta(days=later)
        return int(day.replace(tzinfo=ZoneInfo(self.calendar["timezone"])).timestamp()) // 60

    def local(self, mtu: int) -> str:
        """The start of an MTU as the files write it."""
        instant = self.first_instant + mtu * self.minutes
        zone = ZoneInfo(self.calendar["timezone"])
        return datetime.fromtimestamp(instant * 60, UTC).astimezone(zone).isoformat(timespec="minutes")

    def members(self, unit: str) -> list:
        """The resources of a unit; none for a DSO."""
        return [unit] if unit in self.resources else list(self.portfolios.get(unit, {}).get("members", ()))

    def shares(self, unit: str, quantity: int) -> dict:
        """How a unit's watts are divided between its resources: by their ranges."""
        members = self.members(unit)
        if len(members) < 2:
            return dict.fromkeys(members, quantity)
        return split(quantity, {m: self.resources[m]["p_max_w"] - self.resources[m]["p_min_w"] for m in members})

    def start(self, resource: str) -> list:
        """The starting point: plan with obligations executed."""
        zeros = [0] * self.count_mtus
        return [p + o for p, o in zip(self.plans.get(resource, zeros), self.owed.get(resource, zeros), strict=True)]

    def schedule(self, resource: str) -> list:
        """The starting point with trades."""
        return [
            s + m for s, m in zip(self.start(resource), self.moves.get(resource, [0] * self.count_mtus), strict=True)
        ]

    def impact(self, unit: str, point: str, buys: bool) -> list:
        """Impact factors of a unit; a portfolio's by range, rounded against it. A DSO's purchase counts 1."""
        key = unit, point, buys
        if key not in self.impact_of:
            members, zeros = self.members(unit), [0] * self.count_mtus
            rows = [self.impacts.get(point, {}).get(member, zeros) for member in members]
            if len(rows) > 1:
                weights = [self.resources[m]["p_max_w"] - self.resources[m]["p_min_w"] for m in members]
                sums = [sum(w * p for w, p in zip(weights, column, strict=True)) for column in zip(*rows, strict=True)]
                rows = [[ceil_div(s, sum(weights)) if buys else s // sum(weights) for s in sums]]
            self.impact_of[key] = rows[0] if rows else [PPM] * self.count_mtus
        return self.impact_of[key]

    def in_need(self, point: str, mtu: int) -> bool:
        """Whether orders that name no point count here: where there is a need, or where none is known anywhere."""
        quiet = not any(any(row) for row in self.needs.values())
        return quiet or point not in self.needs or self.needs[point][mtu] > 0

    def counted(self, point: str, relieved_by: str, span: tuple) -> list:
        """The points and MTUs where an order counts."""
        key = point, relieved_by, span
        if key not in self.counted_at:
            points = [point] if point else sorted(n for n, p in self.points.items() if self.relief(n) == relieved_by)
            self.counted_at[key] = [(p, t) for p in points for t in range(*span) if point or self.in_need(p, t)]
        return self.counted_at[key]

    def relief(self, point: str) -> str:
        """The regulation that relieves a point."""
        return RELIEVED_BY[self.points[point]["direction"]]

    def ratio(self, buy: Order, sell: Order, span: tuple) -> tuple | None:
        """(point, a_buyer, a_seller) where a_buyer / a_seller is largest; None where the seller cannot serve."""
        if self.rules["exchange"] == "balanced":
            return (buy.point, 1, 1) if buy.point == sell.point else None
        key = buy.unit, buy.point, sell.unit, sell.point, sell.regulation, span
        if key in self.ratios:
            return self.ratios[key]
        most, least = None, max(self.rules["min_impact_ppm"], 1)
        for point, mtu in self.counted(buy.point, sell.regulation, span):
            load = self.impact(buy.unit, point, True)[mtu]
            relief = self.impact(sell.unit, point, False)[mtu] if sell.point in ("", point) else 0
            if load > 0 and relief < least:
                most = None
                break
            if load > 0 and (most is None or load * most[2] > most[1] * relief):
                most = point, load, relief
        self.ratios[key] = most
        return most

    def forget(self) -> None:
        """What was derived from points, needs and participants."""
        self.ratios, self.counted_at, self.impact_of = {}, {}, {}

    # ---- who can meet whom, and how much

    def leg(self, one: Order, other: Order, span: tuple) -> Leg | None:
        """The leg of two orders that cross over a span."""
        buy, sell = (one, other) if one.side == "BUY" else (other, one)
        ratio = self.ratio(buy, sell, span)
        if ratio is None or buy.price * ratio[2] < sell.price * ratio[1]:
            return None
        return Leg(buy, sell, span, ratio, self.rules["quantity_tick_w"])

    def tradeable(self, legs: list, spanning: str, quantity: int) -> int:
        """The largest quantity in ticks within all limit prices: each leg lowers it until all of them agree."""
        tick = self.rules["quantity_tick_w"]
        ticks, before = quantity // tick, -1
        while ticks != before:
            before = ticks
            for leg in legs:
                ticks = leg.most(spanning, ticks)
        return ticks * tick

    def acceptable(self, legs: list, spanning: str, quantity: int, taker: Order) -> int:
        """The quantity; 0 where a fill is nothing or leaves a resting order below its minimum."""
        for leg in legs:
            for order, fill in leg.at(spanning, quantity).fills():
                beyond = order.quantity - order.left + fill >= order.minimum or order is taker
                if fill <= 0 or not beyond:
                    return 0
        return quantity

    def most(self, legs: list, spanning: str, taker: Order) -> tuple[int, int]:
        """The quantity to propose, and what the energy limits allow of it."""
        quantities = []
        for leg in legs:
            left = leg.sell.left // leg.tick * leg.tick
            buy_w = min(leg.buy.left, left * leg.ppm_sell // leg.ppm_buy)
            sell_w = min(left, ((leg.buy.left + 1) * leg.ppm_buy - 1) // leg.ppm_sell) if buy_w else 0
            quantities.append(sell_w if spanning == "SELL" else buy_w)
        quantity = self.acceptable(legs, spanning, self.tradeable(legs, spanning, min(quantities)), taker)
        if not quantity:
            return 0, 1
        allowed = self.largest(quantity, lambda w: self.within_energy(self.moved(legs, spanning, w)))
        return self.acceptable(legs, spanning, self.tradeable(legs, spanning, allowed), taker), allowed

    @staticmethod
    def largest(quantity: int, fits: object) -> int:
        """The largest number up to a quantity that fits."""
        if fits(quantity):
            return quantity
        low, high = 0, quantity
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def moved(self, legs: list, spanning: str, quantity: int, raised: int = 0) -> list:
        """What legs move at a quantity: (resource, MTUs, signed W)."""
        return [
            (name, leg.span, change)
            for leg in legs
            for order, fill in leg.at(spanning, quantity, raised).fills()
            for name, change in self.changes(order, fill).items()
        ]

    def changes(self, order: Order, fill: int) -> dict:
        """What executing more (or less) of an order moves of each resource."""
        before, after = self.shares(order.unit, order.executed), self.shares(order.unit, order.executed + fill)
        return {name: SIGN[order.regulation] * (after[name] - before[name]) for name in after}

    def within_energy(self, moved: list) -> bool:
        """Whether storages and buffers keep within their limits, trades and reservations counted."""
        changes: dict = {}
        for name, span, change in moved:
            if self.resources[name]["energy_wm"] is not None:
                row = changes.setdefault(name, [0] * self.count_mtus)
                for mtu in range(*span):
                    row[mtu] += change
        return all(self.energy_allows(name, row) for name, row in changes.items())

    def energy_allows(self, name: str, change: list) -> bool:
        """Contents at the end of each MTU stay within limits, or are no further out than before."""
        resource = self.resources[name]
        storage, high = resource["energy_start_wm"] is not None, resource["energy_wm"]
        content, total, low = resource["energy_start_wm"] or 0, 0, 0 if storage else -high
        planned = self.schedule(name) if storage else self.moves.get(name, [0] * self.count_mtus)
        held = [0] * self.count_mtus
        for reservation in self.reserved.values():
            for resource_name, span, watts in reservation["moved"]:
                for mtu in range(*span) if resource_name == name else ():
                    held[mtu] += watts
        for mtu in range(self.count_mtus):
            content -= (planned[mtu] + held[mtu]) * self.minutes
            total += change[mtu] * self.minutes
            if not -max(high - content, 0) <= total <= max(content - low, 0):
                return False
        return True

    def asleep(self, buy: Order, sell: Order) -> str:
        """Why a pair does not meet for now: the name of what sleeps."""
        span = buy.span
        names = [json_text([buy.place, sell.place, sell.regulation, *span])]
        names.append(json_text([["orders"], *sorted({buy.name, sell.name})]))
        names += [json_text([["energy"], o.unit, o.regulation, *o.span]) for o in (buy, sell)]
        return next((name for name in names if name in self.blocks), "")

    def candidates(self, taker: Order) -> list:
        """Whoever a taker could meet in its own span, best first: (order, leg)."""
        page = self.open_by[ACROSS[taker.side], ACROSS[taker.regulation], taker.span]
        found = []
        for other in page.values():
            if other.number < taker.number and other.organisation != taker.organisation and other.left > 0:
                leg = self.leg(taker, other, taker.span)
                if leg:
                    found.append((self.rank(taker, other, leg), other, leg))
        return [(other, leg) for _, other, leg in sorted(found, key=lambda row: row[0])]

    def rank(self, taker: Order, other: Order, leg: Leg) -> tuple:
        """Order of arrival, or cost on the grid side and then arrival."""
        if self.rules["priority"] == "time":
            return (other.number,)
        own, its = (leg.ppm_buy, leg.ppm_sell) if taker.side == "BUY" else (leg.ppm_sell, leg.ppm_buy)
        ask = other.price if other.side == "SELL" else -other.price
        return Fraction(ask * own, its), other.number

    def passed_over(self, taker: Order, until: Order | None) -> None:
        """Everyone who comes before a counterparty must have been impossible."""
        for other, leg in self.candidates(taker):
            if other is until:
                return
            name = self.asleep(leg.buy, leg.sell)
            if name:
                self.still_asleep(name, taker, other)
                continue
            quantity, _ = self.most([leg], "BUY", taker)
            self.report.expect(
                "order of arrival", not quantity, f"{taker.name} passes over {other.name}, who could trade {quantity} W"
            )

    def still_asleep(self, name: str, taker: Order, other: Order) -> None:
        """A pair that sleeps must sleep for a reason that still stands."""
        block = self.blocks[name]
        self.report.checked["passed over for a recorded refusal"] += 1
        leg = self.leg(taker, other, taker.span)
        if leg is None or self.reserved or self.concluding or name in self.deferred:
            return
        pair, element = f"{taker.name} and {other.name}", block["element"]
        if element.startswith("energy:"):
            quantity, _ = self.most([leg], "BUY", taker)
            still = quantity <= self.rounding(leg, element.removeprefix("energy:"))
            self.report.expect("waking", still, f"{pair} sleep for {element}, which leaves {quantity} W")
        elif self.factors_decide and "room" in block:
            more = self.room(element, block["mtu"]) - block["room"]
            if more > min(self.limit_at(element, block["mtu"]), default=0) * WAKE_SLACK_PPM:
                quantity = self.fitting([leg], "BUY", self.most([leg], "BUY", taker)[0], taker)
                text = f"{pair} sleep at {element}, which has {more} ppm W more room and lets them trade {quantity} W"
                self.report.expect("waking", not quantity, text)

    def rounding(self, leg: Leg, resource: str) -> int:
        """What may be left of a unit that sleeps: what rounding takes, or a portfolio moves without a resource."""
        for order in (leg.buy, leg.sell):
            members = self.members(order.unit)
            if len(members) > 1 and resource in members:
                widths = {m: self.resources[m]["p_max_w"] - self.resources[m]["p_min_w"] for m in members}
                return 2 * ceil_div(sum(widths.values()), max(widths[resource], 1))
        return ENERGY_REST_W

    # ---- the grid by impact factors alone

    def limit_at(self, element: str, mtu: int) -> list:
        """Limits of the points of an element."""
        return [row[mtu] for point, row in self.limits.items() if self.points[point]["element"] == element]

    def room(self, element: str, mtu: int) -> int:
        """Headroom of an element, ppm W."""
        rooms = [self.allowed[p][mtu] - f[mtu] for p, f in self.flows.items() if self.points[p]["element"] == element]
        return min(rooms, default=0)

    def open_flows(self) -> None:
        """Flows at the starting point; what is past its limit may not get worse."""
        for name, point in self.points.items():
            if point.get("limit_w") is not None:
                sign = -SIGN[self.relief(name)]
                rows = [(ppm, self.start(r)) for r, ppm in self.impacts.get(name, {}).items() if r in self.resources]
                flows = [sign * sum(ppm[t] * row[t] for ppm, row in rows) for t in range(self.count_mtus)]
                self.flows[name], self.limits[name] = flows, point["limit_w"]
                self.allowed[name] = [max(PPM * lim, f) for lim, f in zip(point["limit_w"], flows, strict=True)]

    def shift(self, moved: list, times: int) -> None:
        """Moves become current (1) or are given back (-1)."""
        for name, span, change in moved:
            for point, row in self.flows.items():
                ppm = self.impacts.get(point, {}).get(name)
                for mtu in range(*span) if ppm else ():
                    row[mtu] += -SIGN[self.relief(point)] * times * ppm[mtu] * change

    def fits(self, moved: list) -> bool:
        """Whether no point is past what it may have, where the moves load it more."""
        more: Counter = Counter()
        for name, span, change in moved:
            for point in self.flows:
                ppm = self.impacts.get(point, {}).get(name)
                for mtu in range(*span) if ppm else ():
                    more[point, mtu] += -SIGN[self.relief(point)] * ppm[mtu] * change
        return all(c <= self.allowed[p][t] - self.flows[p][t] for (p, t), c in more.items())

    def fitting(self, legs: list, spanning: str, quantity: int, taker: Order) -> int:
        """The largest quantity that all points bear, and both sides accept."""
        tick = self.rules["quantity_tick_w"]
        ticks = self.largest(quantity // tick, lambda n: self.fits(self.moved(legs, spanning, n * tick)))
        return self.acceptable(legs, spanning, self.tradeable(legs, spanning, ticks * tick), taker)

    def settle_flows(self) -> None:
        """After a commit: what was relieved may not get worse; what sleeps remembers its least room."""
        for point, row in self.flows.items():
            for mtu, flow in enumerate(row):
                bound = max(PPM * self.limits[point][mtu], flow)
                self.allowed[point][mtu] = min(self.allowed[point][mtu], bound)
        for block in self.blocks.values():
            if "room" in block:
                block["room"] = min(block["room"], self.room(block["element"], block["mtu"]))


def json_text(value: object) -> str:
    """As the log writes names."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Audit(Day):
    """Every event of the log against the rules, in order."""

    def follow(self, events: list) -> None:
        """The whole log; then what can only be said at its end."""
        for n, event in events:
            self.report.where = f"events.log record {n}"
            kind = event["type"]
            if self.batch and not (kind == "TradeConcluded" and event["trade"]["match"] == self.batch_number):
                self.end_batch()
            handler = getattr(self, "on_" + re.sub(r"(?<!^)([A-Z])", r"_\1", kind).lower(), None)
            self.report.checked["events"] += 1
            if handler:
                handler(event)
        self.report.where = "events.log, at its end"
        if self.batch:
            self.end_batch()
        for order in self.orders.values():
            self.report.expect("minimum acceptance", not 0 < order.executed < order.minimum, f"{order.name} got less")
        self.report.expect("settlement", self.revision or not self.trades, "expected a settlement of the trades")

    # ---- the frame

    def on_organisation_registered(self, event: dict) -> None:
        """Who takes part."""
        self.organisations[event["organisation"]["organisation"]] = event["organisation"]["role"]

    def on_resource_registered(self, event: dict) -> None:
        """With what."""
        self.resources[event["resource"]["resource"]] = event["resource"]

    def on_portfolio_formed(self, event: dict) -> None:
        """Traded as one."""
        self.portfolios[event["portfolio"]["portfolio"]] = event["portfolio"]

    def on_grid_checked(self, event: dict) -> None:
        """A prequalification's first half."""
        self.checks[event["resource"]]["grid"] = event["check"]

    def on_product_checked(self, event: dict) -> None:
        """A prequalification's second half."""
        self.checks[event["resource"]]["product"] = event["check"]

    def on_day_opened(self, event: dict) -> None:
        """The day and its rules."""
        self.calendar, self.rules, self.currency = event["day"], event["rulebook"], event["currency"]
        self.minutes, self.first_instant = self.calendar["mtu_minutes"], self.instant_of_day(0)
        self.count_mtus = (self.instant_of_day(1) - self.first_instant) // self.minutes

    def on_forecast_published(self, event: dict) -> None:
        """A plan, frozen at the gate."""
        self.report.expect("frame", self.gate != "closed", "expected no plan after the gate closed")
        self.plans[event["resource"]] = event["p_w"]

    def on_congestion_point_defined(self, event: dict) -> None:
        """A congestion point."""
        self.points[event["point"]["congestion_point"]] = event["point"]
        self.forget()

    def on_impact_factors_published(self, event: dict) -> None:
        """What a watt does at a point."""
        self.report.expect("frame", self.gate == "not_open", "expected no new impact factors once the gate is open")
        self.impacts[event["congestion_point"]] = event["ppm"]
        self.forget()

    def on_need_published(self, event: dict) -> None:
        """The relief a point needs: by impact factors alone, what is past its limit and the margin."""
        point, margin = event["congestion_point"], self.rules["need_margin_ppm"] or 0
        self.needs[point] = event["need_w"]
        self.forget()
        limit = self.points[point].get("limit_w")
        if not (self.factors_decide and limit) or self.gate == "closed" or self.rules["need_quantile_percent"] != 50:
            return
        sign, rows = -SIGN[self.relief(point)], self.impacts.get(point, {})
        for mtu, need in enumerate(event["need_w"]):
            injected = sum(ppm[mtu] * self.plans[name][mtu] for name, ppm in rows.items() if name in self.plans)
            flow = ceil_div(sign * injected, PPM)
            expected = flow - limit[mtu] + ceil_div(limit[mtu] * margin, PPM) if flow > limit[mtu] else 0
            self.report.equal("needs", need, expected)

    def on_curtailment_allocated(self, event: dict) -> None:
        """Obligations, within the range of their resource and only of conditional ones that are known."""
        for name, moves in event["moves_w"].items():
            before, resource = self.start(name), self.resources[name]
            for begin, move in zip(before, moves, strict=True):
                room = resource["p_max_w"] - begin if move > 0 else begin - resource["p_min_w"]
                self.report.expect(
                    "obligations", abs(move) <= max(room, 0), f"{name} cannot move {move} W from {begin}"
                )
            zeros = [0] * self.count_mtus
            self.owed[name] = [a + b for a, b in zip(self.owed.get(name, zeros), moves, strict=True)]

    def on_gate_opened(self, _event: dict) -> None:
        """Orders are taken from now on."""
        self.report.equal("gate", self.gate, "not_open")
        self.gate = "open"
        self.open_flows()

    def on_gate_closed(self, _event: dict) -> None:
        """No more orders; nobody who could trade may be left."""
        self.report.equal("gate", self.gate, "open")
        self.gate = "closed"
        for order in sorted(self.orders.values(), key=lambda o: o.number):
            if order.status == "open" and order.left > 0 and order.executed >= order.minimum:
                self.passed_over(order, None)

    # ---- the door

    def on_order_placed(self, event: dict) -> None:
        """An order that has passed the door must be one that may."""
        order = Order(event["order"])
        self.report.equal("order of arrival", order.number, self.next_number)
        self.next_number = max(self.next_number, order.number + 1)
        self.report.expect("door", order.name not in self.orders, f"{order.name} is known already")
        rest = event["order"]["remaining_w"], event["order"].get("status", "open")
        self.report.equal("door", rest, (order.quantity, "open"))
        if order.residual:
            self.of_a_dso(order)
        else:
            self.at_the_door(order, event["order"]["key"])
            self.deferred.clear()
        self.orders[order.name] = order
        if not order.residual:
            self.open_by[order.side, order.regulation, order.span][order.name] = order

    def of_a_dso(self, order: Order) -> None:
        """What a DSO would buy after the gate is its own, at its own point."""
        owner = self.points.get(order.point, {}).get("dso")
        self.report.expect("door", self.gate == "closed", f"{order.name}: expected after the gate closed")
        self.report.equal("door", (order.organisation, order.unit, order.side), (owner, owner, "BUY"))

    def at_the_door(self, order: Order, key: str) -> None:
        """Gate, sender, period, side, quantity, price, qualification, impact and range."""
        expect, rules, name = self.report.expect, self.rules, order.name
        expect("door", self.gate == "open", f"{name}: expected an open gate, it is {self.gate}")
        expect("door", key not in self.keys, f"{name}: its key is known already")
        self.keys[key] = name
        members = self.members(order.unit)
        dso = not members and self.organisations.get(order.unit) in ("REGIONAL_DSO", "LOCAL_DSO")
        owner = (self.resources.get(order.unit) or self.portfolios.get(order.unit) or {}).get("organisation")
        expect("door", order.organisation == (order.unit if dso else owner), f"{name}: {order.unit} is another's")
        expect("door", 0 <= order.span[0] < order.span[1] <= self.count_mtus, f"{name}: impossible period {order.span}")
        expect("door", not order.point or order.point in self.points, f"{name}: unknown point {order.point}")
        expect("door", not dso or (order.side == "BUY" and order.point), f"{name}: a DSO buys at a point it names")
        self.terms(order)
        for member in members:
            start = self.first_instant + order.span[0] * self.minutes
            both = (self.checks[member].get(half) for half in ("grid", "product"))
            good = all(c and c["passed"] and (c["valid_until"] is None or start < c["valid_until"]) for c in both)
            expect("door", good, f"{name}: {member} is not qualified")
        if not (rules["exchange"] == "balanced" and not order.point):
            counted = self.counted(order.point, order.relieved_by, order.span)
            factors = [self.impact(order.unit, p, order.side == "BUY")[t] for p, t in counted] or [0]
            enough = (min if order.point else max)(factors) >= max(rules["min_impact_ppm"], 1)
            expect("door", enough, f"{name}: has no impact where it counts")
            expect(
                "door", not order.point or order.relieved_by == self.relief(order.point), f"{name}: wrong regulation"
            )
        self.in_range(order, order.quantity)
        like = order.point, [(p, self.impact(order.unit, p, b)) for p in sorted(self.points) for b in (True, False)]
        same = self.place_of.setdefault(order.place, like) == like
        expect("door", same, f"{name}: shares the place {order.place} with others, but not their impact factors")

    def terms(self, order: Order) -> None:
        """Quantity, minimum and price by the rulebook."""
        expect, rules, name = self.report.expect, self.rules, order.name
        expect("door", order.quantity >= max(rules["min_quantity_w"], 1), f"{name}: {order.quantity} W is too little")
        expect("door", order.quantity % rules["quantity_tick_w"] == 0, f"{name}: {order.quantity} W is off the tick")
        expect("door", 0 <= order.minimum <= order.quantity, f"{name}: minimum {order.minimum} W of {order.quantity}")
        expect("door", order.price % rules["price_tick_minor"] == 0, f"{name}: price {order.price} is off the tick")
        cap = 10**9 if rules["price_cap_minor"] is None else rules["price_cap_minor"]
        expect("door", abs(order.price) <= cap, f"{name}: price {order.price} is outside the cap {cap}")

    def in_range(self, order: Order, extra: int) -> None:
        """Within the qualified range, and beside what other open orders may still move."""
        sign = SIGN[order.regulation]
        shares = self.shares(order.unit, extra)
        committed = {name: [0] * self.count_mtus for name in shares}
        for other in self.orders.values():
            if other.status == "open" and other.regulation == order.regulation:
                for name, share in self.shares(other.unit, other.quantity - other.executed).items():
                    for mtu in other.mtus if name in committed else ():
                        committed[name][mtu] += share
        for name, share in shares.items():
            bound = self.resources[name]["p_max_w" if sign > 0 else "p_min_w"]
            start, schedule = self.start(name), self.schedule(name)
            for t in order.mtus:
                room = min((bound - start[t]) * sign, (bound - schedule[t]) * sign - committed[name][t])
                self.report.expect(
                    "door", share <= room, f"{order.name}: {share} W of {name}, whose range leaves {room}"
                )

    def on_order_amended(self, event: dict) -> None:
        """Only less at the same price keeps its priority."""
        order = self.orders[event["order"]]
        self.report.expect("door", self.gate == "open", f"{order.name}: expected an open gate")
        self.report.expect(
            "door", order.status == "open", f"{order.name}: expected an open order, it is {order.status}"
        )
        keeps = event["price_minor"] == order.price and event["quantity_w"] <= order.quantity
        self.report.equal("order of arrival", event["number"], order.number if keeps else self.next_number)
        self.next_number = max(self.next_number, event["number"] + 1)
        more = event["quantity_w"] - order.quantity
        if more > 0:
            self.in_range(order, more)
        self.report.expect("door", event["quantity_w"] >= order.executed, f"{order.name}: less than has been traded")
        order.number, order.quantity, order.price = event["number"], event["quantity_w"], event["price_minor"]
        order.minimum = min(order.minimum, order.quantity)
        self.terms(order)
        self.deferred.clear()
        if order.quantity == order.executed:
            self.gone(order, "filled")

    def gone(self, order: Order, status: str) -> None:
        """An order leaves the book."""
        order.status = status
        self.open_by[order.side, order.regulation, order.span].pop(order.name, None)

    def end_order(self, event: dict, status: str, wrong: str) -> None:
        """Of an open order, for a reason."""
        order = self.orders[event["order"]]
        self.report.expect("ends of orders", not wrong and order.status == "open", wrong or f"{order.name} is not open")
        self.gone(order, status)

    def on_order_withdrawn(self, event: dict) -> None:
        """By its sender, before the gate closes."""
        self.end_order(event, "withdrawn", "" if self.gate == "open" else "expected an open gate")

    def on_order_killed(self, event: dict) -> None:
        """A FAK or FOK that rests nowhere."""
        day = self.orders[event["order"]].in_force == "day"
        self.end_order(event, "killed", f"{event['order']} is good for the day" if day else "")

    def on_order_expired(self, event: dict) -> None:
        """After the gate."""
        self.end_order(event, "expired", "" if self.gate == "closed" else "expected a closed gate")

    def on_command_refused(self, event: dict) -> None:
        """Nothing changes; at the door it is told."""
        reason, order = event["reason"], self.orders.get(event["subject"])
        if event["command"].endswith("Order"):
            self.refusals.append((event["subject"], reason, "", "", "", "", "0", event["detail"]))
        if event["command"] == "PlaceOrder" and reason.startswith("gate_"):
            self.report.expect(
                "refusals", self.gate != "open", f"{event['subject']} is refused as {reason} at an open gate"
            )
        if event["command"] == "PlaceOrder" and reason == "duplicate_key":
            self.report.expect("refusals", order or event["detail"] in self.keys, f"{event['subject']} was not known")

    # ---- meetings, verdicts and sleep

    def on_match_proposed(self, event: dict) -> None:
        """The next in order, at the right ratio, price and quantity."""
        match = event["match"]
        expect, equal = self.report.expect, self.report.equal
        equal("matches", match["match"], self.next_match)
        self.next_match = match["match"] + 1
        taker = self.orders[match["taker"]]
        if self.sweeping != taker.name:
            expect("order of arrival", not self.sweeping, f"expected {self.sweeping} to be swept first")
            self.first_of_waiting(taker)
        self.sweeping = taker.name
        expect("gate", self.gate == "open", "expected no match after the gate closed")
        legs = [self.read_leg(leg, taker) for leg in match["legs"]]
        self.pending = {"match": match, "legs": legs, "taker": taker, "spanning": match["spanning"]}
        if any(leg is None for leg in legs):
            return
        others = [o for leg in legs for o in (leg.buy, leg.sell) if o is not taker]
        alone = len(legs) == 1
        self.passed_over(taker, others[0] if alone else None)
        if alone:
            equal("matches", match["spanning"], "BUY")
            equal("matches", legs[0].span, taker.span)
            name = self.asleep(legs[0].buy, legs[0].sell)
            expect("matches", not name, f"{taker.name} meets {others[0].name}, though {name} sleeps")
        else:
            self.covers(legs, match["spanning"])
        stated = match["legs"][0]["quantity_sell_w" if match["spanning"] == "SELL" else "quantity_buy_w"]
        quantity, _ = self.most(legs, match["spanning"], taker)
        equal("quantities", stated, quantity)
        self.quantities(match["legs"], legs, match["spanning"], stated)

    def first_of_waiting(self, taker: Order) -> None:
        """Of those that wait or have woken, nobody who came earlier may be able to trade."""
        groups = [json.loads(name) for name in self.awake if not name.startswith("[[")]
        for order in self.orders.values():
            if order.status != "open" or order.number >= taker.number or order.left <= 0 or order.residual:
                continue
            if order.executed < order.minimum:
                continue
            at = [order.place, order.relieved_by, *order.span]
            if any(at == [group[order.side == "SELL"], *group[2:]] for group in groups):
                self.passed_over(order, None)

    def read_leg(self, stated: dict, taker: Order) -> Leg | None:
        """A leg of a match against its orders: who, where, ratio and price."""
        expect, equal = self.report.expect, self.report.equal
        buy, sell = self.orders[stated["buy"]], self.orders[stated["sell"]]
        span = stated["span"]["first"], stated["span"]["end"]
        pair = f"{buy.name}/{sell.name}"
        expect("matches", buy.status == sell.status == "open", f"{pair}: expected two open orders")
        sides = buy.side, sell.side, buy.regulation, stated["buy_unit"], stated["sell_unit"]
        equal("matches", sides, ("BUY", "SELL", ACROSS[sell.regulation], buy.unit, sell.unit))
        expect("self-trade", buy.organisation != sell.organisation, f"{pair} are both {buy.organisation}'s")
        older = all(o is taker or o.number < taker.number for o in (buy, sell))
        expect("order of arrival", older, f"{pair}: {taker.name} meets an order that came later")
        inside = all(o.span[0] <= span[0] and span[1] <= o.span[1] for o in (buy, sell))
        expect("matches", inside and span in (buy.span, sell.span), f"{pair}: the span {span} is not theirs")
        rests = buy if buy.number < sell.number else sell
        price = stated["price_minor"], stated["resting"]
        equal("price", price, (rests.price, rests.side))
        leg = self.leg(buy, sell, span)
        if not expect("crossing", leg, f"{pair} do not cross, or the seller cannot serve the buyer") or leg is None:
            return None
        a_buy, a_sell, at = stated["ppm_buy"], stated["ppm_sell"], point_of(stated)
        same = a_buy * leg.ppm_sell == leg.ppm_buy * a_sell
        text = f"{pair}: expected {leg.ppm_buy}/{leg.ppm_sell} at {leg.point}, found {a_buy}/{a_sell} at {at}"
        expect("exchange ratio", same, text)
        if at != leg.point and self.rules["exchange"] != "balanced":
            there = self.counted(buy.point, sell.regulation, span)
            set_there = any(
                p == at and (self.impact(buy.unit, p, True)[t], self.impact(sell.unit, p, False)[t]) == (a_buy, a_sell)
                for p, t in there
            )
            expect("exchange ratio", set_there, text)
        equal("quantities", stated.get("tick_w", 1), self.rules["quantity_tick_w"])
        return leg

    def covers(self, legs: list, spanning: str) -> None:
        """Several legs share one order and cover its span exactly, and each tile's place was free to meet."""
        shared = {(leg.sell if spanning == "SELL" else leg.buy).name for leg in legs}
        order = legs[0].sell if spanning == "SELL" else legs[0].buy
        mtus = sorted(t for leg in legs for t in range(*leg.span))
        self.report.expect(
            "matches", len(shared) == 1 and mtus == list(order.mtus), "expected legs that cover one order"
        )

    def quantities(self, stated: list, legs: list, spanning: str, quantity: int, raised: int = 0) -> None:
        """Quantities of legs follow from one quantity, in ticks, within what is left and both limit prices."""
        for each, leg in zip(stated, legs, strict=False):
            leg.at(spanning, quantity, raised)
            found = each["quantity_buy_w"], each["quantity_sell_w"]
            self.report.equal("quantities", found, (leg.buy_w, leg.sell_w))
            pair = f"{leg.buy.name}/{leg.sell.name}"
            for order, side in ((leg.buy, "buy"), (leg.sell, "sell")):
                watts, left = each[f"quantity_{side}_w"], order.left
                self.report.expect(
                    "quantities", 0 < watts <= left, f"{pair}: {watts} W of {order.name}, {left} W are left"
                )
                tick = self.rules["quantity_tick_w"]
                self.report.expect("quantities", watts % tick == 0, f"{pair}: {watts} W is off the tick of {tick}")
            limits = leg.buy.price * each["quantity_buy_w"] >= leg.sell.price * each["quantity_sell_w"]
            self.report.expect("limit prices", limits, f"{pair}: a side is past its limit price")

    def on_verdict_recorded(self, event: dict) -> None:
        """The largest quantity that fits: by impact factors alone it can be found again."""
        pending, self.pending = self.pending, None
        if not self.report.expect("verdicts", pending and pending["match"]["match"] == event["match"], "nobody asked"):
            return
        match, legs, taker, spanning = (pending[key] for key in ("match", "legs", "taker", "spanning"))
        proposed = match["legs"][0]["quantity_sell_w" if spanning == "SELL" else "quantity_buy_w"]
        granted, raised = event["quantity_w"], event["raised_w"]
        self.report.expect("verdicts", 0 <= granted <= proposed, f"{granted} W granted of {proposed}")
        binding = next((v for v in event["verdicts"] if v["decision"] != "GRANTED"), None)
        self.verdict = {"taker": taker, "binding": binding, "granted": granted, "proposed": proposed}
        if binding:
            pairs = "; ".join(f"{leg['buy']}/{leg['sell']}" for leg in match["legs"])
            when = "" if binding["mtu"] is None else self.local(binding["mtu"])
            decision = binding["decision"] if granted else "REFUSED"
            row = pairs, "grid_limit", binding["owner"], binding["element"], when, str(binding["headroom_w"])
            self.refusals.append((*row, str(granted), decision))
        if any(leg is None for leg in legs):
            return
        if self.factors_decide and not (binding and binding["element"] == "no answer"):
            expected = self.fitting(legs, spanning, proposed, taker)
            self.report.equal("grid by impact factors", granted, expected)
        if granted:
            moved = self.moved(legs, spanning, granted, raised)
            self.report.expect("energy", self.within_energy(moved), "the match passes an energy limit")
            self.granted_match(match["match"], {**pending, "quantity": granted, "raised": raised, "moved": moved})

    def granted_match(self, number: int, pending: dict) -> None:
        """Held by the owners: it becomes trades at once, or when its taker's condition is met."""
        taker = pending["taker"]
        pending["waits"] = taker.in_force == "FOK" or taker.executed < taker.minimum
        self.held[number] = pending
        self.shift(pending["moved"], 1)

    def on_match_reserved(self, event: dict) -> None:
        """Held until the taker's condition is met."""
        number = event["match"]["match"]
        held = self.held.get(number)
        if not self.report.expect("reservations", held and held["waits"], "expected a granted match that has to wait"):
            return
        self.quantities(event["match"]["legs"], held["legs"], held["spanning"], held["quantity"], held["raised"])
        self.reserved[number] = held
        for order, fill in self.fills(held).values():
            order.reserved += fill

    @staticmethod
    def fills(held: dict) -> dict:
        """What a match takes from each order; from a shared one once."""
        found = {}
        for leg in held["legs"]:
            for order, fill in leg.at(held["spanning"], held["quantity"], held["raised"]).fills():
                found[order.name] = order, fill
        return found

    def on_reservations_released(self, event: dict) -> None:
        """The condition was not met."""
        self.report.equal("reservations", sorted(event["matches"]), sorted(self.reserved))
        taker, self.released = self.orders[self.sweeping], True
        short = taker.executed + taker.reserved < taker.minimum or (taker.in_force == "FOK" and taker.left > 0)
        self.report.expect("reservations", short, f"{taker.name} gives back what meets its condition")
        for number in event["matches"]:
            held = self.reserved.pop(number, None)
            if held:
                del self.held[number]
                self.shift(held["moved"], -1)
                for order, fill in self.fills(held).values():
                    order.reserved -= fill
        for name in self.tentative:
            self.blocks.pop(name, None)
        self.tentative.clear()

    def on_meeting_blocked(self, event: dict) -> None:
        """What sleeps must follow from a verdict, or from an energy limit."""
        name, block = event["meeting"], dict(event["block"])
        if block["element"].startswith("energy:"):
            resource = self.resources.get(block["element"].removeprefix("energy:"))
            limited = resource and resource["energy_wm"] is not None
            self.report.expect("sleep", limited, f"{block['element']}: has no energy limits")
            pair = [self.orders[o] for o in block["orders"]]
            leg = self.leg(*pair, pair[0].span) if len(pair) == 2 and pair[0].span == pair[1].span else None
            if leg:
                quantity, allowed = self.most([leg], "BUY", max(pair, key=lambda o: o.number))
                none = allowed <= self.rounding(leg, block["element"].removeprefix("energy:"))
                none = none or (name.startswith('[["orders"]') and quantity == 0)
                self.report.expect("sleep", none, f"{name} sleeps for energy, but could trade {quantity} W")
        else:
            verdict = self.verdict or {"binding": None, "granted": 0, "proposed": 0}
            binding = verdict["binding"] or {"owner": "", "element": "", "mtu": None}
            told = block["owner"], block["element"], block["mtu"]
            self.report.equal("sleep", told, (binding["owner"], binding["element"], binding["mtu"]))
            less = verdict["granted"] < verdict["proposed"]
            self.report.expect("sleep", less, f"{name} sleeps, though no owner refused or reduced it")
            if self.factors_decide and block["mtu"] is not None:
                block["room"] = self.room(block["element"], block["mtu"])
        self.blocks[name] = block
        self.awake.discard(name)
        if block.get("tentative"):
            self.tentative.add(name)

    def on_meetings_woken(self, event: dict) -> None:
        """Possible again."""
        if event.get("later"):
            self.deferred.update(event["meetings"])
            return
        for name in event["meetings"]:
            self.blocks.pop(name, None)
            self.awake.add(name)

    def on_waking_ended(self, _event: dict) -> None:
        """Nobody is left who could trade in what has woken."""
        self.awake.clear()

    def on_sweep_ended(self, event: dict) -> None:
        """Nobody is left whom the order could meet, and its conditions are kept."""
        order = self.orders[event["order"]]
        for put_off in event.get("put_off", ()):
            self.put_off(order, put_off)
        self.report.expect("reservations", not self.reserved, "expected nothing to stay reserved")
        if order.status == "open" and order.left > 0 and not self.released:
            self.passed_over(order, None)
        if order.in_force != "day":
            self.report.expect("time in force", order.status != "open", f"{order.name} ({order.in_force}) still rests")
        if order.in_force == "FOK" and order.executed:
            self.report.expect("time in force", self.whole(order), f"{order.name} (FOK) got {order.executed} W")
        kept = not 0 < order.executed < order.minimum
        self.report.expect(
            "minimum acceptance", kept, f"{order.name} got {order.executed} W of at least {order.minimum}"
        )
        self.sweeping, self.released, self.concluding, self.tentative = "", False, False, set()

    def put_off(self, taker: Order, told: dict) -> None:
        """A pair that crosses and something else than the grid kept apart: what is told is so, and told once."""
        obstacle, owner, element = told["obstacle"], told["owner"], told["element"]
        pairs = [[self.orders[name] for name in pair] for pair in told["pairs"]]
        text = "; ".join("/".join(pair) for pair in told["pairs"])
        holds = {
            "energy": element in self.resources and self.resources[element]["organisation"] == owner,
            "minimum_acceptance": element in self.orders and self.orders[element].minimum > 0,
            "fill_or_kill": element == taker.name and taker.in_force == "FOK",
            "self_trade": all(order.organisation == owner for pair in pairs for order in pair),
        }[obstacle]
        among = not pairs or any(taker.name == order.name for pair in pairs for order in pair)
        self.report.expect("put off", holds and among, f"{taker.name} with {text} put off for {obstacle} of {element}")
        words = {
            "energy": f"the energy limits of {element} leave nothing for it",
            "minimum_acceptance": f"less than {element} accepts at least",
            "fill_or_kill": f"{element} trades whole or not at all",
            "self_trade": f"both orders are of {owner}",
        }[obstacle]
        row = text, obstacle, owner, element, self.local(told["mtu"]), "", "0", words
        if pairs and row not in self.refusals_put_off:
            self.refusals_put_off.add(row)
            self.refusals.append(row)

    def whole(self, order: Order) -> bool:
        """Filled, but for a rest that moves no counterparty by another tick."""
        last = [t["leg"] for t in self.trades.values() if order.name in (t["leg"]["buy"], t["leg"]["sell"])][-1]
        rest = order.quantity - order.executed
        tick = self.rules["quantity_tick_w"]
        return not rest or (order.side == "SELL" and rest * last["ppm_sell"] < last["ppm_buy"] * tick)

    # ---- trades

    def on_orders_cleared(self, event: dict) -> None:
        """The clearing of what the gate left."""
        self.report.expect("clearing", self.gate == "closed", "expected a closed gate")
        self.report.equal("clearing", event["match"], self.next_match)
        refused = [v["owner"] for v in event["verdicts"] if v["decision"] != "GRANTED"]
        self.report.expect("clearing", not refused, f"{refused} do not grant it")
        self.next_match = event["match"] + 1
        self.before = {name: order.executed for name, order in self.orders.items()}

    def on_trade_concluded(self, event: dict) -> None:
        """A trade; what it moves, takes and costs."""
        trade, leg = event["trade"], event["trade"]["leg"]
        self.batch_number = trade["match"]
        self.batch.append(event)
        self.report.expect("trades", trade["trade"] not in self.trades, f"{trade['trade']} is known already")
        self.trades[trade["trade"]] = trade
        span = leg["span"]["first"], leg["span"]["end"]
        for name, change in event["moves_w"].items():
            row = self.moves.setdefault(name, [0] * self.count_mtus)
            for mtu in range(*span):
                row[mtu] += change
        self.check_moves(event)

    def check_moves(self, event: dict) -> None:
        """Each side's resources move what it trades; a portfolio's members by their ranges, to a watt each."""
        leg, expected = event["trade"]["leg"], Counter()
        slack = Counter()
        for side in ("buy", "sell"):
            order = self.orders.get(leg[side])
            if order is None or (event["trade"]["phase"] == "purchase" and side == "buy"):
                continue
            acts = 1 if order.side == side.upper() else -1
            members = self.members(order.unit)
            for name, share in self.shares(order.unit, leg[f"quantity_{side}_w"]).items():
                expected[name] += SIGN[order.regulation] * acts * share
                slack[name] += len(members) if len(members) > 1 else 0
        moves = event["moves_w"]
        right = all(abs(moves.get(n, 0) - expected[n]) <= slack[n] for n in {*moves, *expected})
        right = right and sum(moves.values()) == sum(expected.values())
        self.report.expect("moves", right, f"expected {dict(expected)}, found {moves}")

    def end_batch(self) -> None:
        """All legs of a match are here."""
        batch, self.batch = self.batch, []
        phase = batch[0]["trade"]["phase"]
        if phase == "continuous":
            self.continuous(batch)
        else:
            self.cleared(batch, phase)
        for event in batch:
            for name, fill in event["fills_w"].items():
                order = self.orders[name]
                order.executed += fill
                text = f"{name}: {order.executed} W executed of {order.quantity}"
                self.report.expect("quantities", 0 <= order.executed <= order.quantity, text)
                if order.executed == order.quantity:
                    self.gone(order, "filled")
                elif order.status == "filled":
                    order.status = "open"
        for name in sorted({name for event in batch for name in event["moves_w"]}):
            self.in_limits(name)
        self.settle_flows()

    def in_limits(self, name: str) -> None:
        """A resource within its range, and within its energy limits where it has any."""
        resource, start = self.resources[name], self.start(name)
        for begin, watts in zip(start, self.schedule(name), strict=True):
            low, high = min(resource["p_min_w"], begin), max(resource["p_max_w"], begin)
            self.report.expect("ranges", low <= watts <= high, f"{name}: {watts} W, expected {low} to {high}")
        if resource["energy_wm"] is None:
            return
        storage, size = resource["energy_start_wm"] is not None, resource["energy_wm"]
        content, plan = resource["energy_start_wm"] or 0, resource["energy_start_wm"] or 0
        moves = self.moves.get(name, [0] * self.count_mtus)
        for begin, move in zip(start, moves, strict=True):
            content -= (begin * storage + move) * self.minutes
            plan -= begin * storage * self.minutes
            low, high = min(0 if storage else -size, plan), max(size, plan)
            self.report.expect("energy", low <= content <= high, f"{name}: {content} W min, expected {low} to {high}")

    def continuous(self, batch: list) -> None:
        """The trades of a granted match, just as granted."""
        held = self.held.pop(self.batch_number, None)
        if not self.report.expect("trades", held, f"match {self.batch_number} was not granted") or not held:
            return
        reserved = self.reserved.pop(self.batch_number, None)
        self.concluding = self.concluding or reserved is not None
        for order, fill in self.fills(held).values() if reserved else ():
            order.reserved -= fill
        if reserved is None:
            self.report.expect(
                "reservations", not held["waits"], f"{held['taker'].name} trades before its condition is met"
            )
        self.shift(held["moved"], -1)
        legs = [event["trade"]["leg"] for event in batch]
        self.report.equal("trades", len(legs), len(held["legs"]))
        for event in batch:
            span = event["trade"]["leg"]["span"]
            self.shift([(n, (span["first"], span["end"]), c) for n, c in event["moves_w"].items()], 1)
        if any(leg is None for leg in held["legs"]):
            return
        self.quantities(legs, held["legs"], held["spanning"], held["quantity"], held["raised"])
        for leg, event in zip(held["legs"], batch, strict=False):
            stated, trade = event["trade"]["leg"], event["trade"]
            parties = trade["buyer"], trade["seller"], stated["buy"], stated["sell"]
            expected = leg.buy.organisation, leg.sell.organisation, leg.buy.name, leg.sell.name
            self.report.equal("trades", parties, expected)
            proposed = held["match"]["legs"][batch.index(event)]
            terms = ("price_minor", "resting", "ppm_buy", "ppm_sell", "span")
            self.report.equal("price", [stated[t] for t in terms], [proposed[t] for t in terms])
        taken: Counter = Counter()
        for event in batch:
            taken.update(event["fills_w"])
        self.report.equal("quantities", dict(taken), {n: fill for n, (_, fill) in self.fills(held).items()})

    def cleared(self, batch: list, phase: str) -> None:
        """Trades with the pool, or a DSO's purchase: own limits, no point worse, nobody short or with itself."""
        loads, balance = [], 0
        back = self.rules["reopening"] != "never"
        for event in batch:
            trade, leg = event["trade"], event["trade"]["leg"]
            for name, fill in event["fills_w"].items():
                order = self.orders[name]
                loads.append((order, fill))
                low, high = (-order.executed if back else 0), order.quantity - order.executed
                open_ = order.status == "open" or (back and fill < 0 and order.status == "filled")
                text = f"{name}: {fill} W at status {order.status}, expected {low} to {high}"
                self.report.expect("clearing", open_ and low <= fill <= high and fill, text)
                tick = (phase == "purchase" and order.residual) or fill % self.rules["quantity_tick_w"] == 0
                self.report.expect("clearing", tick, f"{name}: {fill} W is off the tick")
            if phase == "purchase":
                self.report.equal("limit prices", leg["price_minor"], self.orders[leg["sell"]].price)
                continue
            side = "buy" if leg["buy"] else "sell"
            order, price = self.orders[leg[side]], leg["price_minor"]
            good = price <= order.price if side == "buy" else price >= order.price
            self.report.expect("limit prices", good, f"{order.name}: {price}, past its limit of {order.price}")
            party = trade["buyer" if side == "buy" else "seller"]
            self.report.equal("clearing", party, order.organisation)
            acts = 1 if order.side == side.upper() else -1
            self.report.equal("clearing", event["fills_w"], {order.name: acts * leg[f"quantity_{side}_w"]})
            paid = price * leg[f"quantity_{side}_w"] * (leg["span"]["end"] - leg["span"]["first"])
            balance += paid if side == "buy" else -paid
        self.report.expect("clearing account", balance >= 0, f"the account is {balance} W MTU minor units short")
        self.no_point_worse(loads)
        for event in batch:
            span = event["trade"]["leg"]["span"]
            self.shift([(n, (span["first"], span["end"]), c) for n, c in event["moves_w"].items()], 1)
        for point, row in self.flows.items():
            bad = [t for t, flow in enumerate(row) if flow > self.allowed[point][t]] if self.factors_decide else []
            self.report.expect("grid by impact factors", not bad, f"{point} is past its limit, or worse, in MTUs {bad}")

    def counts(self, order: Order) -> dict:
        """What a watt of an order loads points with, ppm, below zero where it relieves."""
        sign = 1 if order.side == "BUY" else -1
        if self.rules["exchange"] == "balanced":
            return {(order.point, t): sign for t in order.mtus}
        if order.residual:
            return {(order.point, t): PPM for t in order.mtus}
        least, found = max(self.rules["min_impact_ppm"], 1), {}
        if sign > 0:
            for point, t in self.counted(order.point, order.relieved_by, order.span):
                found[point, t] = max(self.impact(order.unit, point, True)[t], 0)
        else:
            for point in self.points:
                if self.relief(point) == order.relieved_by and order.point in ("", point):
                    for t in order.mtus:
                        ppm = self.impact(order.unit, point, False)[t]
                        found[point, t] = -ppm if ppm >= least else 0
        return {at: ppm for at, ppm in found.items() if ppm}

    def no_point_worse(self, loads: list) -> None:
        """No point is loaded beyond its relief, all trades counted; nobody's BUY is served by its own SELL."""
        room: Counter = Counter()
        change: Counter = Counter()
        own, theirs, beside, relief = Counter(), defaultdict(Counter), Counter(), Counter()
        for order in self.orders.values():
            for at, ppm in self.counts(order).items() if order.executed else ():
                room[at] -= ppm * order.executed
                beside[order.organisation, at] -= abs(ppm) * order.executed
                relief[at] += max(-ppm, 0) * order.executed
        for order, fill in loads:
            for at, ppm in self.counts(order).items():
                change[at] += ppm * fill
                if ppm > 0:
                    own[order.organisation, at] += ppm * fill
                else:
                    theirs[at][order.organisation] -= ppm * fill
        for at, more in change.items():
            self.report.expect(
                "no point worse", more <= max(room[at], 0), f"{at} is loaded {more} ppm W, {room[at]} free"
            )
        back = self.rules["reopening"] != "never"
        for (organisation, at), load in own.items():
            others = sum(watts for name, watts in theirs[at].items() if name != organisation)
            free = relief[at] + beside[organisation, at] if back else max(room[at], 0)
            self.report.expect("self-trade", load <= others + free, f"{organisation} serves its own BUY at {at}")

    # ---- after the market

    def on_trades_confirmed(self, event: dict) -> None:
        """A message to each side."""
        self.confirmations += event["confirmations"]

    def on_brp_notified(self, event: dict) -> None:
        """What an FSP's resources move in all."""
        rows = [row for name, row in self.moves.items() if self.resources[name]["organisation"] == event["fsp"]]
        self.report.equal("notices to BRPs", event["moves_w"], [sum(column) for column in zip(*rows, strict=True)])

    def on_activation_issued(self, event: dict) -> None:
        """A schedule."""
        name = event["resource"]
        self.report.equal("schedules", event["schedule_w"], self.schedule(name))
        self.report.equal("schedules", event["plan_w"], self.start(name))
        self.schedules[name] = event["schedule_w"]

    def on_delivery_verified(self, event: dict) -> None:
        """What was delivered: never more than was ordered."""
        self.deliveries[event["resource"]] = event
        for each in event["deliveries"]:
            fine = all(0 <= d <= o for d, o in zip(each["delivered_w"], each["ordered_w"], strict=True))
            shares = all(0 <= share <= PPM for share in each["payable_ppm"])
            self.report.expect("deliveries", fine and shares, f"{event['resource']}: more delivered than ordered")

    def on_conduct_flagged(self, event: dict) -> None:
        """Kept for the result."""
        self.flags.append({k: v for k, v in event.items() if k != "type"})

    def on_kpis_reported(self, event: dict) -> None:
        """Kept for the result."""
        self.kpis = event["report"]

    def on_settlement_issued(self, event: dict) -> None:
        """Postings that follow from trades, sum to zero, and invoices that are these, rounded once."""
        equal = self.report.equal
        self.revision += 1
        equal("settlement", event["revision"], self.revision)
        self.postings = [(*account(p["account"]), p["trade"], p["kind"], p["amount"]) for p in event["postings"]]
        found: Counter = Counter()
        for kind, organisation, trade, what, amount in self.postings:
            found[kind, organisation, trade, what] += amount
        expected = self.expected_postings(found)
        for key in sorted({*found, *expected}):
            equal("postings", (key, found[key]), (key, expected[key]))
        equal("money sums to zero", sum(found.values()), 0)
        for invoice in event["invoices"]:
            self.balances[account(invoice["account"])] += invoice["minor"]
        exact: Counter = Counter()
        for (kind, organisation, _, _), amount in found.items():
            exact[kind, organisation] += amount
        rounded = {who: amount // MINOR for who, amount in exact.items()}
        by_rest = sorted(exact, key=lambda who: (-(exact[who] % MINOR), who))
        for who in by_rest[: -sum(rounded.values())]:
            rounded[who] += 1
        for who in sorted({*rounded, *self.balances}):
            equal("invoices", (who, self.balances[who]), (who, rounded.get(who, 0)))
        equal("money sums to zero", sum(self.balances.values()), 0)

    def expected_postings(self, found: Counter) -> Counter:
        """What each trade makes buyer, seller and operator pay; where delivery fell short, a share is withheld."""
        expected: Counter = Counter()
        operators = sorted(o for o, role in self.organisations.items() if role == "MARKET_OPERATOR")
        fees = ("organisation", operators[0]) if operators else ("fees", "")
        fee = self.rules["fee_minor_per_mwh"]
        for name, trade in self.trades.items():
            leg, amount = trade["leg"], self.amount(trade)
            buyer, seller = self.party(trade, "buyer"), self.party(trade, "seller")
            earned = amount
            if leg["sell"] and amount > 0 and self.deliveries:
                earned = self.earned(trade)
            if earned is None:
                earned = found[(*seller, name, "sale")]
                self.report.expect("postings", 0 <= earned <= amount, f"{name}: {earned} earned of {amount}")
            expected[(*buyer, name, "purchase")] -= amount
            expected[(*seller, name, "sale")] += earned
            if amount != earned:
                owner = self.points.get(point_of(leg), {}).get("dso")
                withheld = ("organisation", owner) if owner else ("withheld", "")
                expected[(*withheld, name, "withheld")] += amount - earned
            for who, side in ((buyer, "buy"), (seller, "sell")):
                length = leg["span"]["end"] - leg["span"]["first"]
                charge = fee * leg[f"quantity_{side}_w"] * self.minutes * length
                if charge:
                    expected[(*who, name, "fee")] -= charge
                    expected[(*fees, name, "fee")] += charge
        return expected

    def earned(self, trade: dict) -> int | None:
        """What the seller's delivery earns; None where the clearing took back, which this does not follow."""
        leg, order = trade["leg"], self.orders[trade["leg"]["sell"]]
        if order.side != "SELL" or any(
            t["phase"] == "clearing" and t["leg"]["buy"] == order.name for t in self.trades.values()
        ):
            return None
        shares, total = self.shares(order.unit, leg["quantity_sell_w"]), 0
        for mtu in range(leg["span"]["first"], leg["span"]["end"]):
            payable = 0
            for name, share in shares.items():
                rows = self.deliveries.get(name, {}).get("deliveries", ())
                payable += share * next(
                    (d["payable_ppm"][mtu] for d in rows if d["regulation"] == order.regulation), PPM
                )
            ppm = payable // max(1, sum(shares.values()))
            total += self.amount(trade, 1) * ppm // PPM
        return total

    def amount(self, trade: dict, mtus: int = 0) -> int:
        """What a trade costs, as exact money: the price by the quantity of the side it is per."""
        leg = trade["leg"]
        watts = leg["quantity_buy_w"] if leg["resting"] == "BUY" else leg["quantity_sell_w"]
        return leg["price_minor"] * watts * self.minutes * (mtus or leg["span"]["end"] - leg["span"]["first"])

    def party(self, trade: dict, side: str) -> tuple:
        """The account of a side: an organisation's, or the clearing's."""
        pool = not trade["leg"]["buy" if side == "buyer" else "sell"]
        return ("clearing", "") if pool else ("organisation", trade[side])


def account(stated: object) -> tuple:
    """An account as kind and organisation; older logs have only a name."""
    if isinstance(stated, dict):
        return stated["kind"], stated["organisation"]
    return ("clearing", "") if stated == "clearing" else ("organisation", stated)


class Files:
    """The other files of the folder, which must say what the log says."""

    def __init__(self, folder: Path, day: Audit, report: Report) -> None:
        self.folder, self.day, self.report = folder, day, report

    def rows(self, name: str) -> list:
        """The rows of a table with the line each begins on; none where there is no such file."""
        path = self.folder / name
        if not self.report.expect("files", path.exists(), "expected this file", name):
            return []
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            return [(reader.line_num, row) for row in reader]

    def compare(self, name: str, expected: list) -> None:
        """A table against rows of columns and values; columns that it lacks or has besides are no matter."""
        rows = self.rows(name)
        self.report.equal(name, f"{len(rows)} rows", f"{len(expected)} rows", name)
        for (line, row), want in zip(rows, expected, strict=False):
            for column, value in want.items():
                found = row.get(column)
                if found is not None and not same(found, value):
                    text = f"{column}: expected {value}, found {found}"
                    self.report.expect(name, False, text, f"{name} line {line}")
            self.report.checked[name] += 1

    def check(self, seal: dict | None, head: str) -> None:
        """Every table and the result."""
        self.compare("trades.csv", self.trades())
        refusals = ("order", "reason", "owner", "element", "from", "headroom", "granted_w", "detail")
        self.compare("refusals.csv", [dict(zip(refusals, row, strict=True)) for row in self.day.refusals])
        self.confirmations()
        self.schedules()
        self.compare("settlement.csv", self.settlement())
        self.needs()
        if (self.folder / "orders.csv").exists():
            self.orders()
        self.result(seal, head)

    def in_log_order(self) -> list:
        """Trades by match, then leg."""
        return sorted(self.day.trades.values(), key=lambda t: (t["match"], len(t["trade"]), t["trade"]))

    def trades(self) -> list:
        """What `trades.csv` must say."""
        day, found = self.day, []
        for trade in self.in_log_order():
            leg = trade["leg"]
            found.append({
                "trade": trade["trade"], "order_buy": leg["buy"], "order_sell": leg["sell"],
                "congestion_point": point_of(leg), "from": day.local(leg["span"]["first"]),
                "to": day.local(leg["span"]["end"]), "quantity_buy_w": leg["quantity_buy_w"],
                "quantity_sell_w": leg["quantity_sell_w"], "price": Decimal(leg["price_minor"]) / 100,
                "amount": money(day.amount(trade)), "phase": trade["phase"],
                "buyer": Pool(trade["buyer"]) if not leg["buy"] else trade["buyer"],
                "seller": Pool(trade["seller"]) if not leg["sell"] else trade["seller"],
            })  # fmt: skip
        return found

    def confirmations(self) -> None:
        """The messages of the log, which are one for each side of each trade; and the table."""
        day, expected = self.day, {}
        for trade in self.in_log_order():
            leg, amount = trade["leg"], day.amount(trade)
            for side, party, sign in (("buy", "buyer", -1), ("sell", "seller", 1)):
                if leg[side]:
                    expected[trade["trade"], leg[side]] = {
                        "trade": trade["trade"], "organisation": trade[party], "order": leg[side],
                        "unit": leg[f"{side}_unit"], "side": side.upper(), "quantity_w": leg[f"quantity_{side}_w"],
                        "price_minor": leg["price_minor"], "remuneration": sign * amount, "phase": trade["phase"],
                    }  # fmt: skip
        told = {(c["trade"], c["order"]): c for c in day.confirmations}
        self.report.equal("confirmations", len(day.confirmations), len(told), "events.log")
        for key in sorted({*expected, *told}):
            self.report.equal("confirmations", told.get(key), expected.get(key), f"events.log, confirmation {key}")
        rows = []
        for c in day.confirmations:
            span = day.trades.get(c["trade"], {}).get("leg", {}).get("span", {"first": 0, "end": 0})
            rows.append({
                **{k: c[k] for k in ("trade", "organisation", "order", "side", "quantity_w", "phase")},
                "resource": c["unit"], "from": day.local(span["first"]), "to": day.local(span["end"]),
                "price": Decimal(c["price_minor"]) / 100, "remuneration": money(c["remuneration"]),
            })  # fmt: skip
        self.compare("confirmations.csv", rows)

    def schedules(self) -> None:
        """Forecast, starting point and outcome of every resource, in whatever order of resources."""
        day, expected = self.day, {}
        for name in day.resources:
            plan = day.plans.get(name, [0] * day.count_mtus)
            for mtu, values in enumerate(zip(plan, day.start(name), day.schedule(name), strict=True)):
                expected[name, day.local(mtu)] = values
        for line, row in self.rows("schedules.csv"):
            before, start, after = expected.pop((row["resource"], row["from"]), (None, None, None))
            found = row["before_w"], row.get("start_w", str(start)), row["after_w"]
            self.report.equal(
                "schedules.csv", found, (str(before), str(start), str(after)), f"schedules.csv line {line}"
            )
        traded = [key for key in expected if key[0] in day.moves or key[0] in day.owed]
        self.report.expect("schedules.csv", not traded, f"expected rows for {traded[:3]}", "schedules.csv")
        for name in {*day.moves, *day.owed}:
            self.report.expect("schedules", name in day.schedules, f"{name} was not told its schedule", "events.log")

    def settlement(self) -> list:
        """Every posting, then what each account is invoiced in all."""
        day = self.day
        rows = [
            {"account_kind": kind, "organisation": Pool(name or kind) if kind != "organisation" else name,
             "trade": trade, "kind": what, "amount": money(amount), "invoiced": ""}
            for kind, name, trade, what, amount in day.postings
        ]  # fmt: skip
        for (kind, name), minor in sorted(day.balances.items()):
            who = Pool(name or kind) if kind != "organisation" else name
            rows.append({"account_kind": kind, "organisation": who, "trade": "", "kind": f"invoice {day.revision}",
                         "amount": "", "invoiced": Decimal(minor) / 100})  # fmt: skip
        return rows

    def needs(self) -> None:
        """The needs that were published."""
        expected = {
            (point, self.day.local(mtu)): need for point, row in self.day.needs.items() for mtu, need in enumerate(row)
        }
        for line, row in self.rows("needs.csv"):
            need = expected.pop((row["congestion_point"], row["from"]), None)
            self.report.equal("needs.csv", row["need_w"], str(need), f"needs.csv line {line}")
        missing = [key for key, need in expected.items() if need]
        self.report.expect("needs.csv", not missing, f"expected rows for {missing[:3]}", "needs.csv")

    def orders(self) -> None:
        """What became of every order."""
        refused = {row[0] for row in self.day.refusals}
        told = set()
        for line, row in self.rows("orders.csv"):
            where, order = f"orders.csv line {line}", self.day.orders.get(row["order"])
            told.add(row["order"])
            if order is None:
                expected = row["order"] in refused and row["status"] == "refused"
                self.report.expect("orders.csv", expected, f"{row['order']} is not in the log", where)
                continue
            part = "filled" if order.executed == order.quantity else "partly" if order.executed else "untraded"
            status = order.status if order.status in ("withdrawn", "killed") and part != "filled" else part
            self.report.equal("orders.csv", row.get("filled_w"), str(order.executed), where)
            self.report.expect("orders.csv", row["status"] in (status, part), f"expected {status}", where)
        came = {o.name for o in self.day.orders.values() if not o.residual}
        came |= {row[0] for row in self.day.refusals if row[1] not in ("grid_limit", *PUT_OFF)}
        missing = sorted(came - told)
        self.report.expect("orders.csv", not missing, f"expected rows for {missing[:3]}", "orders.csv")

    def result(self, seal: dict | None, head: str) -> None:
        """Totals."""
        day, path = self.day, self.folder / "result.json"
        if not self.report.expect("files", path.exists(), "expected this file", "result.json"):
            return
        result = json.loads(path.read_text(encoding="utf-8"))
        rent = sum(amount for kind, _, _, _, amount in day.postings if kind == "clearing")
        bought = sum(o.executed * len(o.mtus) for o in day.orders.values() if o.side == "BUY")
        refused_door = sum(1 for row in day.refusals if row[1] not in ("grid_limit", *PUT_OFF))
        refused_grid = sum(1 for row in day.refusals if row[1] == "grid_limit" and row[6] == "0")
        expected = {
            "log_head": head, "state_hash": (seal or {}).get("state_hash"), "periods": day.count_mtus,
            "currency": day.currency, "trades": len(day.trades), "settlement_sum": 0, "conduct": day.flags,
            "orders_refused": refused_door, "refused_by_grid": refused_grid,
            "volume_wh": Fraction(bought * day.minutes, 60), "clearing_balance": money(rent),
            "welfare": self.welfare(), "welfare_continuous": self.welfare("continuous"),
            "welfare_clearing": self.welfare("clearing"),
        }  # fmt: skip
        for name, value in expected.items():
            if name in result:
                text = f"{name}: expected {value}, found {result[name]}"
                self.report.expect("result.json", same(result[name], value), text, "result.json")
        for name, value in (day.kpis or {}).items():
            text = f"kpi.{name}: expected {value}, found {result['kpi'].get(name)}"
            self.report.expect("result.json", alike(result["kpi"].get(name), value), text, "result.json")

    def welfare(self, phase: str = "") -> Decimal:
        """Traded BUYs less traded SELLs at their own limit prices, what was taken back counted against them."""
        total = 0
        for trade in self.day.trades.values():
            leg = trade["leg"]
            length = (leg["span"]["end"] - leg["span"]["first"]) * self.day.minutes
            for side in ("buy", "sell") if phase in ("", trade["phase"]) else ():
                order = self.day.orders.get(leg[side])
                if order:
                    sign = 1 if side == "buy" else -1
                    total += sign * order.price * leg[f"quantity_{side}_w"] * length
        return money(total)


class Pool(str):
    """The market's own account, which tables name in several ways."""

    __slots__ = ()


def money(amount: int) -> Decimal:
    """Exact money in major units."""
    return Decimal(amount) / (MINOR * 100)


def same(found: object, value: object) -> bool:
    """A value of a file and the expected one: numbers as numbers, texts as texts."""
    if isinstance(value, Pool) or value is None:
        return found in ("", None, "clearing", value)
    if isinstance(value, str):
        return found == value
    if isinstance(value, (Decimal, Fraction, int)) and not isinstance(value, bool):
        try:
            if isinstance(found, float):
                return abs(Fraction(found) - Fraction(value)) <= Fraction(1, 10**6) + abs(Fraction(value)) / 10**12
            return Fraction(Decimal(str(found))) == Fraction(value)
        except (InvalidOperation, ValueError):
            return False
    return found == value


def alike(found: object, value: object) -> bool:
    """As `same`, for what may hold several values; the log keeps decimals as texts."""
    if isinstance(value, dict):
        return (
            isinstance(found, dict) and found.keys() == value.keys() and all(alike(found[k], value[k]) for k in value)
        )
    if isinstance(value, str) and isinstance(found, (int, float)):
        return abs(float(value) - found) <= 1e-9 * max(1.0, abs(found))
    return found == value


def audit(folder: Path, head: str = "") -> Report:
    """Everything that can be checked of an output folder."""
    report = Report()
    if not report.expect("files", (folder / "events.log").is_file(), "expected this file", f"{folder / 'events.log'}"):
        return report
    events, seal, last = read_log(folder / "events.log", report, head)
    path = folder / "result.json"
    grid = json.loads(path.read_text(encoding="utf-8")).get("verified_by") if path.exists() else "unknown"
    limits = [e["point"].get("limit_w") for _, e in events if e["type"] == "CongestionPointDefined"]
    day = Audit(report, factors_decide=grid is None and all(limit is not None for limit in limits))
    try:
        day.follow(events)
        Files(folder, day, report).check(seal, last)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError) as wrong:
        report.expect(
            "format", False, f"expected what the reference of events describes, {type(wrong).__name__}: {wrong}"
        )
    return report


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Check a market day from its output folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--head", default="", help="a hash of the log that you noted earlier")
    given = parser.parse_args()
    report = audit(given.folder, given.head)
    for kind, times in sorted(report.checked.items()):
        print(f"{times:>10,}  {kind}")
    for finding in report.findings:
        print(f"FOUND  {finding}")
    print(f"{sum(report.checked.values()):,} checks, {len(report.findings)} findings")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
