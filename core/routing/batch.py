"""What searches experienced between two writes."""

from collections import defaultdict
from dataclasses import dataclass, field

from qdrant_rollouts.core.routing.exposures import Person, ServedList, UserSearches
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch


@dataclass(slots=True)
class Batch:
    tallies: defaultdict[TrafficKey, TrafficSketch] = field(
        default_factory=lambda: defaultdict(TrafficSketch)
    )
    people: dict[Person, UserSearches] = field(default_factory=dict)
    lists: dict[tuple[Person, str], ServedList] = field(default_factory=dict)
