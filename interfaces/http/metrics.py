"""``/metrics`` for Prometheus, read from the database at each scrape."""

import importlib.metadata
import time
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from qdrant_rollouts.core.operations.views import metrics
from qdrant_rollouts.core.operations.views.metrics import Sample
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.http.app_context import context_of
from qdrant_rollouts.interfaces.http.security import require_scope

PREFIX = "rollouts_"


@dataclass(frozen=True, slots=True)
class MetricDescription:
    """A metric in the form of the documentation."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    @property
    def sampled(self) -> str:
        """The name of its samples."""
        if self.kind == "counter":
            return f"{self.name}_total"
        return self.name


_LEFT_OUT = MetricDescription(
    f"{PREFIX}series_left_out",
    "gauge",
    ("metric",),
    f"Series of a metric beyond the {metrics.MOST} that are shown.",
)
_SECONDS = MetricDescription(
    f"{PREFIX}scrape_seconds", "gauge", (), "How long the database took to give these numbers."
)
_BUILD = MetricDescription(
    f"{PREFIX}build_info", "gauge", ("version",), "1; the version of this program."
)

METRICS = (
    *(
        MetricDescription(
            PREFIX + name, "counter" if figure.counter else "gauge", figure.labels, figure.help
        )
        for name, figure in metrics.METRICS.items()
    ),
    _LEFT_OUT,
    _SECONDS,
    _BUILD,
)


def metrics_routes() -> list[BaseRoute]:
    return [Route("/metrics", _serve_metrics)]


def _serve_metrics(request: Request) -> Response:
    require_scope(request, "read")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Scrape(context_of(request).services))
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"content-type": kind})


class Scrape(Collector):
    """Nothing is kept between two scrapes, so any process, and any number of them, can be
    scraped."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        started = time.perf_counter()
        taken = metrics.read_metrics(self._services)
        seconds = time.perf_counter() - started
        samples: dict[str, list[Sample]] = {
            **{PREFIX + name: found.samples for name, found in taken.items()},
            _LEFT_OUT.name: [
                ((PREFIX + name,), found.left_out)
                for name, found in taken.items()
                if found.left_out
            ],
            _SECONDS.name: [((), seconds)],
            _BUILD.name: [((importlib.metadata.version("qdrant-rollouts"),), 1)],
        }
        for metric in METRICS:
            yield _build_family(metric, samples[metric.name])


def _build_family(metric: MetricDescription, samples: list[Sample]) -> Metric:
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = make(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family
