"""What the logging module remembers for the whole process, kept as it was."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

#: First parts of the names that our own code logs under. A library that is imported meanwhile keeps
#: its level.
_OWN = {"qdrant_rollouts", "rollouts"}


@contextmanager
def keep_logging() -> Iterator[None]:
    """Levels, switches and the root's handlers are in the end what they were in the beginning."""
    off = logging.root.manager.disable
    handlers = list(logging.root.handlers)
    states = {logger: _read_state(logger) for logger in _find_loggers()}
    try:
        yield
    finally:
        logging.disable(off)
        logging.root.handlers[:] = handlers
        for logger in _find_loggers():
            if logger in states:
                _set_state(logger, *states[logger])
            elif logger.name.split(".")[0] in _OWN:
                _set_state(logger, logging.NOTSET, True, False)


def _find_loggers() -> list[logging.Logger]:
    known = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(logger for logger in known if isinstance(logger, logging.Logger))]


def _read_state(logger: logging.Logger) -> tuple[int, bool, bool]:
    return logger.level, logger.propagate, logger.disabled


def _set_state(logger: logging.Logger, level: int, propagate: bool, disabled: bool) -> None:
    if logger.level != level:
        logger.setLevel(level)  # it also forgets what every logger answered to "are you enabled"
    logger.propagate = propagate
    logger.disabled = disabled
