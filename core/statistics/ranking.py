"""How good a ranked list is, and how much two lists agree. An id counts once, at its first rank."""

import math
from collections.abc import Callable, Mapping, Sequence

from qdrant_rollouts.core.ports import PointId

Grades = Mapping[PointId, float]
Scored = Sequence[tuple[PointId, float]]


def ndcg(found: Sequence[PointId], grades: Grades, k: int = 10) -> float:
    """Normalised discounted cumulative gain, linear gain (Järvelin & Kekäläinen 2002,
    doi:10.1145/582415.582418); a grade of 0 or less is not relevant. Raises ValueError if none is
    above 0."""
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
    if not ideal:
        raise ValueError("no relevant document: nDCG has no ideal to compare with")
    gains = [max(0.0, grades.get(id, 0.0)) for id in _top_ids(found, k)]
    return _discounted_gain(gains) / _discounted_gain(ideal[:k])


def reciprocal_rank(found: Sequence[PointId], grades: Grades, k: int = 10) -> float:
    """1 / rank of the first relevant document, 0 when the top ``k`` holds none."""
    ranks = (rank for rank, id in enumerate(_top_ids(found, k), 1) if grades.get(id, 0.0) > 0)
    return next((1 / rank for rank in ranks), 0.0)


def recall(found: Sequence[PointId], grades: Grades, k: int = 100) -> float:
    """The share of all relevant documents. Raises ValueError if there are none."""
    relevant = {id for id, grade in grades.items() if grade > 0}
    if not relevant:
        raise ValueError("no relevant document: recall has nothing to find")
    return len(relevant.intersection(_top_ids(found, k))) / len(relevant)


def precision(found: Sequence[PointId], grades: Grades, k: int = 10) -> float:
    """The share of the first ``k`` places that hold a relevant document."""
    return sum(grades.get(id, 0.0) > 0 for id in _top_ids(found, k)) / k


def average_precision(found: Sequence[PointId], grades: Grades, k: int = 100) -> float:
    """The mean of the precision at each relevant document, 0 for one that is not found. Raises
    ValueError if there are none."""
    relevant = {id for id, grade in grades.items() if grade > 0}
    if not relevant:
        raise ValueError("no relevant document: average precision has nothing to find")
    ranks = [rank for rank, id in enumerate(_top_ids(found, k), 1) if id in relevant]
    return sum(number / rank for number, rank in enumerate(ranks, 1)) / len(relevant)


def hole_share(found: Sequence[PointId], grades: Grades, k: int = 10) -> float:
    """The share of the first ``k`` results that nobody has judged; grade 0 is a judgment too."""
    top = _top_ids(found, k)
    if not top:
        return 0.0
    return sum(id not in grades for id in top) / len(top)


# Equal scores have no order; the order in which a server returns them is chance. So each measure is
# the mean over all orders of tied results (McSherry & Najork 2008, «Computing Information Retrieval
# Performance Measures Efficiently in the Presence of Tied Scores»,
# doi:10.1007/978-3-540-78646-7_38, sections 2.2 to 2.6).


def expected_ndcg(found: Scored, grades: Grades, k: int = 10) -> float:
    """nDCG as above; each place of a tie has the mean gain of all tied results."""
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
    if not ideal:
        raise ValueError("no relevant document: nDCG has no ideal to compare with")
    gains: list[float] = []
    for group in _group_ties(found):
        mean = sum(max(0.0, grades.get(id, 0.0)) for id in group) / len(group)
        gains += [mean] * len(group)
    return _discounted_gain(gains[:k]) / _discounted_gain(ideal[:k])


def expected_reciprocal_rank(found: Scored, grades: Grades, k: int = 10) -> float:
    """For the first tie with a relevant document: its first relevant document is at each place as
    often as there are arrangements of the others behind it."""
    before = 0
    for group in _group_ties(found):
        relevant = sum(grades.get(id, 0.0) > 0 for id in group)
        size = len(group)
        if relevant:
            ways = math.comb(size, relevant)
            return sum(
                math.comb(size - 1 - at, relevant - 1) / ways / (before + at + 1)
                for at in range(size - relevant + 1)
                if before + at < k
            )
        before += size
    return 0.0


def expected_recall(found: Scored, grades: Grades, k: int = 100) -> float:
    """If the end of the list cuts a tie, the tie counts by its share within the list."""
    relevant = {id for id, grade in grades.items() if grade > 0}
    if not relevant:
        raise ValueError("no relevant document: recall has nothing to find")
    return _expected_share(found, relevant.__contains__, k) / len(relevant)


def expected_holes(found: Scored, grades: Grades, k: int = 10) -> float:
    places = min(k, len({id for id, _ in found}))
    if not places:
        return 0.0
    return _expected_share(found, lambda id: id not in grades, k) / places


def _expected_share(found: Scored, counts: Callable[[PointId], bool], k: int) -> float:
    expected = 0.0
    before = 0
    for group in _group_ties(found):
        within = min(len(group), max(0, k - before))
        expected += sum(map(counts, group)) * within / len(group)
        before += len(group)
    return expected


def _group_ties(found: Scored, tolerance: float = 1e-6) -> list[list[PointId]]:
    """Ids in groups of one score, which is that of the group's first; each id once."""
    groups: list[list[PointId]] = []
    seen: set[PointId] = set()
    first = math.nan
    for id, score in found:
        if id in seen:
            continue
        seen.add(id)
        if groups and _is_tie(score, first, tolerance):
            groups[-1].append(id)
        else:
            groups.append([id])
            first = score
    return groups


def settle_ties(ours: Scored, theirs: Scored, tolerance: float = 1e-6) -> list[PointId]:
    """Returns the ids of ``ours``, with ties ordered like ``theirs``: equal scores have no order,
    and which of them are at the end of a cut list is chance. Both lists are best first, with scores
    of one scale."""
    rank = {id: at for at, (id, _) in enumerate(theirs)}
    ids = {id for id, _ in ours}
    last = theirs[-1][1] if theirs else math.nan
    spare = [id for id, score in theirs if id not in ids and _is_tie(score, last, tolerance)]
    settled: list[PointId] = []
    group: list[PointId] = []
    for at, (id, score) in enumerate(ours):
        if at and not _is_tie(score, ours[at - 1][1], tolerance):
            settled += sorted(group, key=lambda one: rank.get(one, len(rank)))
            group = []
        cut_off = id not in rank and _is_tie(score, last, tolerance) and spare
        group.append(spare.pop(0) if cut_off else id)
    return settled + sorted(group, key=lambda one: rank.get(one, len(rank)))


def top_overlap(one: Sequence[PointId], other: Sequence[PointId], k: int = 10) -> float:
    """Common items of both first ``k``, as a share of the longer list; two empty lists agree."""
    ours = _top_ids(one, k)
    theirs = _top_ids(other, k)
    depth = max(len(ours), len(theirs))
    if not depth:
        return 1.0
    return len(set(ours).intersection(theirs)) / depth


def rbo_ext(one: Sequence[PointId], other: Sequence[PointId], k: int = 10, p: float = 0.9) -> float:
    """Rank-biased overlap, extrapolated (Webber, Moffat & Zobel 2010, doi:10.1145/1852102.1852106,
    RBO_EXT): 1 for equal lists, 0 for lists without a common item; early ranks weigh most. Two
    empty lists are equal. Raises ValueError unless k >= 1 and 0 < p < 1."""
    if k < 1 or not 0 < p < 1:
        raise ValueError(
            f"k is {k} and p is {p}: take k from 1 up, and p between 0 and 1 without either"
        )
    ours = _top_ids(one, k)
    theirs = _top_ids(other, k)
    depth = max(len(ours), len(theirs))
    if not depth:
        return 1.0
    common = [len(set(ours[:d]).intersection(theirs[:d])) for d in range(1, depth + 1)]
    weighed = sum(x / d * p**d for d, x in enumerate(common, 1))
    return common[-1] / depth * p**depth + (1 - p) / p * weighed


def hits_at_least(
    scores: Sequence[float],
    truth: Sequence[float],
    k: int = 10,
    *,
    rising: bool = True,
    tolerance: float = 1e-6,
) -> float:
    """Recall by scores: how many of the first ``k`` reach the k-th score of exact search, so that
    ties count as found. ``rising`` is False for distances, where less is better. If there is
    nothing to find, everything is found; if the k-th score is NaN, so is the answer."""
    wanted = min(k, len(truth))
    if not wanted:
        return 1.0
    last = truth[wanted - 1]
    if math.isnan(last):
        return math.nan
    slack = tolerance * max(1.0, abs(last))
    reached = sum(
        score >= last - slack if rising else score <= last + slack for score in scores[:k]
    )
    return min(1.0, reached / wanted)


def found_of_best(
    found: Sequence[tuple[PointId, float]],
    best: Sequence[tuple[PointId, float]],
    k: int = 10,
    *,
    rising: bool = True,
    tolerance: float = 1e-6,
) -> float:
    """Recall compared with exact search. By scores if both searches score alike, so that ties count
    as found. An index that answers with the scores of quantized numbers has another scale (Qdrant
    1.16.3, binary without rescoring: 34 for a cosine of 0.22); then only points that exact search
    names count as found."""
    exact = dict(best)
    shared = [(score, exact[id]) for id, score in found if id in exact]
    if all(
        _is_tie(one, other, tolerance)
        for one, other in shared or _incomparable_tops(found, best, rising)
    ):
        scores = [score for _, score in found]
        truth = [score for _, score in best]
        return hits_at_least(scores, truth, k, rising=rising, tolerance=tolerance)
    wanted = {id for id, _ in best[:k]}
    return len(wanted & {id for id, _ in found[:k]}) / len(wanted)


def _incomparable_tops(
    found: Sequence[tuple[PointId, float]], best: Sequence[tuple[PointId, float]], rising: bool
) -> list[tuple[float, float]]:
    """For two lists without a common point: a score better than the best possible one is of another
    scale."""
    if not found or not best:
        return []
    one = found[0][1]
    other = best[0][1]
    beyond = one > other if rising else one < other
    return [(one, other)] if beyond else []


def _is_tie(one: float, other: float, tolerance: float) -> bool:
    return abs(one - other) <= tolerance * max(1.0, abs(other))


def _top_ids(found: Sequence[PointId], k: int) -> list[PointId]:
    return list(dict.fromkeys(found))[:k]


def _discounted_gain(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
