"""Ask both: one query on two versions, and what people judge of the answers."""

import json
from urllib.parse import quote

from starlette.responses import Response

from qdrant_rollouts.core.answers.asking import ComparedAnswers, SideAnswer
from qdrant_rollouts.core.defaults import RESULTS
from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.operations.asking import judgments
from qdrant_rollouts.core.operations.asking.bounds import CHOICES, LONGEST_REASON
from qdrant_rollouts.core.operations.asking.compare import compare_answers
from qdrant_rollouts.core.operations.asking.known import read_known
from qdrant_rollouts.core.operations.asking.sides import AskedVersion, list_versions
from qdrant_rollouts.core.operations.views.paging import find_place
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.times import as_iso
from qdrant_rollouts.interfaces.access.asking import PLACES
from qdrant_rollouts.interfaces.http.pages.ask_box import build_box
from qdrant_rollouts.interfaces.http.pages.forms import Form, Next
from qdrant_rollouts.interfaces.http.pages.parameters import PageLink, page_parameter
from qdrant_rollouts.interfaces.http.pages.rendering import Shown, download_text
from qdrant_rollouts.interfaces.http.pages.visits import Visit

#: The beginning of the names of the check boxes; a number follows.
_BOX = "relevant-"
_LINES = 50


def ask_page(visit: Visit) -> Shown:
    alias = visit.request.path_params["alias"]
    versions = _list_versions(visit, alias)
    given = {name: visit.query_value(name) for name in ("query", "left", "right")}
    limit = _read_limit(visit)
    found = None
    if "query" in visit.request.query_params:
        with PLACES.take_place():
            found = compare_answers(visit.services, alias, limit=limit, **given)
        given = {**given, "query": found["query"]}
    return {
        "title": f"{alias}: ask both",
        "here": "/",
        "now": _read_now(visit),
        "alias": alias,
        "ask": build_box(alias, versions, limit=limit, **given),
        "found": found,
        "records": _list_records(found) if found else [],
        "longest_reason": LONGEST_REASON,
        **(_describe_judged(visit, alias, found["query"]) if found else {}),
    }


def judged_page(visit: Visit) -> Shown:
    alias = visit.request.path_params["alias"]
    versions = _list_versions(visit, alias)
    proposal = judgments.read_proposal(visit.services, alias)
    lines = proposal["lines"]
    place = find_place(page_parameter(visit), len(lines), _LINES)
    return {
        "title": f"{alias}: judged queries",
        "here": "/",
        "now": _read_now(visit),
        "alias": alias,
        "ask": build_box(alias, versions),
        "proposal": proposal,
        "lines": lines[max(0, place.first - 1) : place.last],
        "known": sum(line["known"] for line in lines),
        "link": PageLink(_judged_path(alias), {}),
        "place": place,
    }


def download_judged(visit: Visit) -> Response:
    """Returns the lines as the judged file takes them, to be appended to it."""
    proposal = judgments.read_proposal(visit.services, visit.request.path_params["alias"])
    return download_text(proposal["jsonl"], "proposal.jsonl", "application/x-ndjson")


def on_ask(visit: Visit, form: Form) -> Next:
    alias = visit.request.path_params["alias"]
    judgments.add_judgment(
        visit.services,
        alias,
        form.get("query", ""),
        [_read_id(value) for name, value in form.items() if name.startswith(_BOX)],
        actor=visit.actor,
        reason=form.get("reason", ""),
    )
    return _judged_path(alias)


def on_judged(visit: Visit, form: Form) -> Next:
    alias = visit.request.path_params["alias"]
    if form.get("verb") == "take_out_known":
        reason = "the judged file has them"
        judgments.take_out_known(visit.services, alias, actor=visit.actor, reason=reason)
    else:
        queries = [form.get("query", "")]
        judgments.take_out_judgments(visit.services, alias, queries, actor=visit.actor)
    return _judged_path(alias)


def _judged_path(alias: str) -> Next:
    return f"/indexes/{quote(alias, safe='')}/judged"


def _describe_judged(visit: Visit, alias: str, query: str) -> Shown:
    """Returns what is known about the query: from the declared file, else from the proposal."""
    known = read_known(visit.services, alias)
    line = judgments.find_judgment(visit.services, alias, query)
    relevant = known.queries.get(query)
    return {
        "file": known.file,
        "known": relevant,
        "line": line,
        "relevant": relevant or (judgments.list_relevant(line) if line else ()),
    }


def _list_versions(visit: Visit, alias: str) -> list[AskedVersion]:
    """As Qdrant was seen last: a page does not wait for it."""
    return list_versions(visit.services, alias, visit.seen.aliases, visit.seen.collections)


def _read_now(visit: Visit) -> str:
    """Returns the database's time, from which ages count."""
    with visit.services.sessions() as session:
        return str(as_iso(visit.services.clock.now(session)))


def _list_records(found: ComparedAnswers) -> list[Shown]:
    """Returns every record of both answers once, in the order of its better rank."""
    sides = {"left": found["left"], "right": found["right"]}
    rows: dict[str, Shown] = {}
    for name, side in sides.items():
        for answer in side["answers"] if side else ():
            row = rows.setdefault(json.dumps(answer["record"]), _describe_record(answer))
            row[name] = answer["rank"]
    ranked = sorted(rows.items(), key=lambda entry: _best_rank(entry[1]))
    return [
        {**row, "name": f"{_BOX}{number}", "value": value}
        for number, (value, row) in enumerate(ranked, 1)
    ]


def _describe_record(answer: SideAnswer) -> Shown:
    return {
        "record": answer["record"],
        "title": answer["title"],
        "text": answer["text"],
        "left": None,
        "right": None,
    }


def _best_rank(row: Shown) -> int:
    ranks: list[int | None] = [row["left"], row["right"]]
    return min(rank for rank in ranks if rank is not None)


def _read_id(value: str) -> int | str:
    """Reads the id that a check box holds as JSON. Raises Malformed."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise Malformed(f"{quote_value(value)} is no id of a record: mark it on the page again")
    return found


def _read_limit(visit: Visit) -> int:
    given = visit.query_value("limit")
    if not given:
        return RESULTS
    if given not in map(str, CHOICES):
        raise Malformed(f"limit is {quote_value(given)}; expected {', '.join(map(str, CHOICES))}")
    return int(given)
