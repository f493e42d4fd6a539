"""``rollouts``: its verbs, each of which stands in a module of ``commands``."""

import click

from qdrant_rollouts.interfaces.cli.groups import Verbs

main = Verbs(
    package=f"{__name__}.commands",
    help="""Blue-green rebuilds of Qdrant collections behind an alias.

    \b
    Exit codes: 0 done, 1 the deployment ended rolled_back or needs_operator,
    2 refused, 3 a server cannot be reached, 4 --timeout ran out.
    """,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    verbs={
        "demo": "The main job on real text, start to end.",
        "up": "One process with everything embedded: worker, scheduler, web.",
        "migrate": "Brings the database up to date for this program.",
        "deploy": "Starts a deployment of the index ALIAS.",
        "status": "One deployment with its steps, gate and events.",
        "list": "Deployments, newest first, and collections to be deleted.",
        "promote": "Approves what waits for a person, or ends a stage or a pause.",
        "retry": "Runs a gate that could not tell once more.",
        "pause": "Stops a deployment where it is.",
        "resume": "Lets a paused deployment go on.",
        "abort": "Rolls a deployment back.",
        "rollback": "Back to the version before the live one, while it is retained.",
        "validate": "Runs the gate of ALIAS on COLLECTION; changes nothing.",
        "alias": "Lists, makes, moves and removes aliases.",
        "search": "What ALIAS finds for QUERY.",
        "versions": "The versions of the index ALIAS, the live one marked.",
        "diff": "What is different in version V2 of ALIAS, seen from V1.",
        "adopt": "Takes what ALIAS points to under management.",
        "keep": "Cancels the deletion of COLLECTION for good.",
        "gc": "Deletes what is due and writes down what is kept no longer.",
        "experiment": "Compares collections on the searches of an alias.",
        "schedule": "What is done by itself, when, and what became of it.",
        "backup": "Backups of an index, in a directory or on S3 and the like.",
        "web": "The HTTP API, beside workers that run elsewhere.",
        "mcp": "Search, and looks at deployments, for agents (MCP).",
        "token": "Who may ask by HTTP, and what.",
        "events": "What happened: when, by whom, through what, and why.",
        "alert": "What somebody was told of, and whether it got there.",
        "workers": "Who takes turns, and what each does; which turns wait, and why.",
        "doctor": "Checks settings and servers, and says what to do about faults.",
    },
)
click.version_option(package_name="qdrant-rollouts", prog_name="rollouts")(main)
