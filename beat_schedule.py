"""The periodic tasks: only data, tasks named by string and the seconds between two.

Sending a task decides nothing, so any number of beats is harmless.
"""

from typing import Any

from qdrant_rollouts.checkout import stand_for

_ROUSE = {"queue": "rouse"}

SCHEDULE: dict[str, dict[str, Any]] = {
    "rouse": {"task": "deployments.rouse", "schedule": 1.0, "options": _ROUSE},
    "delete-due": {"task": "collections.delete_due", "schedule": 30.0, "options": _ROUSE},
    "look": {"task": "experiments.look", "schedule": 30.0, "options": _ROUSE},
    "schedules": {"task": "schedules.sweep", "schedule": 10.0, "options": _ROUSE},
    "follow": {"task": "writes.follow", "schedule": 5.0, "options": _ROUSE},
    "deliver": {"task": "alerts.deliver", "schedule": 10.0, "options": _ROUSE},
    "fold-traffic": {"task": "traffic.fold", "schedule": 60.0, "options": _ROUSE},
    "forget-results": {"task": "celery.backend_cleanup", "schedule": 3600.0, "options": _ROUSE},
}


if __name__ == "beat_schedule":
    stand_for(__name__)
