"""The control plane of a router that has the database."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.exc import DBAPIError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from qdrant_rollouts.core.database.faults import explain_error
from qdrant_rollouts.core.errors import AppError, is_connection_lost
from qdrant_rollouts.core.routing import exposures, interleaving, reports, table, traffic
from qdrant_rollouts.core.routing.batch import Batch
from qdrant_rollouts.core.routing.control_plane import LeftOut, NotReached, RouterServices
from qdrant_rollouts.core.routing.feedback import Feedback, count_feedback
from qdrant_rollouts.core.routing.route import Route
from qdrant_rollouts.core.services import Services


@dataclass(slots=True)
class SqlControlPlane:
    """``join`` is done once before the database is used; it raises what ``wiring`` raises there."""

    services: Services
    join: Callable[[], object] = lambda: None
    name: str = "the database"
    _joined: bool = False
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _left: list[Pool] = field(default_factory=list)

    def read_route(self, alias: str) -> Route:
        with self._use_database():
            return table.current_route(self.services, alias)

    def find_newer_routes(self, versions: Mapping[str, int]) -> set[str]:
        with self._use_database(), self.services.sessions() as session:
            return table.find_newer_routes(session, versions)

    def listen(self, heard: Callable[[str], None], stopped: threading.Event) -> None:
        self.services.channel.listen(heard, stopped)

    def report_served_routes(self, router: str, served: Mapping[str, int]) -> None:
        with self._use_database():
            table.report_served_routes(self.services, router, served)

    def forget_router(self, router: str) -> None:
        with self._use_database():
            table.forget_process(self.services, router)

    def write_batch(self, router: str, number: int, batch: Batch) -> LeftOut | None:
        """In one transaction, so no observation of a user is ever without the exposure."""

        def write_users(session: Session, now: datetime) -> None:
            exposures.write_exposures(session, now, batch.people)
            interleaving.write_lists(session, batch.lists)

        services = self.services
        with self._use_database():
            traffic.write_tallies(
                services.sessions, services.clock, router, number, batch.tallies, also=write_users
            )
        return None

    def count_feedback(self, given: Feedback, *, patient: bool) -> bool:
        with self._use_database():
            return count_feedback(self.services, given, patient=patient)

    def find_experiment_route(self, experiment_id: str) -> tuple[str, str]:
        with self._use_database():
            return reports.find_experiment_route(self.services, experiment_id)

    def leave_parent(self) -> None:
        """The pools are kept: a connection that is not used any more would be closed, and with it
        the parent's."""
        self._guard = threading.Lock()
        engine = self.services.engine
        self._left.append(engine.pool)
        engine.dispose(close=False)

    @contextmanager
    def _use_database(self) -> Iterator[None]:
        try:
            self._join_once()
        except SQLAlchemyError as error:
            raise NotReached(explain_error(error)) from error
        except AppError as error:
            raise NotReached(error) from error
        try:
            yield
        except SQLAlchemyError as error:
            if _is_away(error):
                raise NotReached(explain_error(error)) from error
            raise explain_error(error) from error

    def _join_once(self) -> None:
        with self._guard:
            if not self._joined:
                self.join()
                self._joined = True


def over_database(services: Services, join: Callable[[], object] = lambda: None) -> RouterServices:
    """``join`` is done once before the database is used."""
    return RouterServices(
        store=services.store,
        embedder=services.embedder,
        indexes=services.indexes,
        control=SqlControlPlane(services, join),
    )


def as_router_services(services: Services | RouterServices) -> RouterServices:
    if isinstance(services, RouterServices):
        return services
    return over_database(services)


def _is_away(error: SQLAlchemyError) -> bool:
    """The database did not answer, or lacks the tables that this program needs."""
    if isinstance(error, DBAPIError):
        return isinstance(error, ProgrammingError) or is_connection_lost(error)
    return isinstance(error, PoolTimeout)
