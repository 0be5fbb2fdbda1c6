"""The `scenario.toml` of a first scenario: every choice with what it is about, ready to be edited."""

import json

from flexpeer.app.scenario import Scenario

TEMPLATE = """\
# A first scenario, made from a grid file. Next: flexpeer grid needs, then flexpeer run, each with this folder.
# resources.csv   what can move. Generation is listed as if it had a conditional agreement (conditional = true), storage
#                 both ways, large loads as if they could stop. Correct what is not so; add costs per MWh where known.
# organisations.csv  who is there. Nobody trades with itself: give resources their own owners (column fsp).
# forecast.csv    {forecast}
# orders.csv      nobody's yet. A row such as
#                 O1,1,{resource},SELL,{start},{end},{quantity},250
#                 (order, arrival, resource, side, from, to, quantity_w, price)
# More tables: docs/reference/scenario.md. Spreadsheets are read too: docs/how-to/use-spreadsheets.md.

name = {name}
delivery_day = {day}
timezone = {timezone}
mtu_minutes = {minutes}
currency = "SEK"

[grid]
source = {source}

[rulebook]
priority = "time"             # first come, first served; or "price_time"
exchange = "neutral"          # what a buyer loads a point by, a seller relieves; or "balanced", watt for watt
residual = "distributed"      # what is left at gate closure is cleared; or "none"
dso_purchase = "automatic"    # DSOs pay for relief up to the dearest alternative below; or "orders"
allocation = "pro_rata"       # who is curtailed by rule: "pro_rata", "lifo", "equal" or "least"

[alternative]                 # what relief costs a DSO without a market, SEK per MWh
temporary_subscription = 260  # 240 to 280 in Sweden, 2019-22
overdraw = 2800               # about that in Sweden, 2019-22

# Congestion often comes with maintenance. To try it, take an element out, or limit it:
# [[outage]]
# element = {element}
# from = "{start}"
# to = "{end}"
# limit_w = {quantity}
"""


def first_settings(scenario: Scenario, element: str, *, profiled: bool) -> str:
    """The text; `element` is a branch or source to show an outage with, `profiled` says where forecasts are from."""
    day = scenario.day
    noon = day.mtu_count // 2
    first = scenario.resources[0] if scenario.resources else None
    return TEMPLATE.format(
        forecast="the file's own profiles of that day." if profiled else "the file's powers all day long: a template.",
        resource="RESOURCE" if first is None else first.resource,
        quantity=1_000_000 if first is None else max(abs(first.p_min_w), abs(first.p_max_w)) // 2,
        start=day.local(noon),
        end=day.local(noon + 1),
        name=_quoted(scenario.name),
        day=day.delivery_day.isoformat(),
        timezone=_quoted(day.timezone),
        minutes=day.mtu_minutes,
        source=_quoted(scenario.grid_source or ""),
        element=_quoted(element),
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
