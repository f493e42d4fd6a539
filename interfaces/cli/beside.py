"""``rollouts search --beside``: the answers of two versions in one table."""

from rich.text import Text

from qdrant_rollouts.core.answers.asking import ComparedAnswers, Side, SideAnswer
from qdrant_rollouts.interfaces.cli import screen


def print_both(found: ComparedAnswers) -> None:
    left = found["left"]
    right = found["right"]
    out = screen.make_console()
    titles = ["MOVED", left["name"].upper(), (right or left)["name"].upper(), "ID", "RECORD"]
    rows = screen.make_table(*titles, cut=("RECORD",))
    for answer, ranks in _list_ranks(left, right):
        screen.add_row(rows, (answer["mark"], *ranks, answer["record"], _describe_record(answer)))
    if right is None:
        screen.print_note(f"{found['alias']} has no other version to ask")
    else:
        out.print(rows)
    for side in filter(None, (left, right)):
        out.print(Text(_describe_side(side), style="dim"))
    out.print(Text(found["summary"]))


def _list_ranks(
    left: Side, right: Side | None
) -> list[tuple[SideAnswer, tuple[int | None, int | None]]]:
    """Returns each record once with its ranks, first those of the left side."""
    found = [(one, (one["rank"], one["other_rank"])) for one in left["answers"]]
    others = right["answers"] if right is not None else ()
    new = [one for one in others if one["other_rank"] is None]
    return [*found, *((one, (None, one["rank"])) for one in new)]


def _describe_record(answer: SideAnswer) -> str:
    return " · ".join(filter(None, (answer["title"], answer["text"])))


def _describe_side(side: Side) -> str:
    if side["error"]:
        return screen.printable_text(f"{side['name']}, {side['collection']}: {side['error']}")
    embedding, search = (1000 * side[key] for key in ("embedding_seconds", "search_seconds"))
    return (
        f"{side['name']}, {side['collection']}: embedded in {embedding:.0f} ms, searched in "
        f"{search:.0f} ms"
    )
