"""A package, so that its installations are started once for all its tests and ended with the last
of them."""
