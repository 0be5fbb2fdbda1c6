"""Faults to plant in a day, each with the kind of finding that must name it.

Those of an engine leave the log's chain whole, as an engine would; those of a file leave the log alone.
"""

import json
from collections.abc import Callable
from typing import Any

from tests.stranger.planting import Event, NoPlace, Planted, granted, plain_trades, rescale, some

Plant = Callable[[Planted], None]
ENGINE: dict[str, tuple[Plant, str]] = {}
FILE: dict[str, tuple[Plant, str]] = {}


def fault(of: dict[str, tuple[Plant, str]], found_as: str) -> Callable[[Plant], Plant]:
    def register(plant: Plant) -> Plant:
        of[plant.__name__] = plant, found_as
        return plant

    return register


@fault(ENGINE, "order of arrival")
def priority_swapped(day: Planted) -> None:
    """A taker's first two counterparties change places."""
    pairs = zip(day.trades(), list(day.trades())[1:], strict=False)
    plain = [event["trade"]["match"] for event in plain_trades(day)]
    for one, two in pairs:
        a, b = one["trade"]["match"], two["trade"]["match"]
        first, second = granted(day, a)[0]["match"], granted(day, b)[0]["match"]
        if a in plain and b in plain and first["taker"] == second["taker"] and b == a + 1:
            places = [day.events.index(event) for event in (*granted(day, a), one)]
            others = [day.events.index(event) for event in (*granted(day, b), two)]
            for here, there in zip(places, others, strict=True):
                day.events[here], day.events[there] = day.events[there], day.events[here]
            for events, number in (((*granted(day, a), one), b), ((*granted(day, b), two), a)):
                _renumber(events, -number)
            for events, number in (((*granted(day, -a), two), a), ((*granted(day, -b), one), b)):
                _renumber(events, number)
            return
    raise NoPlace


def _renumber(events: tuple[Event, ...], number: int) -> None:
    proposal, verdict, trade = events
    proposal["match"]["match"] = verdict["match"] = trade["trade"]["match"] = number
    trade["trade"]["trade"] = f"T{abs(number)}"


@fault(ENGINE, "order of arrival")
def match_forgotten(day: Planted) -> None:
    """A pair that crosses and sleeps nowhere is not proposed."""
    trade = list(plain_trades(day))[-1:]
    if not trade:
        raise NoPlace
    for event in (*granted(day, trade[0]["trade"]["match"]), trade[0]):
        day.events.remove(event)


@fault(ENGINE, "grid by impact factors")
def stale_headroom(day: Planted) -> None:
    """What would have fitted before the last trades is granted now."""
    reserved = {event["match"]["match"] for _, event in day.of("MatchReserved")}
    for event in day.trades():
        proposal, verdict = granted(day, event["trade"]["match"])
        legs = proposal["match"]["legs"]
        if (
            len(legs) == 1
            and 0 < verdict["quantity_w"] < legs[0]["quantity_buy_w"]
            and verdict["match"] not in reserved
        ):
            place = day.events.index(event)
            day.events[place + 1 :] = [e for e in day.events[place + 1 :] if e["type"] != "MeetingBlocked"]
            verdict["verdicts"] = [
                {**v, "decision": "GRANTED", "element": "", "mtu": None} for v in verdict["verdicts"]
            ]
            rescale(day, event, legs[0]["quantity_buy_w"], legs[0]["quantity_sell_w"])
            return
    raise NoPlace


@fault(ENGINE, "quantities")
def rounding_lost(day: Planted) -> None:
    """The seller's move is rounded down where it should be rounded up."""
    tick = day.rule("quantity_tick_w")
    for event in plain_trades(day):
        leg = event["trade"]["leg"]
        if leg["quantity_buy_w"] * leg["ppm_buy"] % (leg["ppm_sell"] * tick) and leg["quantity_sell_w"] > tick:
            return rescale(day, event, leg["quantity_buy_w"], leg["quantity_sell_w"] - tick)
    raise NoPlace


@fault(ENGINE, "quantities")
def seller_off_tick(day: Planted) -> None:
    if day.rule("quantity_tick_w") == 1:
        raise NoPlace
    event = some(plain_trades(day))
    leg = event["trade"]["leg"]
    rescale(day, event, leg["quantity_buy_w"], leg["quantity_sell_w"] + 1)


@fault(ENGINE, "exchange ratio")
def wrong_exchange_ratio(day: Planted) -> None:
    """The seller exchanges one to one, whatever its impact."""
    tick = day.rule("quantity_tick_w")
    for event in plain_trades(day):
        leg = event["trade"]["leg"]
        if leg["ppm_buy"] != leg["ppm_sell"] and leg["quantity_buy_w"] % tick == 0:
            for each in (leg, granted(day, event["trade"]["match"])[0]["match"]["legs"][0]):
                each["ppm_buy"] = each["ppm_sell"]
            return rescale(day, event, leg["quantity_buy_w"], leg["quantity_buy_w"])
    raise NoPlace


@fault(ENGINE, "price")
def incoming_price_taken(day: Planted) -> None:
    """A trade at the incoming order's price."""
    for event in plain_trades(day):
        leg, match = event["trade"]["leg"], granted(day, event["trade"]["match"])[0]["match"]
        price = day.order(match["taker"])["price_minor"]
        if price != leg["price_minor"]:
            leg["price_minor"] = match["legs"][0]["price_minor"] = price
            return
    raise NoPlace


@fault(ENGINE, "crossing")
def past_a_limit_price(day: Planted) -> None:
    """A buyer's limit is below what it paid."""
    event = some(plain_trades(day))
    day.order(event["trade"]["leg"]["buy"])["price_minor"] -= 10**6


@fault(ENGINE, "self-trade")
def self_trade(day: Planted) -> None:
    """The buyer owns the seller."""
    event = some(e for e in plain_trades(day) if day.order(e["trade"]["leg"]["sell"])["unit"] in e["moves_w"])
    unit, buyer = event["trade"]["leg"]["sell_unit"], event["trade"]["buyer"]
    day.resource(unit)["organisation"] = buyer
    for _, placed in day.of("OrderPlaced"):
        if placed["order"]["unit"] == unit:
            placed["order"]["organisation"] = buyer
    for _, each in day.of("TradeConcluded"):
        for side in ("buy", "sell"):
            if each["trade"]["leg"][f"{side}_unit"] == unit:
                each["trade"]["buyer" if side == "buy" else "seller"] = buyer


@fault(ENGINE, "ranges")
def range_exceeded(day: Planted) -> None:
    """A resource moves further than it is qualified for."""
    name, change = next((item for e in plain_trades(day) for item in e["moves_w"].items()), ("", 0))
    if not change:
        raise NoPlace
    span = some(e for e in plain_trades(day) if name in e["moves_w"])["trade"]["leg"]["span"]
    schedule = day.first("ActivationIssued", lambda e: e["resource"] == name)[1]
    watts = schedule["schedule_w"][span["first"]]
    if watts == schedule["plan_w"][span["first"]]:
        raise NoPlace
    up = watts > schedule["plan_w"][span["first"]]
    day.resource(name)["p_max_w" if up else "p_min_w"] = watts - (1 if up else -1)


@fault(ENGINE, "energy")
def energy_passed_by_two_trades(day: Planted) -> None:
    """A storage holds what each of its trades needs alone, but not what they need together."""
    sold: dict[str, list[int]] = {}
    for event in day.trades():
        leg = event["trade"]["leg"]
        minutes = 60 * (leg["span"]["end"] - leg["span"]["first"])
        for name, change in event["moves_w"].items():
            if day.resource(name)["energy_wm"] is not None:
                sold.setdefault(name, []).append(abs(change) * minutes)
    for name, energies in sold.items():
        if len(energies) > 1:
            day.resource(name).update(energy_wm=max(energies), energy_start_wm=None)
            return
    raise NoPlace


@fault(ENGINE, "minimum acceptance")
def minimum_broken(day: Planted) -> None:
    for name, executed in _executed(day).items():
        order = day.order(name)
        if 0 < executed < order["quantity_w"]:
            order["min_quantity_w"] = executed + 1
            return
    raise NoPlace


@fault(ENGINE, "time in force")
def fok_partly_filled(day: Planted) -> None:
    killed = {event["order"] for _, event in day.of("OrderKilled")}
    for name, executed in _executed(day).items():
        order = day.order(name)
        if 0 < executed < order["quantity_w"] - 1000 and name in killed and order["time_in_force"] == "FAK":
            order["time_in_force"] = "FOK"
            return
    raise NoPlace


@fault(ENGINE, "time in force")
def fak_rests(day: Planted) -> None:
    at, _ = day.first("OrderKilled")
    del day.events[at]


def _executed(day: Planted) -> dict[str, int]:
    filled: dict[str, int] = {}
    for _, event in day.of("TradeConcluded"):
        for name, watts in event["fills_w"].items():
            filled[name] = filled.get(name, 0) + watts
    return {name: watts for name, watts in filled.items() if not name.startswith("purchase:")}


@fault(ENGINE, "door")
def admitted_after_the_gate(day: Planted) -> None:
    """The last order that traded nothing comes in once the gate has closed."""
    filled = _executed(day)
    gate, _ = day.first("GateClosed")
    for at, event in reversed(list(day.of("OrderPlaced"))):
        quiet = day.events[at + 1]["type"] == "SweepEnded"
        if at < gate and quiet and event["order"]["order"] not in filled:
            moved = day.events[at : at + 2]
            day.events[gate + 1 : gate + 1] = moved
            del day.events[at : at + 2]
            return
    raise NoPlace


@fault(ENGINE, "door")
def unqualified(day: Planted) -> None:
    name = some(plain_trades(day))["trade"]["leg"]["sell_unit"]
    at, _ = day.first("GridChecked", lambda e: e["resource"] == name)
    day.events[at]["check"]["passed"] = False


@fault(ENGINE, "door")
def more_than_its_range(day: Planted) -> None:
    """An order for more than is left of its resource's range."""
    event = some(e for _, e in day.of("OrderPlaced") if not e["order"]["residual"])
    event["order"].update(quantity_w=10**9, remaining_w=10**9)


@fault(ENGINE, "order of arrival")
def numbers_swapped(day: Planted) -> None:
    placed = [event["order"] for _, event in day.of("OrderPlaced")]
    placed[0]["number"], placed[1]["number"] = placed[1]["number"], placed[0]["number"]


@fault(ENGINE, "sleep")
def sleep_without_refusal(day: Planted) -> None:
    """A pair is put to sleep though nobody refused it."""
    one, two = (event["order"] for _, event in list(day.of("OrderPlaced"))[:2])
    block = {"owner": "Grid", "element": "line 0", "mtu": 10, "orders": [one["order"], two["order"]]}
    at = day.first("SweepEnded")[0]
    day.events.insert(at, {"type": "MeetingBlocked", "meeting": '["x","y","DOWN",10,11]', "block": block})


@fault(ENGINE, "waking")
def freed_and_not_woken(day: Planted) -> None:
    """Headroom is freed late in the day and wakes nobody; the owners' last chance is not taken."""
    gate, _ = day.first("GateClosed")
    refused = {event["meeting"] for _, event in day.of("MeetingBlocked") if event["block"]["mtu"] is not None}
    for at, event in reversed(list(day.of("MeetingsWoken"))):
        ends = (n for n in range(at, gate) if day.events[n]["type"] in ("OrderPlaced", "CommandRefused"))
        end = next(ends, gate)
        gone = day.events[at:end]
        traded = {_meeting(day, each) for each in gone if each["type"] == "TradeConcluded"}
        if traded & refused & {*event["meetings"]} and not any(each["type"] == "MatchReserved" for each in gone):
            del day.events[at:end]
            return
    raise NoPlace


def _meeting(day: Planted, trade: Event) -> str:
    """The name under which the places of a trade meet."""
    leg = trade["trade"]["leg"]
    buy, sell = day.order(leg["buy"]), day.order(leg["sell"])
    names = [buy["place"], sell["place"], sell["regulation"], leg["span"]["first"], leg["span"]["end"]]
    return json.dumps(names, separators=(",", ":"), ensure_ascii=False)


@fault(ENGINE, "clearing account")
def clearing_account_short(day: Planted) -> None:
    """A seller is paid more than the buyers bring."""
    event = some(e for e in day.trades("clearing") if e["trade"]["leg"]["sell"])
    event["trade"]["leg"]["price_minor"] += 10**7


@fault(ENGINE, "limit prices")
def cleared_past_its_limit(day: Planted) -> None:
    event = some(e for e in day.trades("clearing") if e["trade"]["leg"]["buy"])
    order = day.order(event["trade"]["leg"]["buy"])
    event["trade"]["leg"]["price_minor"] = order["price_minor"] + 1


@fault(ENGINE, "no point worse")
def cleared_without_relief(day: Planted) -> None:
    """The sellers of the clearing move next to nothing for its buyers."""
    if day.rule("dso_purchase") == "automatic" or not any(e["trade"]["leg"]["buy"] for e in day.trades("clearing")):
        raise NoPlace
    tick = day.rule("quantity_tick_w")
    for event in day.trades("clearing"):
        leg = event["trade"]["leg"]
        if leg["sell"] and event["fills_w"].get(leg["sell"], 0) > 0:
            leg["quantity_sell_w"], event["fills_w"] = tick, {leg["sell"]: tick}
            name = max(event["moves_w"], key=lambda each: abs(event["moves_w"][each]))
            event["moves_w"] = {name: tick if event["moves_w"][name] > 0 else -tick}


@fault(ENGINE, "moves")
def resource_moves_too_little(day: Planted) -> None:
    event = some(plain_trades(day))
    name = event["trade"]["leg"]["sell_unit"]
    if name not in event["moves_w"]:
        raise NoPlace
    event["moves_w"][name] //= 2


@fault(ENGINE, "postings")
def fee_forgotten(day: Planted) -> None:
    if not day.rule("fee_minor_per_mwh"):
        raise NoPlace
    _, settled = day.first("SettlementIssued", lambda e: e["postings"])
    first = next(p["trade"] for p in settled["postings"] if p["kind"] == "fee")
    settled["postings"] = [p for p in settled["postings"] if not (p["trade"] == first and p["kind"] == "fee")]


@fault(ENGINE, "money sums to zero")
def money_from_nowhere(day: Planted) -> None:
    _, settled = day.first("SettlementIssued", lambda e: e["postings"])
    settled["postings"][0]["amount"] += 1


@fault(ENGINE, "invoices")
def invoice_off_by_one(day: Planted) -> None:
    _, settled = day.first("SettlementIssued", lambda e: len(e["invoices"]) > 1)
    settled["invoices"][0]["minor"] += 1
    settled["invoices"][1]["minor"] -= 1


@fault(ENGINE, "confirmations")
def confirmation_missing(day: Planted) -> None:
    """Neither in the log nor in the table."""
    _, told = day.first("TradesConfirmed")
    gone = told["confirmations"].pop()

    def without(rows: list[dict[str, str]]) -> None:
        rows[:] = [row for row in rows if (row["trade"], row["order"]) != (gone["trade"], gone["order"])]

    day.table("confirmations.csv", without)


@fault(ENGINE, "notices to BRPs")
def brp_told_less(day: Planted) -> None:
    _, told = day.first("BrpNotified")
    told["moves_w"] = [watts + 1 for watts in told["moves_w"]]


@fault(ENGINE, "needs")
def need_made_up(day: Planted) -> None:
    _, need = day.first("NeedPublished", lambda e: any(e["need_w"]))
    need["need_w"] = [watts + 1 for watts in need["need_w"]]


@fault(ENGINE, "schedules")
def schedule_of_another_day(day: Planted) -> None:
    _, issued = day.first("ActivationIssued")
    issued["schedule_w"] = [watts + 1 for watts in issued["schedule_w"]]


@fault(ENGINE, "obligations")
def obligation_past_its_range(day: Planted) -> None:
    _, owed = day.first("CurtailmentAllocated")
    name = next(iter(owed["moves_w"]))
    owed["moves_w"][name] = [-(10**9) for _ in owed["moves_w"][name]]


def _set(table: str, column: str, value: Callable[[str], str]) -> Plant:
    def change(rows: list[dict[str, str]]) -> None:
        row: dict[str, Any] = next((r for r in rows if r[column]), rows[0])
        row[column] = value(row[column])

    return lambda day: day.table(table, change)


def _gone(table: str) -> Plant:
    def drop(rows: list[dict[str, str]]) -> None:
        rows.pop()

    return lambda day: day.table(table, drop)


FILE |= {
    "amount changed in trades.csv": (_set("trades.csv", "amount", lambda v: v + "1"), "trades.csv"),
    "trade missing in trades.csv": (_gone("trades.csv"), "trades.csv"),
    "buyer renamed in trades.csv": (_set("trades.csv", "buyer", lambda _: "nobody"), "trades.csv"),
    "confirmation missing in confirmations.csv": (_gone("confirmations.csv"), "confirmations.csv"),
    "remuneration changed": (_set("confirmations.csv", "remuneration", lambda v: v + "1"), "confirmations.csv"),
    "schedule row wrong": (_set("schedules.csv", "after_w", lambda v: str(int(v) + 1)), "schedules.csv"),
    "posting changed in settlement.csv": (_set("settlement.csv", "amount", lambda v: v + "1"), "settlement.csv"),
    "invoice changed in settlement.csv": (_set("settlement.csv", "invoiced", lambda v: v + "1"), "settlement.csv"),
    "refusal not told": (_gone("refusals.csv"), "refusals.csv"),
    "order missing in orders.csv": (_gone("orders.csv"), "orders.csv"),
    "fill changed in orders.csv": (_set("orders.csv", "filled_w", lambda v: str(int(v) + 1)), "orders.csv"),
    "need changed in needs.csv": (_set("needs.csv", "need_w", lambda v: str(int(v) + 1)), "needs.csv"),
    "trades miscounted in result.json": (lambda day: day.result(trades=10**6), "result.json"),
    "welfare too high in result.json": (lambda day: day.result(welfare=10**6), "result.json"),
    "another state hash in result.json": (lambda day: day.result(state_hash="0" * 64), "result.json"),
}
