"""The report of an experiment at the terminal: the decision, whether the data can be trusted, and
every metric."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from qdrant_rollouts.core.statistics.reasons import explain_reason
from qdrant_rollouts.interfaces import figures, symbols
from qdrant_rollouts.interfaces.cli.screen import (
    STYLES,
    add_row,
    format_age,
    make_table,
    printable_text,
    seconds_since,
    status_symbol,
    status_text,
)

Seen = Mapping[str, Any]

_LEGEND = (
    "P and the intervals hold at every look; P of secondary metrics is corrected for their number. "
    "t: p of Welch's "
    "t-test, for comparison: valid for one planned look only, it decides nothing."
)


def render_list(experiments: Sequence[Seen]) -> RenderableType:
    if not experiments:
        return Text("no experiments yet; `rollouts experiment create` starts one")
    rows = make_table(
        "NAME",
        "ID",
        "ALIAS",
        "STATUS",
        "DECISION",
        "AGE",
        "ACTOR",
        "MESSAGE",
        drop=("ACTOR", "AGE", "ALIAS"),
    )
    for seen in experiments:
        at = format_age(seconds_since(seen["created_at"]))
        decided = _action_text(seen["last_decision"]) if seen["last_decision"] else Text("")
        names = (seen["name"], seen["id"], seen["alias"], status_text(seen["status"]), decided)
        add_row(rows, (*names, at, seen["actor"], seen["message"]))
    return rows


def render_head(seen: Seen) -> RenderableType:
    """Renders the experiment and its arms."""
    title = Text.assemble(
        status_symbol(seen["status"]),
        " ",
        (printable_text(seen["name"]), "bold"),
        f"  {seen['status']}",
    )
    title.append(
        f"  {seen['alias'] or 'no alias'}  {seen['id']}{_describe_progress(seen)}", style="dim"
    )
    grid = Table.grid(padding=(0, 2, 0, 0))
    arms = seen["spec"]["arms"]
    units = seen.get("units", {})
    for arm in arms:
        branch = "└─ " if arm is arms[-1] else "├─ "
        users = ""
        if arm["variant"] in units:
            users = f"{units[arm['variant']]:,} users"
        share = "in one list"
        if seen["mode"] != "interleave":
            share = figures.format_basis_points(arm["weight"])
        grid.add_row(
            Text.assemble((branch, "dim"), arm["variant"]),
            printable_text(arm["collection"]),
            share,
            users,
        )
    return Group(title, grid, *_describe_writes(seen), *_status_message(seen))


def render_report(seen: Seen) -> RenderableType:
    """Renders the whole report in reading order."""
    parts = [
        render_head(seen),
        _describe_decision(seen),
        *_describe_quality(seen),
        *_tables_of_metrics(seen),
        *_table_of_preferences(seen),
        *_table_of_counts(seen),
    ]
    return Group(
        *(part if part is parts[0] else Padding(part, (1, 0, 0, 0), expand=False) for part in parts)
    )


def _describe_writes(seen: Seen) -> Iterator[Text]:
    """Yields what becomes of writes to the control, for each treatment."""
    for one in seen.get("writes", ()):
        told = f"{one['variant']}: {printable_text(one['text'])}"
        if one["round_ended_at"] is not None:
            told += f", {format_age(seconds_since(one['round_ended_at']))} ago"
        yield Text(told, style="dim")


def _status_message(seen: Seen) -> list[Text]:
    """Returns why the experiment was stopped, or what followed its decision. It does not repeat the
    decision."""
    decided = seen.get("decided") or {}
    if (
        not seen["message"]
        or seen["message"] == f"{decided.get('action')}: {decided.get('reason')}"
    ):
        return []
    return [Text(f"{seen['status']}: {printable_text(seen['message'])}")]


def _describe_progress(seen: Seen) -> str:
    stages = seen["stages"]
    taking = ""
    if stages:
        taking = f"  {figures.format_basis_points(stages[-1]['coverage'])} of the users take part"
    if "days" in seen:
        return f"{taking}  after {figures.days(seen['days'])}"
    return taking


# --- what is to be done ---------------------------------------------------------------------------


def _describe_decision(seen: Seen) -> RenderableType:
    """Describes the decision, and what the present data say if that is different."""
    now = seen["decision"]
    then = None
    if seen["status"] == "decided":
        then = seen["decided"]
    before = ""
    if seen["status"] == "stopped":
        before = "stopped before it was decided; the data say: "
    lines = [_decision_sentence(then or now, before)]
    if then and then["action"] != now["action"]:
        lines.append(
            Text(
                f"  the data now say: {symbols.DECISIONS[now['action']].words}: "
                f"{printable_text(now['reason'])}",
                style="dim",
            )
        )
    if seen["deployment_id"]:
        lines.append(Text(f"  shipped by deployment {seen['deployment_id']}"))
    return Group(*lines, *_describe_time_left(seen))


def _decision_sentence(decision: Seen, before: str) -> Text:
    return Text.assemble(
        before, _action_text(decision["action"]), f": {printable_text(decision['reason'])}"
    )


def _action_text(action: str) -> Text:
    sign, tone, words = symbols.DECISIONS[action]
    return Text(f"{sign} {words}", style=STYLES[tone])


def _describe_time_left(seen: Seen) -> list[Text]:
    """Describes the time and the users still needed at the present rate."""
    left = seen["decision"]["days_left"]
    passed = seen["days"]
    if seen["status"] != "running" or not left:
        return []
    users = 0
    if passed:
        users = sum(seen["units"].values()) / passed * left
    more = ""
    if users:
        more = f", {figures.format_count(users)} users"
    return [Text(f"  still needed, at the pace so far: about {figures.days(left)}{more}")]


# --- can the data be believed? --------------------------------------------------------------------


def _describe_quality(seen: Seen) -> Iterator[RenderableType]:
    """Describes the quality of the data, if users are split. Interleaved users see both arms, so
    there are no shares."""
    if "shares" not in seen:
        return
    shares = seen["shares"]
    quality = seen["quality"]
    bad = seen["decision"]["action"] == "INVALID"
    head = Text(
        "✖ the data cannot be trusted" if bad else "✔ no fault in the data",
        style="red" if bad else "green",
    )
    chi = "none"
    if shares["chi_square_p"] is not None:
        chi = figures.format_p(shares["chi_square_p"])
    told = {
        "sample ratio": f"p {figures.format_p(shares['p'])}, sequential; below 0.001 it is a fault",
        "": f"chi-square p {chi} beside it, valid for one look only",
        "in both arms": f"{quality['crossover']:.2%} of the users; above 1 % it is a fault",
        "never exposed": f"{quality['orphans']:.2%} of the observations; above 1 % it is a fault",
        "changed": printable_text(quality["changed"]),
    }
    grid = Table.grid(padding=(0, 2, 0, 0))
    for what, words in told.items():
        if words:
            grid.add_row(Text(f"  {what}", style="dim"), words)
    yield Group(head, grid)


def _table_of_counts(seen: Seen) -> Iterator[RenderableType]:
    """Lists feedback that belongs to no metric."""
    if seen["counts"]:
        rows = make_table("FEEDBACK NOT IN ANY METRIC", "ARM", "METRIC", "TIMES")
        for one in seen["counts"]:
            add_row(rows, (one["what"], one["variant"], one["metric"], f"{one['count']:,}"))
        yield rows


# --- metrics --------------------------------------------------------------------------------------


def _tables_of_metrics(seen: Seen) -> Iterator[RenderableType]:
    """Yields the tables of metrics: for all users so far, and for users whose windows have
    closed."""
    over = f"{seen['spec']['window_hours']:g} hours over"
    spec = {metric["name"]: metric for metric in seen["spec"]["metrics"]}
    for arm in seen["spec"]["arms"][1:]:
        for key, whose, what in (
            ("comparisons", "all so far", "rollback"),
            ("closed", over, "winner"),
        ):
            mine = [one for one in seen[key] if one["variant"] == arm["variant"]]
            if mine:
                control, treatment = mine[0]["units"]
                users = f"{treatment:,} and {control:,} users"
                title = (
                    f"{arm['variant']} against control, {whose}: {users} (a {what} is read here)"
                )
                yield Group(Text(title, style="bold"), _table_of_comparisons(mine, spec))
    if seen["comparisons"]:
        yield Text(_LEGEND, style="dim")


def _table_of_comparisons(compared: Sequence[Seen], spec: Mapping[str, Seen]) -> RenderableType:
    rows = make_table("METRIC", "CONTROL", "TREATMENT", "EFFECT", "P", "VERDICT")
    for found in compared:
        unit = figures.unit_of_metric(spec[found["metric"]])
        values = (
            "" if found[arm] is None else unit.value(found[arm]) for arm in ("control", "treatment")
        )
        fixed = ""
        if found["t_test"]:
            fixed = f"t {figures.format_p(found['t_test']['p'])}"
        name = _two_lines(printable_text(found["metric"]), f"  {found['role']}")
        told = found["p_adjusted"] or found["p"]
        add_row(
            rows,
            (
                name,
                *values,
                _two_lines(*_effect_texts(found, unit)),
                _two_lines(figures.format_p(told), fixed),
                _comparison_verdict(found),
            ),
        )
    return rows


def _two_lines(first: str, second: str) -> Text:
    return Text.assemble(first, (f"\n{second}" if second else "", "dim"))


def _effect_texts(found: Seen, unit: figures.Unit) -> tuple[str, str]:
    """Returns the effect that decides the verdict, with its interval or the reason for its absence.
    The second value is the same effect in the other form: as a share of control, or as a
    difference."""
    if found["difference"] is None:
        return explain_reason(found["reason"]), ""
    if unit.logarithm or found["relative"]:
        write = unit.change if unit.logarithm else figures.format_percent
        return _with_interval(found, write), unit.between(found["control"], found["treatment"])
    share = found["relative_effect"]
    if share["effect"] is None:
        return _with_interval(found, unit.change), f"no share: {explain_reason(share['reason'])}"
    return _with_interval(found, unit.change), figures.format_percent(share["effect"])


def _with_interval(found: Seen, write: Callable[[float], str]) -> str:
    told = figures.format_interval(write, found["difference"], found["low"], found["high"])
    if found["reason"]:
        return f"{told} ({explain_reason(found['reason'])})"
    return told


def _comparison_verdict(found: Seen) -> Text:
    symbol = symbols.VERDICTS[found["verdict"]]
    said = found["verdict"].replace("_", " ")
    if found["worse"] and found["not_worse"]:
        symbol = symbols.WORSE_WITHIN_MARGIN
        said = "worse, within its margin"
    return Text(f"{symbol.sign} {said}", style=STYLES[symbol.tone])


def _table_of_preferences(seen: Seen) -> Iterator[RenderableType]:
    """Yields the table of interleaved lists: how many users preferred which arm."""
    found = seen.get("interleaving")
    if not found:
        return
    rows = make_table("PREFERRED", "USERS")
    for whose, key in (("treatment", "wins"), ("control", "losses"), ("neither", "ties")):
        add_row(rows, (whose, f"{found[key]:,}"))
    users = (
        f"{found['users']:,} users have met {found['lists']:,} lists that are still kept; a user "
        "counts once, after"
    )
    over = f"{seen['spec']['window_hours']:g} hours."
    yield Group(rows, *_win_rate(found), Text(f"{users} {over}", style="dim"))


def _win_rate(found: Seen) -> list[Text]:
    wins = found["wins"]
    losses = found["losses"]
    if not wins + losses:
        return []
    ends = wins / (wins + losses), found["win_rate_low"], found["win_rate_high"]
    told = figures.format_interval(lambda rate: figures.format_percent(rate, ""), *ends)
    return [
        Text(
            f"of those who prefer one, {told} prefer treatment; "
            f"p {figures.format_p(found['p'])}; both hold at every look"
        )
    ]
