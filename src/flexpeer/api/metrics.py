"""Prometheus metrics of the service."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flexpeer.api.published import Published
from flexpeer.api.service import Service


class Metrics:
    """Requests by route and status, how long they took, and how the market is when it is asked."""

    def __init__(self, service: Service) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "flexpeer_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "flexpeer_request_seconds", "Time to the answer", ["method", "route"], registry=self.registry
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.registry.register(_Markets(service))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request."""
        known = self._known.get((method, route, status))
        if known is None:
            known = self._requests.labels(method, route, str(status)), self._seconds.labels(method, route)
            self._known[method, route, status] = known
        requests, took = known
        requests.inc()
        took.observe(seconds)


class _Markets(Collector):
    """Read when asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Events, orders, trades and the line of each market; whether the writer lives; how late the timeline is."""
        per_market: dict[str, tuple[str, Callable[[Published], int]]] = {
            "events": ("Events in the log", lambda p: p.state.events),
            "orders": ("Orders placed", lambda p: len(p.placed)),
            "trades": ("Trades concluded", lambda p: len(p.trades)),
            "line": ("Orders that wait for their sweep", lambda p: p.line),
        }
        for name, (meaning, value) in per_market.items():
            family = GaugeMetricFamily(f"flexpeer_market_{name}", meaning, labels=["market"])
            for market_id, served in self._service.days.items():
                family.add_metric([market_id], float(value(served.published)))
            yield family
        service = self._service
        yield GaugeMetricFamily("flexpeer_writer_alive", "Whether the writer works", value=float(service.alive))
        yield GaugeMetricFamily("flexpeer_stage_late_seconds", "How late a stage is", value=service.lateness_s())
