"""The command ``rollouts``. Each of its verbs is in a module of ``commands``."""

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
        "demo": "Builds, replaces and protects an index of real text; needs no server.",
        "init": "Writes .env and rollouts.yaml from what is found on the Qdrant server.",
        "up": "Runs everything in one process: worker, scheduler, web.",
        "migrate": "Brings the database up to date for this program.",
        "deploy": "Starts a deployment of the index ALIAS.",
        "plan": "Says what a deployment of ALIAS would do, take and cost; changes nothing.",
        "status": "Shows a deployment with its situation, steps, gate and events.",
        "logs": "Shows what was logged during a deployment's turns.",
        "list": "Lists deployments, newest first, and collections to be deleted.",
        "promote": "Approves a held deployment, or ends a stage or a pause.",
        "retry": "Runs an inconclusive gate again.",
        "pause": "Pauses a deployment.",
        "resume": "Continues a paused deployment.",
        "abort": "Rolls a deployment back.",
        "rollback": "Returns to an older version, while it is kept.",
        "mark": "Marks VERSION of ALIAS as bad, or removes the mark.",
        "validate": "Runs the gate of ALIAS on COLLECTION; changes nothing.",
        "alias": "Lists, creates, moves and deletes aliases.",
        "search": "Shows what ALIAS finds for QUERY.",
        "versions": "Lists the versions of the index ALIAS and shows which one is live.",
        "diff": "Shows how version V2 of ALIAS differs from V1.",
        "adopt": "Takes the collection behind ALIAS under management.",
        "keep": "Cancels the deletion of COLLECTION permanently.",
        "gc": "Deletes what is due, and schedules what is no longer kept.",
        "experiment": "Compares collections on the searches of an alias.",
        "schedule": "Shows and changes what runs automatically, and its results.",
        "backup": "Makes, verifies and restores backups of an index.",
        "web": "Serves the HTTP API; the workers run elsewhere.",
        "mcp": "Serves agents over MCP: they search and read deployments.",
        "token": "Manages who may use the HTTP API, and for what.",
        "events": "Lists audit events: what happened, when, by whom, through what, and why.",
        "alert": "Lists alerts and their deliveries, and tests channels.",
        "workers": "Shows what each worker does, and which turns wait and why.",
        "doctor": "Checks settings and servers, and says how to correct faults.",
    },
)
click.version_option(package_name="qdrant-rollouts", prog_name="rollouts")(main)
