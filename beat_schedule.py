"""The beat schedule: data only, tasks named by string. Beat ticks and decides nothing; any number of beats is harmless.

``expires`` keeps a broker that was away from handing out a heap of old ticks.
"""

from typing import Any

from qdrant_rollouts.checkout import stand_for

SCHEDULE: dict[str, dict[str, Any]] = {
    "rouse": {"task": "deployments.rouse", "schedule": 5.0, "options": {"queue": "rouse", "expires": 15}},
    "delete-due": {"task": "collections.delete_due", "schedule": 30.0, "options": {"queue": "rouse", "expires": 60}},
    "look": {"task": "experiments.look", "schedule": 30.0, "options": {"queue": "rouse", "expires": 60}},
    "schedules": {"task": "schedules.sweep", "schedule": 10.0, "options": {"queue": "rouse", "expires": 30}},
    "deliver": {"task": "alerts.deliver", "schedule": 10.0, "options": {"queue": "rouse", "expires": 20}},
    "fold-traffic": {"task": "traffic.fold", "schedule": 60.0, "options": {"queue": "rouse", "expires": 120}},
}


if __name__ == "beat_schedule":
    stand_for(__name__)
