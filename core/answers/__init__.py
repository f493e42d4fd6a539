"""What people and programs are shown, as types: the functions that look are held to them by mypy, and the HTTP API's
document is made from them.

What stands in a row as JSON (a gate's report, a step's output) may hold more than is named.
"""
