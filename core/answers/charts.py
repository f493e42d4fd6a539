"""What charts show: values over time, and one value of each version."""

from typing import Annotated, Any

from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from qdrant_rollouts.core.answers.words import Moment

_WAYS: Any = WithJsonSchema({"type": "string", "enum": ["switch", "rollback", "by_hand"]})
SwitchWord = Annotated[str, _WAYS]


class Series(TypedDict):
    """The values of one collection over time. ``collection`` is null for all earlier versions
    together, and ``version`` for a collection without a number. ``values`` has one value for each
    of the chart's times; null: nothing is known of that time."""

    version: int | None
    collection: str | None
    values: list[float | None]


class TimeChart(TypedDict):
    """``times`` are the beginnings of intervals of so many ``seconds``; the last one ends
    ``until``."""

    name: str
    title: str
    unit: str
    seconds: float
    times: list[Moment]
    until: Moment
    series: list[Series]


class AliasMove(TypedDict):
    """The alias moved to this collection."""

    at: Moment
    version: int | None
    collection: str
    kind: SwitchWord


class VersionPoint(TypedDict):
    """``served``: the version has been live."""

    version: int
    collection: str
    at: Moment
    served: bool
    value: float | None


class VersionChart(TypedDict):
    """One value of each of the last versions, the earliest first. ``note`` says how it is counted,
    if that is not plain from the title."""

    name: str
    title: str
    unit: str
    note: str
    points: list[VersionPoint]


class Charts(TypedDict):
    """``period`` is null for the time of one deployment. ``searched``: whether a search was
    observed in this time. ``switches``: the last ones, the earliest first."""

    alias: str
    period: str | None
    since: Moment
    now: Moment
    searched: bool
    charts: list[TimeChart]
    versions: list[VersionChart]
    switches: list[AliasMove]
