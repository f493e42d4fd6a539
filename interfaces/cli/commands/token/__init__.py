"""``rollouts token``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

token = Verbs(
    package=__name__,
    help="""Manages who may use the HTTP API, and for what.

    Scopes: read (with routes), search, routes, feedback, router (with routes and feedback),
    write, deploy (with read), admin (all of them).
    """,
    verbs={
        "create": "Creates the token NAME and shows it once.",
        "list": "Lists tokens: scopes, who created them, and their last use.",
        "revoke": "Refuses the token NAME from now on, and ends its sessions.",
    },
)
