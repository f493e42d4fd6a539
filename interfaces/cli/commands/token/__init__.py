"""``rollouts token``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

token = Verbs(
    package=__name__,
    help="""Who may ask by HTTP, and what.

    Scopes: read, search, feedback, deploy (with read), admin (all of them).
    """,
    verbs={
        "create": "Makes the token NAME and shows it, this once.",
        "list": "Every token: scopes, who made it, when it was last used.",
        "revoke": "Refuses the token NAME from now on, and ends its sessions.",
    },
)
