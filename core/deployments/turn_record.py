"""What a turn writes (rows, events and alerts) and what is sent after the commit."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.deployments.turns import current_step
from qdrant_rollouts.core.lifecycle import Event, StepStatus, next_status
from qdrant_rollouts.core.ports import Knock
from qdrant_rollouts.core.services import Services

#: A change of a run's status ends these alerts; they can be raised again later.
_ENDED_BY_NEW_STATUS = (
    "paused",
    "approval_needed",
    "inconclusive",
    "needs_operator",
    "deadline_near",
)
#: Those that last while the next run of a schedule takes the place of a held one.
HELD = tuple(name.removeprefix("deployment.") for name in outbox.HELD)


@dataclass(slots=True)
class TurnResult:
    """What is sent after the turn is committed. Flower shows ``line``; ``failed`` makes it red.
    ``foreign``: nothing was done, because only another release can do it. ``places``: other
    deployments may get a place now (``core.deployments.placing``)."""

    line: str
    failed: bool = False
    knock: Knock | None = None
    foreign: bool = False
    places: bool = False


@dataclass(slots=True)
class TurnWriter:
    services: Services
    session: Session
    row: Deployment
    now: datetime

    @property
    def step(self) -> StepRow:
        step = current_step(self.row)
        assert step is not None
        return step

    def event(self, event: str, detail: str = "", actor: str = events.SYSTEM) -> None:
        events.record_event(
            self.session,
            self.now,
            event,
            detail,
            actor=actor,
            deployment_id=self.row.id,
            alias=self.row.alias,
        )

    def wake(self, seconds: float = 0.0) -> None:
        self.row.wake_at = self.now + timedelta(seconds=seconds)

    def move(
        self,
        event: Event,
        message: str,
        actor: str = events.SYSTEM,
        *,
        keeps: Collection[str] = (),
    ) -> None:
        """Changes the status. This ends the alerts about the status before, except ``keeps``."""
        self.row.status = next_status(self.row.status, event)
        self.row.message = message
        self.over([what for what in _ENDED_BY_NEW_STATUS if what not in keeps], message, actor)
        self.event(f"deployment.{self.row.status}", message, actor)
        self.wake()

    def tell(
        self,
        what: str,
        text: str,
        *,
        value: str = "",
        bound: str = "",
        actor: str = events.SYSTEM,
        reason: str = "",
        act: str = "nothing to do",
        cause: str = "",
    ) -> None:
        """Records the alert ``deployment.WHAT``, or the same of a backup or verification. ``{id}``
        in ``act`` becomes the id of the run."""
        alert = Alert(
            self.row.alias,
            self._alert_name(what),
            text,
            value,
            bound,
            actor,
            reason,
            act.format(id=self.row.id),
            deployment_id=self.row.id,
            cause=cause,
        )
        outbox.record_alert(self.session, self.now, alert)

    def over(self, kinds: Iterable[str], reason: str, actor: str = events.SYSTEM) -> None:
        """Ends the alerts ``kinds``. Their names are those of ``tell``."""
        named = [self._alert_name(what) for what in kinds]
        outbox.resolve_alerts(self.session, self.now, self.row.alias, named, reason, actor)

    def _alert_name(self, what: str) -> str:
        return f"{outbox.run_word(self.row.kind)}.{what}"

    def turn_back(self) -> None:
        """Prepares the rollback: from now on the undos of all begun steps run in reverse order,
        each with its own counters."""
        for step in self.row.steps:
            if step.started_at is None:
                step.status = StepStatus.SKIPPED
            step.tries = step.crashes = 0
            step.waited = 0.0
