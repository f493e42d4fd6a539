"""Every endpoint of the API. To add one, add a row here, with a function that calls the core's.
The OpenAPI document, the checks of requests, the scopes and their tests follow from the row.

Moving an alias by hand and deleting collections pass no gate, so they need more than ``deploy``.
"""

from functools import partial

from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.interfaces.http.api import (
    asking,
    commands,
    queries,
    recording,
    routers,
    searching,
)
from qdrant_rollouts.interfaces.http.api.endpoint import Endpoint

get, post, put, patch, delete = (
    partial(Endpoint, method) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
)

_S = "/schedules/{alias}/{action}"
_D = "/deployments/{deployment}"
_X = "/experiments/{experiment}"
_B = "/backups/{backup}"
_I = "/indexes/{alias}"

# fmt: off
ENDPOINTS: tuple[Endpoint, ...] = (
    get("/me", "", queries.get_caller, "Who sends the request, and what they may do"),

    get("/indexes", "read", queries.get_indexes, "Indexes, those that need attention first"),
    get(_I, "read", queries.get_index, "One index: what serves, since when, what is running"),
    get(f"{_I}/versions", "read", queries.get_versions, "Its versions, newest first"),
    get(f"{_I}/diff", "read", queries.get_differences, "The differences between two versions"),
    get(f"{_I}/charts", "read", queries.get_charts,
      "Searches, latencies and filling over time, and figures of the last versions"),
    get(f"{_I}/route", "read", queries.get_route,
      "Which collections answer, and which search processes serve this route"),
    post(f"{_I}/search", "search", searching.search_by_route, "Searches through the route"),
    get(f"{_I}/compare-answers", "read", asking.ask_both,
      "Asks two versions the same query, and how their answers differ"),
    get(f"{_I}/judged", "read", asking.get_proposal,
      "The lines that people propose for the judged file"),
    post(f"{_I}/judged", "deploy", asking.add_judgment,
      "Adds a line to the proposal; one of the same query is replaced"),
    delete(f"{_I}/judged", "deploy", asking.take_out_judgment, "Takes a line out of the proposal"),
    post(f"{_I}/records", "write", recording.upsert_records,
      "Writes whole records, with vectors of the model that serves"),
    patch(f"{_I}/records", "write", recording.patch_records,
      "Changes fields of records that are there"),
    delete(f"{_I}/records", "write", recording.delete_records, "Deletes records"),
    post(f"{_I}/rebuild", "deploy", commands.rebuild_index,
      "Deploys the index unless nothing has changed", commands.show_run),
    post(f"{_I}/deployment-plan", "deploy", queries.get_deployment_plan,
      "What a deployment would do, take and cost; changes nothing"),
    post(f"{_I}/rollback", "deploy", commands.start_rollback,
      "Goes back to an older version", commands.show_run),
    post(f"{_I}/mark", "deploy", commands.change_mark,
      "Marks a version bad, so that no rollback chooses it, or takes the mark back"),
    post(f"{_I}/adopt", "deploy", commands.adopt_alias,
      "Takes the collection behind the alias under management"),
    get("/routes", "routes", queries.get_routes, "Every route that was ever set",
      tag=routers.tag_routes),
    post("/routers", "router", routers.report_served_routes,
      "Says which routes a router in another process serves"),
    post("/observations", "router", routers.record_observations,
      "Adds what the searches of a router experienced"),
    post("/exposures", "router", routers.record_exposures,
      "Adds which users met which arm of an experiment"),
    post("/feedback", "feedback", routers.record_feedback, "Counts what users did, many at once"),

    get("/deployments", "read", queries.get_deployments, "Deployments, newest first"),
    post("/deployments", "deploy", commands.start_deployment,
      "Starts a deployment", commands.show_run),
    get(_D, "read", queries.get_deployment,
      "One deployment with its situation, steps, gate and events"),
    get(f"{_D}/log", "read", queries.get_log, "What was logged during its turns, the oldest first"),
    post(f"{_D}/promote", "deploy", commands.promote_run, "Approves, or ends a stage or a pause"),
    post(f"{_D}/retry", "deploy", commands.request_sender(Event.RETRY),
      "Runs an inconclusive gate or stage again"),
    post(f"{_D}/pause", "deploy", commands.request_sender(Event.PAUSE), "Pauses it"),
    post(f"{_D}/resume", "deploy", commands.request_sender(Event.RESUME), "Lets it continue"),
    post(f"{_D}/abort", "deploy", commands.abort_run, "Rolls it back"),

    get("/aliases", "read", queries.get_aliases, "Every alias and the collection behind it"),
    post("/aliases", "admin", commands.create_alias, "Points a new alias to a collection"),
    put("/aliases/{alias}", "admin", commands.switch_alias, "Points it to another collection"),
    delete("/aliases/{alias}", "admin", commands.delete_alias, "Removes it; the collection stays"),
    get("/deletions", "read", queries.get_deletions,
      "Scheduled deletions, and the latest that ended"),
    post("/collections/{collection}/keep", "deploy", commands.keep_collection,
      "Cancels its deletion and keeps the collection"),
    delete("/collections/{collection}", "admin", commands.delete_collection,
      "Schedules its deletion after a grace period, if nothing uses it then"),

    get("/gc", "read", queries.get_garbage, "What is due, no longer kept, left over or an orphan"),
    post("/gc", "admin", commands.collect_garbage,
      "Deletes what is due, and schedules the deletion of what is no longer kept"),

    get("/experiments", "read", queries.get_experiments, "Experiments, newest first"),
    post("/experiments", "deploy", commands.create_experiment,
      "Compares collections on the users of an alias", commands.show_experiment),
    get(_X, "read", queries.get_experiment, "What it compares, and its result"),
    post(f"{_I}/experiment-plan", "deploy", queries.get_experiment_plan,
      "How many users and days an experiment will need"),
    get(f"{_X}/route", "routes", routers.get_experiment_route,
      "The route that splits its users, and its control"),
    get(f"{_X}/report", "read", queries.get_report, "Its current analysis, and the looks so far"),
    post(f"{_X}/start", "deploy", commands.start_experiment, "Starts a draft"),
    post(f"{_X}/stop", "deploy", commands.stop_experiment,
      "Stops it: the control answers all users again"),
    post(f"{_X}/widen", "deploy", commands.widen_experiment, "Lets more users take part"),
    post(f"{_X}/search", "search", searching.route_query,
      "Searches the collection of a user's arm"),
    post(f"{_X}/feedback", "feedback", searching.record_feedback, "Counts what a user did"),

    get("/backups", "read", queries.get_backups, "Backups, newest first"),
    post("/backups", "deploy", commands.create_backup, "Starts a backup", commands.show_backup),
    get(_B, "read", queries.get_backup, "One backup"),
    post(f"{_B}/verify", "deploy", commands.verify_backup,
      "Starts a verification: restores it temporarily and compares", commands.show_verification),
    post(f"{_B}/restore", "deploy", commands.restore_backup,
      "Deploys its contents", commands.show_run),

    get("/schedules", "read", queries.get_schedules, "Schedules, next times, last runs"),
    patch(_S, "deploy", commands.change_schedule, "Sets its times"),
    post(f"{_S}/run", "deploy", commands.run_schedule, "Runs it now", commands.show_schedule_run),
    post(f"{_S}/pause", "deploy", commands.pause_schedule,
      "Pauses it: its times pass without a run"),
    post(f"{_S}/resume", "deploy", commands.resume_schedule, "Resumes it with the next time"),

    get("/events", "read", queries.get_events, "Audit events, newest first"),
    get("/alerts", "read", queries.get_alerts, "Alerts that were sent, newest first"),
    get("/workers", "read", queries.get_workers, "Workers, their clocks, and turns that wait"),
    post("/alerts/test", "deploy", commands.test_alerts, "Sends a test alert to the channels"),
)
