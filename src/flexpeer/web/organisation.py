"""`organisations/NAME.html`: the day for one organisation, with nothing of anybody else, as one file."""

from collections import Counter
from collections.abc import Sequence
from functools import cache

from jinja2 import Template
from markupsafe import Markup

from flexpeer.app.views.orders import OrderStatus
from flexpeer.app.views.outcome import DayOutcome, PointDay
from flexpeer.app.views.own_day import OwnDay, ResourceDay
from flexpeer.market.orders import Side
from flexpeer.quantities import MINOR_PER_MAJOR, MONEY_PER_MAJOR
from flexpeer.web.figures import Canvas, Figure, Key, axes, both, drawing, frame_for, path, steps
from flexpeer.web.flow_figures import point_figure
from flexpeer.web.page import KeyFigure, template
from flexpeer.web.row_tables import own_orders_table, own_trades_table
from flexpeer.web.terms import DIRECTIONS, POSTINGS, ROLES, STATUSES
from flexpeer.web.wording import GRID_SIDE, RESOURCE_SIDE, LocalClock, counted, energy, money, number, unit_for

POINTS_DRAWN = 12
RESOURCES_SHOWN = 200

SCHEDULE_LEGEND = (
    Key("before", "line", "forecast, before the market"),
    Key("start", "line", "starting point: obligations executed"),
    Key("after", "line", "what they are to do"),
)


class OrganisationPages:
    """Pages of one day; what all of them share is made once."""

    def __init__(self, outcome: DayOutcome) -> None:
        scenario = outcome.scenario
        self._scenario, self._currency = scenario, scenario.currency
        self._clock = LocalClock(scenario.day)
        self._hours = scenario.day.mtu_minutes / 60
        self._day = f"{scenario.day.delivery_day:%A %-d %B %Y}"
        self._times = self._clock.all()

    def render(self, own: OwnDay) -> str:
        """The whole page; every name in it is escaped, nothing in it is loaded from elsewhere."""
        ranked = sorted(own.points, key=lambda point: (-sum(point.need_w), point.point.congestion_point))
        return _template().render(
            own=own,
            role=ROLES[own.role],
            scenario=self._scenario,
            day=self._day,
            times=self._times,
            tiles=self._tiles(own),
            schedule=self._schedule(own.resources),
            resources=[self._resource(each) for each in own.resources if each.is_concerned][:RESOURCES_SHOWN],
            connected=[self._resource(each) for each in own.connected if each.is_concerned][:RESOURCES_SHOWN],
            connected_count=len(own.connected),
            points=[self._point(point) for point in ranked],
            flows=[point_figure(point, self._clock) for point in ranked[:POINTS_DRAWN] if any(point.need_w)],
            refusals=own.refusals[:RESOURCES_SHOWN],
            orders=own_orders_table(own, self._currency) if own.orders else None,
            trades=own_trades_table(own, self._currency) if own.trades else None,
            money=[(POSTINGS[kind], self._money(amount)) for kind, amount in own.money.items()],
            invoiced=money(own.invoiced_minor / MINOR_PER_MAJOR, self._currency, 2),
        )

    def _money(self, exact: float) -> str:
        return money(exact / MONEY_PER_MAJOR, self._currency, 2)

    def _mwh(self, watts: Sequence[int]) -> str:
        return energy(sum(watts) * self._hours / 1e6)

    def _tiles(self, own: OwnDay) -> list[KeyFigure]:
        tiles = [*self._dso_tiles(own), *self._obligation_tiles(own)]
        if own.orders:
            by_status = Counter(order.status for order in own.orders)
            told = ", ".join(f"{number(n, 0)} {STATUSES[status]}" for status, n in by_status.items())
            status = "warn" if by_status[OrderStatus.REFUSED] else ""
            tiles.append(KeyFigure("Orders", number(len(own.orders), 0), told, status))
        if own.trades:
            bought, sold = (
                self._mwh(
                    [each.confirmation.quantity_w * each.mtus for each in own.trades if each.confirmation.side is side]
                )
                for side in (Side.BUY, Side.SELL)
            )
            tiles.append(
                KeyFigure("Trades", number(len(own.trades), 0), f"bought {bought}, sold {sold}, {RESOURCE_SIDE}")
            )
            about = "all its trades at its own limit prices, less what it paid"
            tiles.append(KeyFigure("Gain", self._money(own.worth.gain), about, _sign(own.worth.gain)))
        if own.money or own.invoiced_minor:
            value = money(abs(own.invoiced_minor) / MINOR_PER_MAJOR, self._currency, 2)
            tiles.append(KeyFigure("Invoiced", value, "to receive" if own.invoiced_minor >= 0 else "to pay"))
        return tiles

    def _obligation_tiles(self, own: OwnDay) -> list[KeyFigure]:
        owed = [watts for each in own.resources for watts in each.owed_w]
        left = [watts for each in own.resources for watts in each.left_w]
        if not any(owed):
            return []
        avoided = energy(own.worth.avoided_wm / 60e6)
        return [
            KeyFigure("Curtailed by rule", self._mwh(owed), f"what the day asks of it, {RESOURCE_SIDE}"),
            KeyFigure("Stays curtailed", self._mwh(left), "not bought back", "warn" if any(left) else "good"),
            KeyFigure(
                "Curtailment avoided", self._money(float(own.worth.avoided)),
                f"{avoided}, at the mean of its own limits for what it bought", "good" if own.worth.avoided_wm else "",
            ),
        ]  # fmt: skip

    def _dso_tiles(self, own: OwnDay) -> list[KeyFigure]:
        needy = [point for point in own.points if any(point.need_w)]
        if not needy:
            return []
        missing = [point for point in needy if any(point.residual_need_w)]
        worst = max(max(point.need_w) for point in needy)
        told = f"the most {unit_for([worst]).text(worst)}, {GRID_SIDE}"
        return [
            KeyFigure("Points in need", number(len(needy), 0), told),
            KeyFigure(
                "Of these short after the market", number(len(missing), 0), GRID_SIDE, "bad" if missing else "good"
            ),
        ]

    def _resource(self, each: ResourceDay) -> tuple[str, ...]:
        """Name, kind, energies owed and still curtailed, and forecast, starting point and after."""
        owed = (self._mwh(row) if any(each.owed_w) else "" for row in (each.owed_w, each.left_w))
        plans = (self._mwh(row) for row in (each.before_w, each.start_w, each.after_w))
        return each.resource.resource, each.resource.kind, *owed, *plans

    def _point(self, point: PointDay) -> tuple[str, ...]:
        named = point.point
        mwh = (self._mwh(row) for row in (point.need_w, point.residual_need_w))
        return named.congestion_point, named.element, DIRECTIONS[named.direction], *mwh

    def _schedule(self, resources: Sequence[ResourceDay]) -> Figure | None:
        """The sum of an organisation's resources through the day."""
        concerned = [each for each in resources if each.is_concerned]
        if not concerned:
            return None
        plans = [(each.before_w, each.start_w, each.after_w) for each in concerned]
        sums = [[sum(column) for column in zip(*rows, strict=True)] for rows in zip(*plans, strict=True)]
        unit = unit_for(watts for row in sums for watts in row)
        before, start, after = ([unit.of(watts) for watts in row] for row in sums)
        title = f"Injection of {counted(len(concerned), 'resource')} that had to move or did"
        label = f"{title}, {unit.name} {RESOURCE_SIDE}: forecast, starting point and after the market."

        def draw(canvas: Canvas) -> Markup:
            frame = frame_for(canvas, len(before), [*before, *start, *after], height=200.0)
            lines = (("before", before), ("start", start), ("after", after))
            parts = [path(steps(frame, row), f"series {css}") for css, row in lines]
            return drawing([axes(frame, self._clock, unit.name), *parts], canvas, frame.height, label, frame)

        series = [["forecast", before], ["starting point", start], ["after", after]]
        note = "Above zero it injects, below it withdraws."
        return Figure(title, RESOURCE_SIDE, both(draw), note, SCHEDULE_LEGEND, {"unit": unit.name, "series": series})


def _sign(amount: float) -> str:
    return "good" if amount > 0 else "bad" if amount < 0 else ""


@cache
def _template() -> Template:
    return template("organisation.html.j2")
