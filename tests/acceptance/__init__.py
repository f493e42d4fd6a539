"""This is a package, so that its installations are started once for all tests and ended after the
last one."""
