"""Which model made the collections, if green's own stamp does not simply say it."""

from qdrant_rollouts.core.collections.model_proof import PROVEN
from qdrant_rollouts.core.gate.checks.finding import Finding, Verdict, cannot_tell
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.statistics import intervals


def is_model_known(gate: GateContext) -> bool:
    """Is there anything to compare? Not without any model, and not if green's origin is unknown."""
    live = gate.live
    return (
        live is not None
        and live.kinship != "own"
        and (live.kinship != "unknown" or not _is_unknown(gate))
    )


def judge_live_model(gate: GateContext, bound: float | None) -> Finding:
    """Did green's model also make live? If live's model is unknown, a person accepts that
    beforehand (``accept_new_model``); in a canary searches by vector stay on live until then."""
    live = gate.live
    if live is None:
        return cannot_tell("there is no live collection to compare with")
    if live.kinship == "same":
        return _find_in_words("pass", 1.0, 1, f"{live.collection} was made by the same model")
    if live.kinship == "other":
        return _find_in_words(
            "pass", 0.0, 1, f"{live.collection} was made by another model, as declared"
        )
    found = gate.agreement(live.collection, gate.vector)
    measured = f": {found['words']}" if found else ""
    said = (
        f"nobody wrote down which model made {live.collection}, and it is not proven to be this "
        f"one{measured}"
    )
    if gate.spec.accept_new_model:
        return _find_in_words("pass", 0.0, 1, f"{said}; accepted by accept_new_model")
    if gate.unknown_is_fine:
        return _find_in_words("pass", 0.0, 1, f"{said}; {gate.unknown_is_fine}")
    return _find_in_words("inconclusive", None, int(found["of"]) if found else 0, said)


def _find_in_words(
    verdict: Verdict, value: float | None, n: int, words: str, bound: float | None = None
) -> Finding:
    """Uses the words as the sentence for people, because they contain no figure that needs
    statistics."""
    return Finding(verdict, value, n, words, bound, found=f"{words[0].upper()}{words[1:]}.")


def not_compared(gate: GateContext) -> str:
    live = gate.live
    if live is None or (live.known and not gate.unknown_green):
        return ""
    if live.kinship == "own":
        return (
            "models were not compared: the index declares none, and nobody wrote down which one "
            "made "
            f"{_name_unknown(gate, live.collection, live.known)}"
        )
    return (
        "models were not compared: nobody knows which one made "
        f"{_name_unknown(gate, live.collection, live.known)}"
    )


def judge_declared_model(gate: GateContext, bound: float | None) -> Finding:
    """Did the declared model make a collection that another program filled? The check embeds its
    texts again."""
    found = gate.agreement(gate.green, gate.vector)
    if not gate.unknown_green:
        return _find_in_words(
            "pass",
            1.0,
            1,
            f"{gate.green} says by its stamp what made it, and model_stamp compares that",
        )
    if found is None or not found["of"]:
        return cannot_tell(found["words"] if found else "no model is declared")
    of = int(found["of"])
    alike = int(found["alike"])
    words = (
        f"of {of} texts of {gate.green} that were embedded again with the declared model {alike} "
        "agree"
    )
    if found["proven"]:
        return _find_in_words("pass", alike / of, of, words, PROVEN)
    sure = intervals.share_interval(alike, of).high < PROVEN
    return _find_in_words("block" if sure else "inconclusive", alike / of, of, words, PROVEN)


def can_be_embedded_again(gate: GateContext) -> bool:
    found = gate.agreement(gate.green, gate.vector)
    return gate.unknown_green and found is not None and bool(found["of"])


def not_embedded_again(gate: GateContext) -> str:
    found = gate.agreement(gate.green, gate.vector)
    if not gate.unknown_green or found is None:
        return ""
    return f"whether the declared model made {gate.green} was not checked: {found['words']}"


def no_stamp(gate: GateContext) -> str:
    if not gate.unknown_green:
        return ""
    return (
        f"{gate.green} was made elsewhere and carries no stamp: its model and text template were "
        "not compared"
    )


def _is_unknown(gate: GateContext) -> bool:
    found = gate.agreement(gate.green, gate.vector)
    return gate.unknown_green and not (found and found["proven"])


def _name_unknown(gate: GateContext, live: str, known: bool) -> str:
    names = ([live] if not known else []) + ([gate.green] if _is_unknown(gate) else [])
    return " and ".join(names)
