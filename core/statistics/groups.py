"""How many groups users are hashed into (``core.statistics.traffic_sketch`` explains why)."""

GROUPS = 512
