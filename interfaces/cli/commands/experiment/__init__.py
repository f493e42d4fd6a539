"""``rollouts experiment``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

experiment = Verbs(
    package=__name__,
    help="""Compares collections on the searches of an alias.

    Each user meets one collection and stays with it. An experiment is looked at every few
    minutes, as often as you like besides, and ends by itself when it has an answer, or when its
    time is up.
    """,
    verbs={
        "plan": "How many users and days an experiment on ALIAS will need.",
        "create": "Writes down the experiment NAME and starts it.",
        "list": "Experiments, newest first.",
        "report": "What EXPERIMENT, an id or a name, has found so far.",
        "start": "Starts a draft: the searches of its alias are split from now on.",
        "stop": "Ends EXPERIMENT: control answers everybody.",
        "widen": "Lets more users take part; nobody changes collection.",
    },
)
