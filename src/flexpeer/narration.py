"""Grids, needs, clearings and programs as a person would tell them, for a terminal; the day is in `day_story`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from flexpeer.errors import printable

Point = TypeVar("Point")
ROWS = 8
POINTS = 24
"""Congestion points told one by one: where there are more, those that need most."""


class Screen(Console):
    """Names are text: no markup, no emoji codes, no control characters."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Raise what is being handled: its handler tells it."""
        raise  # noqa: PLE0704 - called while it is handled

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Every segment as it is, or printable."""
        for segment in super().render(renderable, options):
            plain = segment.control or segment.text.isprintable()
            yield segment if plain else segment._replace(text=printable(segment.text, keep="\n"))


def warned(warnings: Sequence[str]) -> list[Text]:
    """What may be wrong with the input."""
    return [Text(f"Warning: {warning}.", style="bold yellow") for warning in warnings]


def titled(title: str, *columns: str) -> Table:
    """Columns below a title, the first to the left, numbers to the right."""
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def most_needed(points: Iterable[Point], need: Callable[[Point], float]) -> list[Point]:
    """As they come, or the first by their need where they are many."""
    listed = list(points)
    return listed if len(listed) <= POINTS else sorted(listed, key=need, reverse=True)[:POINTS]


def and_more(rows: Table, count: int, shown: int = ROWS) -> None:
    """Say how many rows are left out."""
    if count > shown:
        rows.add_row(f"... and {count - shown} more", *("" for _ in rows.columns[1:]), style="dim")


def variants(rows: Sequence[Mapping[str, Any]], rules: Sequence[str], out: Path | None) -> RenderableType:
    """Each variant's rules and what they led to, or why to nothing."""
    currency = next((row["currency"] for row in rows if not row["error"]), "")
    told = ("trades", "MWh", f"welfare, {currency}", "% of optimum", "congestions after")
    table = titled("Variants", "variant", *rules, *told)
    failed = [row for row in rows if row["error"]]
    for row in rows:
        found = ("failed", *("" for _ in told[1:])) if row["error"] else _variant(row)
        table.add_row(str(row["variant"]), *(str(row[rule]) for rule in rules), *found)
    why = [Text(f"Variant {row['variant']}: {row['error']}", style="bold red") for row in failed]
    return Group(table, *why, *([] if out is None else [Text(f"\nAll figures are in {out}.")]))


def _variant(row: Mapping[str, Any]) -> tuple[str, ...]:
    share = "" if row["efficiency"] is None else f"{100 * row['efficiency']:.1f}"
    volume, welfare = f"{row['volume_wh'] / 1e6:.3f}", f"{row['welfare']:,.2f}"
    return str(row["trades"]), volume, welfare, share, str(row["congestions_after"])


def needs_summary(needs: Mapping[str, Any]) -> RenderableType:
    """Where relief is needed, what would move at least (or cheapest) to give it, and whether that is enough."""
    hours = needs["mtu_minutes"] / 60
    doubts = warned(needs["warnings"])
    if not needs["needs"] and not needs["left"]:
        nothing = "No limit is passed, but the input is implausible: nothing can be concluded from that."
        plain = (
            "No limit is passed: nothing has to be relieved. [[outage]] in scenario.toml makes a day with maintenance."
        )
        return Group(*doubts, Text(nothing if doubts else plain))
    table = titled("Need (grid side)", "congestion point", "owner", "hours", "worst, MW", "need, MWh")
    points = _grouped(needs["needs"], "congestion_point", "direction", "dso")
    for key, rows in most_needed(points.items(), lambda point: sum(row["need_w"] for row in point[1])):
        watts = [row["need_w"] for row in rows]
        table.add_row(f"{key[0]} ({key[1]})", key[2], f"{len(rows) * hours:g}", *_peak_and_energy(watts, hours))
    and_more(table, len(points), POINTS)
    priced, resources = needs["cost"] is not None, _grouped(needs["moves"], "resource")
    ranked = sorted(resources.items(), key=lambda r: -sum(abs(m["change_w"]) for m in r[1]))
    more = f", {len(ranked) - ROWS} more resources" if len(ranked) > ROWS else ""
    cost = f" for {needs['cost']:,.2f} {needs['currency']}" if priced else ""
    rounds = "1 round" if needs["rounds"] == 1 else f"{needs['rounds']} rounds"
    told = f"In all {needs['moved_wh'] / 1e6:.3f} MWh{cost}{more}; {rounds} of AC power flow."
    title = "Least cost" if priced else "Least power"
    by_resource = _moves_table(f"{title} that relieves (resource side)", "resource", dict(ranked[:ROWS]), needs)
    by_hour = [_moves_table("The same by hour", "from", _grouped(needs["moves"], "from"), needs)] if priced else []
    return Group(*doubts, table, by_resource, *by_hour, Text(told), *_still_past(needs))


def _moves_table(
    title: str, key: str, groups: Mapping[tuple[str, ...], Sequence[Mapping[str, Any]]], needs: Mapping[str, Any]
) -> Table:
    """Moves of each group up and down, the largest, and what they cost where anybody states a cost."""
    hours = needs["mtu_minutes"] / 60
    money = [] if needs["cost"] is None else [f"cost, {needs['currency']}"]
    table = titled(title, key, "up, MWh", "down, MWh", "most, MW", *money)
    for (name,), rows in groups.items() if key == "resource" else sorted(groups.items()):
        watts = [row["change_w"] for row in rows]
        up, down = (sum(max(sign * w, 0) for w in watts) * hours / 1e6 for sign in (1, -1))
        stated = [row["cost"] for row in rows if row["cost"] is not None]
        cost = [f"{sum(stated):,.2f}" if stated else "not stated"] if money else []
        table.add_row(name, f"{up:.3f}", f"{down:.3f}", f"{max(map(abs, watts)) / 1e6:.3f}", *cost)
    return table


def _still_past(needs: Mapping[str, Any]) -> list[Text]:
    if not needs["left"]:
        return [Text("With these moves every limit is kept.", style="green")]
    told = []
    out = [row for row in needs["left"] if row["out_of_reach"]]
    unknown = [row for row in needs["left"] if not row["out_of_reach"]]
    if out:
        told.append(Text(f"Not enough: past its limit whatever moves, {_where(out)}.", style="bold red"))
    if unknown:
        tried = f"Not found within {needs['most_rounds']} rounds: moves that also bring back {_where(unknown)}."
        told.append(Text(tried, style="bold red"))
    share = needs["overload_percent"]
    return [*told, Text(f"At most {share:.2f} % past a limit with these moves.")] if share is not None else told


def _where(rows: Sequence[Mapping[str, Any]]) -> str:
    """Elements and hours, the first few."""
    places = [f"{row['element']} at {row['from'][11:16]}" for row in rows]
    return ", ".join(places[:ROWS]) + (f" and {len(places) - ROWS} more" if len(places) > ROWS else "")


def _grouped(rows: Sequence[Mapping[str, Any]], *keys: str) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[key]) for key in keys), []).append(row)
    return groups


def _peak_and_energy(watts: Sequence[int], hours: float) -> tuple[str, str]:
    return f"{max(watts) / 1e6:.3f}", mwh_cell(sum(watts) * hours / 1e6)


def mwh_cell(mwh: float) -> str:
    """An energy in a column of MWh: what is there is never shown as none."""
    return "<0.001" if 0 < mwh < 0.001 else f"{mwh:.3f}"


def grid_summary(summary: Mapping[str, Any]) -> str:
    """What was read, what is odd, and the power flow."""
    lines = [f"{summary['buses']} buses, {summary['branches']} branches"]
    lines += [f"odd: {finding}" for finding in summary["findings"]]
    if summary["converged"]:
        lines.append(f"lowest voltage   {summary['min_voltage_pu']:.5f} pu at {summary['min_voltage_bus']}")
        loading, element = summary["max_loading_percent"], summary["max_loading_element"]
        lines.append(
            f"highest loading  {loading:.2f} % at {element}" if loading is not None else "nothing has a rating"
        )
        lines.append(f"losses           {summary['losses_w'] / 1e3:,.2f} kW")
    else:
        lines.append("the power flow does not converge")
    return "\n".join(lines)


def clearing_story(facts: Mapping[str, Any], out: Path | None) -> str:
    """What trade gained, how far that can be from the optimum, and what the grid had to relieve."""
    gained = facts["no_trade_objective"] - facts["objective"]
    relative = facts["gap_relative_to_gain"]
    distance = f", {relative:.1e} of the gain" if relative is not None else ""
    lines = [
        f"{facts['peers']:,} peers at {facts['buses']:,} buses, {facts['periods']} periods",
        f"cost             {facts['objective']:,.2f}, {gained:,.2f} less than without trade",
        f"bound            {facts['dual_bound']:,.2f}: the optimum is at most {facts['gap']:.3g} better{distance}",
        f"relief           {facts['relief_kw']:,.3f} kW beyond limits, at the DSO's price",
        f"congestion rent  {facts['congestion_rent']:,.2f}, what limits earn",
        f"balances, bounds kept within {facts['max_violation_kw']:.1e} kW",
        f"{facts['engine']}, {facts['status']}: {facts.get('steps', facts.get('rounds'))} "
        f"{'steps' if 'steps' in facts else 'rounds'}, {facts['seconds']:.3f} s",
    ]
    if "verified" in facts:
        lines += _verdict(facts)
    if out is not None:
        lines.append(f"allocation and prices in {out}")
    return "\n".join(lines)


def publication_story(facts: Mapping[str, Any]) -> str:
    """Whether what was opened proves what was published."""
    return "\n".join(
        [
            f"{facts['parties']:,} parties' terms",
            f"cost             {facts['objective']:,.2f}, the optimum is at most {facts['gap']:.3g} better",
            *_verdict(facts),
        ]
    )


def _verdict(facts: Mapping[str, Any]) -> list[str]:
    holds = "the certificate holds" if facts["verified"] else "the certificate does NOT hold:"
    return [holds, *(f"  {damage}" for damage in facts["damages"][:ROWS])]


def split_story(facts: Mapping[str, Any], out: Path) -> str:
    """Who got what."""
    lines = [f"{dso:16} {peers:,} peers" for dso, peers in facts["dsos"].items()]
    lines += [f"{agent:16} agent of its own, below {dso}" for agent, dso in facts["agents"].items()]
    return "\n".join([*lines, f"{facts['pieces']} pieces, {facts['periods']} periods; files and keys in {out}"])


def day_split_story(facts: Mapping[str, Any], out: Path) -> str:
    """Who got what of a market day."""
    lines = [
        f"{name:24} {d['buses']:,} buses, {d['borders']} borders, {d['resources']:,} resources, {d['orders']:,} orders"
        for name, d in facts["dsos"].items()
    ]
    return "\n".join([*lines, f"{facts['periods']} periods; folders and keys in {out}"])


def day_node_story(facts: Mapping[str, Any]) -> str:
    """How a market day ended, for a DSO or for the market operator."""
    dropped = [f"dropped          {count} letters, {why}" for why, count in facts["dropped"].items()]
    if "dso" in facts:
        doubt = [f"in doubt         {', '.join(map(str, facts['in_doubt']))}"] * bool(facts["in_doubt"])
        head = f"{facts['dso']}: {facts['status']}, {facts['committed']} matches committed of {facts['orders']} orders"
        return "\n".join([head, *doubt, *dropped])
    lines = [f"{facts['trades']:,} trades of {facts['orders']:,} orders", *facts["notes"]]
    for name, dso in facts["dsos"].items():
        silent = f", {dso['silences']} times silent" if dso["silences"] else ""
        silent += "" if dso["told"] else ", not told the end"
        silent += f", unconfirmed {dso['unconfirmed']}" if dso["unconfirmed"] else ""
        lines.append(f"{name:24} sent {dso['sent'] / 1e3:,.1f} kB, received {dso['received'] / 1e3:,.1f} kB{silent}")
    return "\n".join([*lines, *dropped])


def node_story(facts: Mapping[str, Any]) -> str:
    """How a run ended, for a DSO or for the market operator."""
    dropped = [f"dropped          {count} letters, {why}" for why, count in facts["dropped"].items()]
    if "dso" in facts:
        stands = f"{facts['moved_kwh']:,.3f} kWh moved" if facts["accepted"] else "nothing is traded"
        agents = [f"{agent:16} {how}" for agent, how in facts.get("agents", {}).items()]
        return "\n".join([f"{facts.get('peer', facts['dso'])}: {facts['status']}, {stands}", *agents, *dropped])
    lines = [facts["status"] if facts["accepted"] else f"nothing is traded: {facts['status']}"]
    if facts["accepted"]:
        gained = facts["no_trade_objective"] - facts["objective"]
        lines += [
            f"cost             {facts['objective']:,.2f}, {gained:,.2f} less than without trade",
            f"bound            the optimum is at most {facts['gap']:.3g} better",
            f"{facts['steps']} steps, {facts['seconds']:.3f} s",
        ]
    for word in ("silent", "unconfirmed"):
        lines += [f"{word:16} {', '.join(facts[word])}"] * bool(facts[word])
    lines += [
        f"{dso:16} sent {count['sent'] / 1e3:,.1f} kB, received {count['received'] / 1e3:,.1f} kB"
        for dso, count in facts["bytes"].items()
    ]
    return "\n".join([*lines, *dropped])


BENCH_COLUMNS = {
    "case": "case",
    "engine": "engine",
    "version": "version",
    "median_s": "median, s",
    "p99_s": "p99, s",
    "per_second": "per second",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "ratio_to_ours": "time / ours",
    "growth": "growth",
    "steps": "steps",
    "gap_relative_to_gain": "gap / gain",
    "status": "status",
    "checks": "checks",
    "grants": "grants",
    "false_grants": "false grants",
    "refusals": "refusals",
    "false_refusals": "false refusals",
    "identical_trades": "trades identical",
    "max_voltage_difference_pu": "voltage difference, pu",
    "lower_bound": "lower bound",
    "peak_memory_bytes": "peak, MB",
}


def bench_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A benchmark as a Markdown table of the columns any row has."""
    columns = [key for key in BENCH_COLUMNS if any(row.get(key) is not None for row in rows)]
    lines = [" | ".join(BENCH_COLUMNS[key] for key in columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(_bench_cell(key, row.get(key)) for key in columns) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _bench_cell(key: str, value: Any) -> str:
    if value is None:
        return ""
    if key == "peak_memory_bytes":
        return f"{value // 2**20:,}"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else f"{value}"


def begun(facts: Mapping[str, Any]) -> str:
    """What a first scenario has, and what comes next."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in facts["kinds"].items()) or "nothing that can move"
    powers = "the file's own profiles" if facts["profiles"] else "the file's powers all day, to be replaced"
    lines = [
        f"{facts['folder']}: {facts['buses']} buses, {facts['organisations']} organisations, "
        f"{facts['resources']} resources ({kinds})",
        f"forecast.csv has {powers}; scenario.toml says what else to look at.",
        *(f"odd: {finding}" for finding in facts["findings"][:ROWS]),
        f"Next: flexpeer grid needs {facts['folder']}",
    ]
    return "\n".join(lines)


def store_counts(counts: Mapping[str, int]) -> str:
    """How much a backup holds."""
    words = {"days": "logs", "records": "records", "heads": "signed heads", "documents": "documents"}
    return ", ".join(f"{word} {counts[key]:,}" for key, word in words.items())


def logins(credentials: Mapping[str, Any], file: str) -> str:
    """Three who may come in to a demo, one of each kind, and where the others are."""
    known = credentials["organisations"]
    kinds = (("DSO", ("REGIONAL_DSO", "LOCAL_DSO")), ("FSP", ("FSP",)), ("market operator", ("MARKET_OPERATOR",)))
    found = [(kind, next((name for name, at in known.items() if at["role"] in roles), None)) for kind, roles in kinds]
    rows = [(kind, known[name]["user"], known[name]["password"]) for kind, name in found if name is not None]
    table = [("log in as", "user", "password"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([*lines, f"{len(known) - len(rows)} more organisations are in {file}"])


def played(result: Mapping[str, Any]) -> str:
    """A day played over the API, in a few lines."""
    return "\n".join(
        (
            f"{result['name']}, {result['delivery_day']}: {result['orders']} orders, {result['trades']} trades",
            f"refused          {result['orders_refused']} orders, {result['refused_by_grid']} matches by the grid",
            f"congestions      {result['congestions_before']} before, {result['congestions_after']} after",
            f"welfare          {result['welfare']:,.2f} {result['currency']}",
            f"state hash       {result['state_hash']}",
        )
    )
