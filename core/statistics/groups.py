"""How many groups users are hashed into (``core.statistics.traffic_sketch`` says what for)."""

GROUPS = 512
