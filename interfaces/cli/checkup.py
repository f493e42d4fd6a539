"""The checks of ``doctor``: of settings and servers, and of what is in them."""

import os
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dotenv import dotenv_values
from sqlalchemy import delete
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from qdrant_rollouts.adapters import broker, broker_url, database, flower, private
from qdrant_rollouts.adapters.qdrant_http import Forbidden
from qdrant_rollouts.adapters.redis_channel import CHANNEL_NAME
from qdrant_rollouts.adapters.releases import find_for_others, judge
from qdrant_rollouts.adapters.shelf import open_shelf
from qdrant_rollouts.core.config.index_file import IndexSpec, load_index_file
from qdrant_rollouts.core.config.settings import Settings, find_unknown_variables, load_settings
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import EventRow
from qdrant_rollouts.core.deployments.strategies import STRATEGIES
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.interfaces.cli.check_runner import Findings, run_check
from qdrant_rollouts.interfaces.cli.checkup_contents import check_contents
from qdrant_rollouts.interfaces.cli.running import DONE, REFUSED
from qdrant_rollouts.interfaces.embedded import running_elsewhere
from qdrant_rollouts.interfaces.health_checks import (
    Check,
    inspect_broker,
    inspect_database,
    inspect_qdrant,
)
from qdrant_rollouts.wiring import (
    EMBEDDED_STORE,
    open_vector_store,
    own_files,
    source_roots,
)

if TYPE_CHECKING:
    from qdrant_rollouts.adapters.qdrant_server import ServerStore

#: The oldest Qdrant version that is tested.
_TESTED_SINCE = (1, 16, 0)
#: How many files a finding names.
_MOST_NAMED = 3


def run_checks() -> list[Check]:
    """Runs every check. The settings come first, because the other checks need them."""
    try:
        settings = load_settings()
    except Refused as error:
        return [Check("settings", "fail", str(error), "correct the variable", REFUSED)]
    looks = (
        ("settings", _check_settings),
        ("index file", _check_index_file),
        ("sources", _check_source_roots),
        ("broker", _check_broker),
        ("qdrant", _check_qdrant),
        ("qdrant nodes", _check_nodes),
        ("backups", _check_backup_folder),
        ("database", _check_database),
        ("privacy", _check_privacy),
        ("flower", _check_flower),
    )
    found = [check for name, look in looks for check in run_check(name, partial(look, settings))]
    broken = {check.name for check in found if check.state == "fail"}
    if broken & {"database", "index file"}:
        return found
    return found + check_contents(settings, rows=_has_tables(found))


def exit_code(checks: list[Check]) -> int:
    """Returns the exit code. Wrong settings have priority over a server that does not answer,
    because they may be the cause."""
    codes = {check.code for check in checks if check.state == "fail"}
    return min(codes, default=DONE)


def _check_settings(settings: Settings) -> Findings:
    unknown = find_unknown_variables()
    for fault in unknown:
        yield Check("settings", "fail", fault, "correct or remove it", REFUSED)
    if not unknown:
        mode = "distributed: workers over a broker"
        if settings.embedded:
            mode = "embedded: everything in one process"
        yield Check("settings", "ok", mode)


def _check_index_file(settings: Settings) -> Findings:
    if not settings.config.exists():
        advice = "`rollouts init` writes one, or name a source with each deploy"
        yield Check("index file", "warn", f"{settings.config} is not there", advice)
        return
    indexes = load_index_file(settings.config).indexes
    yield Check("index file", "ok", f"{settings.config}: {', '.join(indexes) or 'no index'}")
    for alias, spec in indexes.items():
        yield from _check_offered(alias, spec)


def _check_offered(alias: str, spec: IndexSpec) -> Findings:
    if spec.strategy not in STRATEGIES:
        advice = f"deploy with --strategy, or declare one of: {', '.join(STRATEGIES)}"
        yield Check(
            f"index {alias}",
            "warn",
            f"strategy {spec.strategy} is not known to this version",
            advice,
        )


def _check_source_roots(settings: Settings) -> Findings:
    for root in source_roots(settings):
        if not (root.is_dir() and os.access(root, os.R_OK | os.X_OK)):
            yield Check(
                "sources", "warn", f"{root} cannot be read", "correct ROLLOUTS_SOURCE_ROOTS"
            )


def _check_broker(settings: Settings) -> Findings:
    if settings.embedded:
        yield _check_runner()
        return
    found = inspect_broker(settings)
    broker.check_publishing(settings)
    yield found
    yield from _check_certificate(settings)
    yield from _check_route_channel(settings)
    yield from _releases(settings)


def _releases(settings: Settings) -> Findings:
    """Reports workers whose program cannot work on the present database, whether they have noticed
    it or not."""
    told = broker.releases(settings)
    engine = database.open_read_only(settings.database_url.get_secret_value())
    try:
        with engine.connect() as connection:
            found = find_for_others(connection)
    except SQLAlchemyError:
        return  # another check reports the database
    finally:
        engine.dispose()
    for worker, program in sorted(told.items()):
        standing = judge(found, program["head"], program["oldest"])
        if why := program["stopped"] or standing.unfit:
            told_so = why
            if not program["stopped"]:
                told_so = f"the database {why}"
            advice = "see docs/upgrading.md"
            yield Check(
                f"worker {worker}", "fail", f"takes no messages: {told_so}", advice, REFUSED
            )
        elif standing.behind:
            value = (
                f"it knows revision {program['head']}, the database is at {found.revision} and "
                "works with it"
            )
            yield Check(f"worker {worker}", "warn", value, "update it before the next release")


def _check_certificate(settings: Settings) -> Findings:
    if broker_url.checks_no_certificate(settings.broker_url.get_secret_value()):
        advice = "add ssl_cert_reqs=required, and ssl_ca_certs for an authority of your own"
        yield Check(
            "broker", "warn", "every certificate is trusted, which is Celery's default", advice
        )


def _check_route_channel(settings: Settings) -> Findings:
    """Checks the announcements of routes. Searches work without them, and then see a changed route
    half a second later."""
    try:
        if broker.check_announcing(settings):
            yield Check("route channel", "ok", CHANNEL_NAME)
    except Unavailable as error:
        advice = "until then search processes see a changed route half a second later"
        yield Check("route channel", "warn", str(error), advice)


def _check_runner() -> Check:
    pid = running_elsewhere()
    if pid is None:
        return Check(
            "runner",
            "warn",
            "no process runs deployments",
            "start `rollouts up`, or use deploy --wait",
        )
    return Check("runner", "ok", f"process {pid}")


def _check_qdrant(settings: Settings) -> Findings:
    if settings.lends_store and not Path(EMBEDDED_STORE).exists():
        yield Check(
            "qdrant",
            "ok",
            f"{EMBEDDED_STORE}, embedded, is not there yet; the first deployment makes it",
        )
        return
    store = open_vector_store(settings)
    try:
        yield inspect_qdrant(store)
        if not settings.qdrant_url:
            return
        server = cast("ServerStore", store)
        yield _check_key_writes(server)
        yield _check_grpc(server, settings.qdrant_grpc_port)
        version = store.server().version
    finally:
        store.close()
    if version < _TESTED_SINCE:
        found = f"version {'.'.join(map(str, version))} is older than what this is tested with"
        yield Check("qdrant", "warn", found, "update to 1.16")


def _check_key_writes(store: "ServerStore") -> Check:
    try:
        store.check_writing()
    except Forbidden as error:
        advice = "name a key in ROLLOUTS_QDRANT_API_KEY that may manage collections"
        return Check("qdrant key", "fail", f"it may only read: {error}", advice, REFUSED)
    return Check("qdrant key", "ok", "it may write")


def _check_grpc(store: "ServerStore", port: int) -> Check:
    """Checks the connection for bulk work: with the key and the certificates, to the same
    server."""
    try:
        store.check_bulk()
    except (Refused, Unavailable) as error:
        advice = "bulk work goes over REST, slower; open the port or set ROLLOUTS_QDRANT_GRPC_PORT"
        return Check("qdrant grpc", "warn", f"port {port} cannot be used: {error}", advice)
    return Check("qdrant grpc", "ok", f"port {port}")


def _check_nodes(settings: Settings) -> Findings:
    """Checks each node of a cluster, because a backup contacts each of them."""
    if settings.qdrant_url and settings.qdrant_nodes:
        with closing(cast("ServerStore", open_vector_store(settings))) as store:
            yield Check("qdrant nodes", "ok", f"{store.check_nodes()} answer")


def _check_backup_folder(settings: Settings) -> Findings:
    """Checks where backups are stored. Only collections on a server can be backed up."""
    if settings.qdrant_url:
        shelf = open_shelf(settings.backup_dir)
        shelf.check_writing()
        yield Check("backups", "ok", f"{shelf.address} can be written")


def _check_database(settings: Settings) -> Findings:
    """Checks the database. It first checks that the database exists, so that none is created. Then
    it tries a write, because the database must accept writes."""
    url = settings.database_url.get_secret_value()
    file = database.absolute_sqlite_file(make_url(url))
    if file is not None and not file.exists():
        yield Check("database", "ok", f"{file} is not there yet; the first deployment makes it")
        return
    engine = database.open_engine(url)
    try:
        found = inspect_database(engine)
        database.check_database_writable(
            engine, _write_probe_row if "revision" in found.value else None
        )
        yield found
    finally:
        engine.dispose()


def _check_privacy(settings: Settings) -> Findings:
    """Reports files that others can read. This program makes its own files private, but files that
    existed before, or that others made, may be open."""
    own = [*own_files(settings).folders, Path(".env").absolute()]
    database_file = database.sqlite_file(make_url(settings.database_url.get_secret_value()))
    own += database.sqlite_files(database_file.absolute()) if database_file else ()
    found = private.find_open_to_others(own)
    if found:
        named = ", ".join(map(str, found[:_MOST_NAMED])) + (
            f" and {len(found) - _MOST_NAMED:,} more" if found[_MOST_NAMED:] else ""
        )
        value = f"others may read or enter {named}"
        yield Check(
            "privacy", "warn", value, "chmod -R go-rwx on it: it holds secrets, queries and records"
        )


def _write_probe_row(session: Session) -> None:
    """Writes a row to a table that every verb writes, and deletes it again. Nobody sees the row."""
    events.record_event(session, datetime.now(UTC), "doctor")
    session.flush()
    session.execute(delete(EventRow).where(EventRow.event == "doctor"))


def _check_flower(settings: Settings) -> Findings:
    """Checks Flower's login, without which the Procfile's Flower does not start."""
    value = os.environ.get(flower.VARIABLE) or dotenv_values(".env").get(flower.VARIABLE) or ""
    if value:
        flower.normalize_logins(value)
        yield Check("flower", "ok", f"{flower.VARIABLE} is set")
    elif not settings.embedded:
        advice = "set it to user:password where Flower runs"
        yield Check(
            "flower",
            "warn",
            f"{flower.VARIABLE} is not set: the Procfile's Flower does not start",
            advice,
        )


def _has_tables(found: list[Check]) -> bool:
    return any(check.name == "database" and "revision" in check.value for check in found)
