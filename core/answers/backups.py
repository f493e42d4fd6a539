"""Backups and the results of their verifications."""

from typing_extensions import TypedDict  # pydantic needs typing_extensions before Python 3.12

from qdrant_rollouts.core.answers.words import Moment


class Verification(TypedDict):
    backup_id: str
    verification_id: str
    alias: str
    status: str
    message: str
    finished_at: Moment | None


class Backup(TypedDict):
    """``verified`` is the latest verification that has ended."""

    backup_id: str
    status: str
    message: str
    alias: str | None
    collection: str | None
    created_at: Moment | None
    points: int | None
    bytes: int | None
    server: str | None
    actor: str | None
    verified: Verification | None


class Backups(TypedDict):
    backups: list[Backup]
