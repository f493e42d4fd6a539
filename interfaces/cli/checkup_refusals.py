"""The checks of ``doctor`` that find by day what a deployment would be refused for at night."""

from collections.abc import Iterator
from functools import partial

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.commands import refusals
from qdrant_rollouts.core.deployments.commands.specs import live_aliases
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.routing.limited_calls import LimitedCalls
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.cli.check_runner import Findings
from qdrant_rollouts.interfaces.health_checks import Check

#: Seconds after which a source of judged queries is no longer waited for.
_JUDGED_SECONDS = 20.0


def check_refusals(services: Services) -> Findings:
    """Checks the settings of each index against the live collection. A server that does not answer
    is reported by the check of the sources."""
    for alias, spec in services.indexes().items():
        try:
            found = refusals.list_refusals(services, alias, spec, live_aliases(services))
        except Unavailable:
            continue
        for one in found:
            yield Check(f"index {alias}", "warn", one.text, one.act)


def check_judged(services: Services) -> Findings:
    for alias, spec in services.indexes().items():
        if spec.validation.judged:
            yield from _check_judged_file(services, alias, spec)


def _check_judged_file(services: Services, alias: str, spec: IndexSpec) -> Iterator[Check]:
    name = f"judged {alias}"
    try:
        look = partial(refusals.check_judged_file, services, alias, spec, live_aliases(services))
        found = LimitedCalls().run(look, _JUDGED_SECONDS)
    except TimeoutError:
        value = f"its judged queries were not read in {_JUDGED_SECONDS:g} s, so none was checked"
        yield Check(
            name, "warn", value, f"`rollouts plan {shell_word(alias)}` waits until they are"
        )
        return
    except (Refused, Unavailable) as error:
        yield Check(name, "warn", f"not checked: {error}", "correct that, and run doctor again")
        return
    for one in found.obstacles:
        yield Check(name, "warn", one.text, one.act)
    if not found.obstacles:
        count = "1 query" if found.queries == 1 else f"{found.queries:,} queries"
        yield Check(name, "ok", f"{spec.validation.judged}: {count}")
