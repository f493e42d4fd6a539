"""The work that comes again by itself, whoever asks for it: beat over a broker, or the thread of
the embedded default.

Rule: a sweep does what is due and nothing else, so it may run as often as one likes, and by several
at once. Three others have drivers of their own: overdue turns, schedules and alerts.
"""

from collections.abc import Callable, Mapping

from qdrant_rollouts.core.collections import scratch, seen
from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.deployments import fill_history, turn_log, workers
from qdrant_rollouts.core.deployments.backups import final
from qdrant_rollouts.core.experiments import folding, interim_analysis
from qdrant_rollouts.core.operations.schedules import runs
from qdrant_rollouts.core.routing import search_history, traffic
from qdrant_rollouts.core.services import Services

#: Does the work, and returns what was done as a line of text.
Sweep = Callable[[Services], str]


def delete_due_collections(services: Services) -> str:
    lines = [
        *final.begin_final_backups(services),
        *deletions.delete_due(services),
        *scratch.drop_old_scratches(services.store),
    ]
    return "; ".join(lines) or "nothing due"


def check_due_experiments(services: Services) -> str:
    return "; ".join(interim_analysis.check_due_experiments(services)) or "no look due"


def fold_observations(services: Services) -> str:
    """Makes old observations smaller, and deletes what is older than anybody looks at."""
    folded = traffic.fold_traffic(services) + folding.fold_sketches(services)
    pruned = traffic.prune_traffic(services)
    search_history.prune_searches(services)
    fill_history.prune_samples(services)
    forgotten = runs.prune_runs(services)
    gone = workers.forget(services)
    lines = turn_log.forget_old_lines(services)
    with services.sessions.begin() as session:
        seen.forget_ended(session)
    told = (
        f"{folded} rows of observations folded, {pruned} deleted; {forgotten} old runs of "
        "schedules deleted"
    )
    if lines:
        told = f"{told}; {lines} old log lines deleted"
    if gone:
        return f"{told}; {gone} workers forgotten"
    return told


#: By the name of its task.
SWEEPS: Mapping[str, Sweep] = {
    "collections.delete_due": delete_due_collections,
    "experiments.look": check_due_experiments,
    "traffic.fold": fold_observations,
}
