"""What people and programs are shown, as types: mypy checks the functions that read against them,
and the HTTP API's document is made from them.

JSON that is stored in a row (a gate's report, a step's output) may contain more keys than are named
here.
"""
