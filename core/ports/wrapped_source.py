"""A source whose rows are those of another source, changed or chosen."""

from collections.abc import Sequence

from qdrant_rollouts.core.ports.source import SizeUnit, Source


class WrappedSource:
    """Everything but ``read`` is the other source's."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def address(self) -> str:
        return self._source.address

    @property
    def collection(self) -> str | None:
        return self._source.collection

    @property
    def left_out(self) -> Sequence[str]:
        return self._source.left_out

    @property
    def size_unit(self) -> SizeUnit:
        return self._source.size_unit

    def check(self) -> None:
        self._source.check()

    def fingerprint(self) -> str | None:
        return self._source.fingerprint()

    def size(self) -> int:
        return self._source.size()
