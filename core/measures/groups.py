"""How many groups users are hashed into (``core.tally`` says what for)."""

GROUPS = 512
