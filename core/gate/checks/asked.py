"""Checks the gate's settings in the index file; invalid ones are refused before anything is
created."""

from qdrant_rollouts.core.config.index_file import CheckSpec, IndexSpec, ValidationSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.ports import Schema
from qdrant_rollouts.core.sanitize.quoting import quote_value

#: Types of payload indexes with which a server counts a field's values.
_COUNTED = ("keyword", "integer", "uuid", "bool")
#: Checks of payload fields, which `validation.slices` names.
BY_VALUE = ("slices", "filtered_recall@10")


def check_validation(spec: IndexSpec, live: Schema | None) -> None:
    """Raises Refused for an unknown check, an invalid bound, and a slice that cannot be counted.

    ``live`` is the schema of the live collection; green has its payload indexes too.
    """
    for name in spec.validation.checks:
        if name not in CHECKS:
            raise Refused(
                f"validation.checks: {quote_value(name)} is not a check; known: {', '.join(CHECKS)}"
            )
        _check_bound(name, spec.validation.check(name))
    for name in BY_VALUE:
        if spec.validation.checks.get(name) and not spec.validation.slices:
            raise Refused(
                f"validation.checks.{name} needs payload fields: name them in validation.slices"
            )
    _check_slices(spec.validation, _index_types(spec, live))


def _check_bound(name: str, said: CheckSpec | None) -> None:
    if said is None or said.bound is None:
        return
    reach = CHECKS[name].reach
    where = f"validation.checks.{name}: found {said.bound:g}"
    if reach is None:
        raise Refused(f"{where}; this check has a rule of its own and no bound, say true or false")
    if not reach[0] <= said.bound <= reach[1]:
        raise Refused(f"{where}; expected a bound from {reach[0]:g} to {reach[1]:g}")


def _check_slices(validation: ValidationSpec, indexes: dict[str, str]) -> None:
    for field in validation.slices:
        if indexes.get(field) not in _COUNTED:
            found = indexes.get(field, "no payload index")
            raise Refused(
                f"validation.slices: {quote_value(field)} has {found}; to count its values it "
                "needs one of "
                f"{', '.join(_COUNTED)}: declare it in collection.payload_indexes"
            )


def _index_types(spec: IndexSpec, live: Schema | None) -> dict[str, str]:
    declared = spec.collection.payload_indexes
    found = {
        field: index["data_type"]
        for field, index in ((live or {}).get("payload_schema") or {}).items()
    }
    return found | {
        field: kind if isinstance(kind, str) else str(kind.get("type", ""))
        for field, kind in declared.items()
    }
