"""What requests may contain: one model for each. The models check requests, and are their
documentation.

Rule: the name of a body ends in ``Request``, that of a query string in ``Query``. Clients see the
names as types of the OpenAPI document.
"""
