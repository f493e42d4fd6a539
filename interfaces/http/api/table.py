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
    requests,
    router_requests,
    routers,
    searching,
)
from qdrant_rollouts.interfaces.http.api.endpoint import Endpoint, NoQuery

get, post, put, patch, delete = (
    partial(Endpoint, method) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
)

_R = requests.Reasoned
_S = "/schedules/{alias}/{action}"
_D = "/deployments/{deployment}"
_X = "/experiments/{experiment}"
_B = "/backups/{backup}"
_I = "/indexes/{alias}"

# fmt: off
ENDPOINTS: tuple[Endpoint, ...] = (
    get("/me", "", queries.get_caller, NoQuery, "Who sends the request, and what they may do"),

    get("/indexes", "read", queries.get_indexes, requests.Indexes,
      "Indexes, those that need attention first"),
    get(_I, "read", queries.get_index, NoQuery,
      "One index: what serves, since when, what is running"),
    get(f"{_I}/versions", "read", queries.get_versions, NoQuery, "Its versions, newest first"),
    get(f"{_I}/diff", "read", queries.get_differences, requests.Difference,
      "The differences between two versions"),
    get(f"{_I}/charts", "read", queries.get_charts, requests.Charted,
      "Searches, latencies and filling over time, and figures of the last versions"),
    get(f"{_I}/route", "read", queries.get_route, NoQuery,
      "Which collections answer, and which search processes serve this route"),
    post(f"{_I}/search", "search", searching.search_by_route, requests.Search,
      "Searches through the route"),
    get(f"{_I}/compare-answers", "read", asking.ask_both, requests.AskedBoth,
      "Asks two versions the same query, and how their answers differ"),
    get(f"{_I}/judged", "read", asking.get_proposal, NoQuery,
      "The lines that people propose for the judged file"),
    post(f"{_I}/judged", "deploy", asking.add_judgment, requests.Judgment,
      "Adds a line to the proposal; one of the same query is replaced"),
    delete(f"{_I}/judged", "deploy", asking.take_out_judgment, requests.TakenOut,
      "Takes a line out of the proposal"),
    post(f"{_I}/records", "write", recording.upsert_records, requests.Records,
      "Writes whole records, with vectors of the model that serves"),
    patch(f"{_I}/records", "write", recording.patch_records, requests.Records,
      "Changes fields of records that are there"),
    delete(f"{_I}/records", "write", recording.delete_records, requests.RecordIds,
      "Deletes records"),
    post(f"{_I}/rebuild", "deploy", commands.rebuild_index, _R,
      "Deploys the index unless nothing has changed", commands.show_run),
    post(f"{_I}/deployment-plan", "deploy", queries.get_deployment_plan,
      requests.PlannedDeployment, "What a deployment would do, take and cost; changes nothing"),
    post(f"{_I}/rollback", "deploy", commands.start_rollback, requests.RollingBack,
      "Goes back to an older version", commands.show_run),
    post(f"{_I}/mark", "deploy", commands.change_mark, requests.MarkedVersion,
      "Marks a version bad, so that no rollback chooses it, or takes the mark back"),
    post(f"{_I}/adopt", "deploy", commands.adopt_alias, requests.Adopt,
      "Takes the collection behind the alias under management"),
    get("/routes", "routes", queries.get_routes, NoQuery, "Every route that was ever set",
      tag=routers.tag_routes),
    post("/routers", "router", routers.report_served_routes, router_requests.Serves,
      "Says which routes a router in another process serves"),
    post("/observations", "router", routers.record_observations, router_requests.Observations,
      "Adds what the searches of a router experienced"),
    post("/exposures", "router", routers.record_exposures, router_requests.Exposures,
      "Adds which users met which arm of an experiment"),
    post("/feedback", "feedback", routers.record_feedback, router_requests.FeedbackBatch,
      "Counts what users did, many at once"),

    get("/deployments", "read", queries.get_deployments, requests.Deployments,
      "Deployments, newest first"),
    post("/deployments", "deploy", commands.start_deployment, requests.Deploy,
      "Starts a deployment", commands.show_run),
    get(_D, "read", queries.get_deployment, NoQuery, "One deployment with steps, gate and events"),
    get(f"{_D}/log", "read", queries.get_log, requests.Log,
      "What was logged during its turns, the oldest first"),
    post(f"{_D}/promote", "deploy", commands.promote_run, requests.Promote,
      "Approves, or ends a stage or a pause"),
    post(f"{_D}/retry", "deploy", commands.request_sender(Event.RETRY), _R,
      "Runs an inconclusive gate or stage again"),
    post(f"{_D}/pause", "deploy", commands.request_sender(Event.PAUSE), _R, "Pauses it"),
    post(f"{_D}/resume", "deploy", commands.request_sender(Event.RESUME), _R, "Lets it continue"),
    post(f"{_D}/abort", "deploy", commands.abort_run, requests.Abort, "Rolls it back"),

    get("/aliases", "read", queries.get_aliases, NoQuery,
      "Every alias and the collection behind it"),
    post("/aliases", "admin", commands.create_alias, requests.NewAlias,
      "Points a new alias to a collection"),
    put("/aliases/{alias}", "admin", commands.switch_alias, requests.Switch,
      "Points it to another collection"),
    delete("/aliases/{alias}", "admin", commands.delete_alias, _R,
      "Removes it; the collection stays"),
    get("/deletions", "read", queries.get_deletions, requests.Listed,
      "Scheduled deletions, and the latest that ended"),
    post("/collections/{collection}/keep", "deploy", commands.keep_collection, _R,
      "Cancels its deletion and keeps the collection"),
    delete("/collections/{collection}", "admin", commands.delete_collection, requests.Delete,
      "Schedules its deletion after a grace period, if nothing uses it then"),

    get("/gc", "read", queries.get_garbage, NoQuery,
      "What is due, no longer kept, left over or an orphan"),
    post("/gc", "admin", commands.collect_garbage, requests.Collect,
      "Deletes what is due, and schedules the deletion of what is no longer kept"),

    get("/experiments", "read", queries.get_experiments, requests.Paged,
      "Experiments, newest first"),
    post("/experiments", "deploy", commands.create_experiment, requests.NewExperiment,
      "Compares collections on the users of an alias", commands.show_experiment),
    get(_X, "read", queries.get_experiment, NoQuery, "What it compares, and its result"),
    post(f"{_I}/experiment-plan", "deploy", queries.get_experiment_plan, requests.Planned,
      "How many users and days an experiment will need"),
    get(f"{_X}/route", "routes", routers.get_experiment_route, NoQuery,
      "The route that splits its users, and its control"),
    get(f"{_X}/report", "read", queries.get_report, NoQuery,
      "Its current analysis, and the looks so far"),
    post(f"{_X}/start", "deploy", commands.start_experiment, _R, "Starts a draft"),
    post(f"{_X}/stop", "deploy", commands.stop_experiment, _R,
      "Stops it: the control answers all users again"),
    post(f"{_X}/widen", "deploy", commands.widen_experiment, requests.Widen,
      "Lets more users take part"),
    post(f"{_X}/search", "search", searching.route_query, requests.Searching,
      "Searches the collection of a user's arm"),
    post(f"{_X}/feedback", "feedback", searching.record_feedback, requests.Feedback,
      "Counts what a user did"),

    get("/backups", "read", queries.get_backups, requests.OfIndex, "Backups, newest first"),
    post("/backups", "deploy", commands.create_backup, requests.NewBackup,
      "Starts a backup", commands.show_backup),
    get(_B, "read", queries.get_backup, NoQuery, "One backup"),
    post(f"{_B}/verify", "deploy", commands.verify_backup, _R,
      "Starts a verification: restores it temporarily and compares", commands.show_verification),
    post(f"{_B}/restore", "deploy", commands.restore_backup, _R,
      "Deploys its contents", commands.show_run),

    get("/schedules", "read", queries.get_schedules, requests.Listed,
      "Schedules, next times, last runs"),
    patch(_S, "deploy", commands.change_schedule, requests.Times, "Sets its times"),
    post(f"{_S}/run", "deploy", commands.run_schedule, _R,
      "Runs it now", commands.show_schedule_run),
    post(f"{_S}/pause", "deploy", commands.pause_schedule, _R,
      "Pauses it: its times pass without a run"),
    post(f"{_S}/resume", "deploy", commands.resume_schedule, _R, "Resumes it with the next time"),

    get("/events", "read", queries.get_events, requests.Events, "Audit events, newest first"),
    get("/alerts", "read", queries.get_alerts, requests.WantedAlerts,
      "Alerts that were sent, newest first"),
    get("/workers", "read", queries.workers, NoQuery, "Workers, their clocks, and turns that wait"),
    post("/alerts/test", "deploy", commands.test_alerts, requests.TestAlert,
      "Sends a test alert to the channels"),
)
