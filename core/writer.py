"""The pen of a turn: the rows it is written into, and what is to be sent when it has committed."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from core import events
from core.claims import current_step
from core.lifecycle import Event, StepStatus, after
from core.models import Deployment, StepRow
from core.ports import Alert, Knock
from core.services import Services


@dataclass(slots=True)
class Written:
    """What is to be sent now that the turn is committed. ``line`` is what Flower shows; ``failed`` makes it red."""

    line: str
    failed: bool = False
    knock: Knock | None = None
    alerts: list[Alert] = field(default_factory=list)


@dataclass(slots=True)
class Writer:
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
        events.record(
            self.session, self.now, event, detail, actor=actor, deployment_id=self.row.id, alias=self.row.alias
        )

    def wake(self, seconds: float = 0.0) -> None:
        self.row.wake_at = self.now + timedelta(seconds=seconds)

    def move(self, event: Event, message: str, actor: str = events.SYSTEM) -> None:
        self.row.status = after(self.row.status, event)
        self.row.message = message
        self.event(f"deployment.{self.row.status}", message, actor)
        self.wake()

    def alert(self, severity: str, text: str) -> Alert:
        what = "deployment" if self.row.kind == "rollout" else self.row.kind
        return Alert(severity, f"{self.row.alias}: {what} {self.row.id} {self.row.status}", text)

    def turn_back(self) -> None:
        """From here the undos of the begun steps run in reverse, each with counters of its own."""
        for step in self.row.steps:
            if step.started_at is None:
                step.status = StepStatus.SKIPPED
            step.tries = step.crashes = 0
            step.waited = 0.0
