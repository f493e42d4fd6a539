"""``rollouts experiment``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

experiment = Verbs(
    package=__name__,
    help="""Compares collections on the searches of an alias.

    Each user sees one collection and stays with it. An experiment is evaluated every few
    minutes, and you can look at it as often as you like. It ends by itself when it has an
    answer, or when its time is over.
    """,
    verbs={
        "plan": "Computes how many users and days an experiment on ALIAS needs.",
        "create": "Creates the experiment NAME and starts it.",
        "list": "Lists experiments, newest first.",
        "report": "Shows what EXPERIMENT (an id or a name) has found so far.",
        "start": "Starts a draft: the searches of its alias are split from now on.",
        "stop": "Ends EXPERIMENT: the control answers all users.",
        "widen": "Lets more users take part; no user changes collection.",
    },
)
