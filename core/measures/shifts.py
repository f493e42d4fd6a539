"""Has something moved? Distances between distributions, exact tests of paired outcomes, quantiles of chance."""

from collections.abc import Sequence

import numpy as np
import scipy

from core.ports import FloatArray


def ks_distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Kolmogorov-Smirnov distance of two samples, 0 to 1. Raises ValueError where one is empty."""
    if not len(one) or not len(other):
        raise ValueError("an empty sample has no distribution")
    # Only the distance is wanted; "asymp" is its cheapest p, and has none for one value a side.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(scipy.stats.ks_2samp(one, other, method="asymp").statistic)


def mcnemar_greater(b: int, c: int) -> float:
    """One-sided exact p that ``b`` changes to the worse against ``c`` to the better are chance; 1 without any."""
    return float(scipy.stats.binomtest(b, b + c, alternative="greater").pvalue) if b + c else 1.0


def null_quantiles(queries: FloatArray, documents: FloatArray, own: Sequence[int | None]) -> tuple[float, float, float]:
    """Quantiles .5, .99 and .999 of the cosines of each query (float32[q, d]) with every document (float32[n, d]) but
    its own (``own``: a row of ``documents``, or None); see validation-gate, section 6. A vector of zeros has cosine 0
    with all. Raises ValueError where ``own`` has not one entry per query, and where no pair is left."""
    cosines = _unit(queries) @ _unit(documents).T
    kept = np.ones(cosines.shape, dtype=bool)
    for row, document in zip(range(len(queries)), own, strict=True):
        if document is not None:
            kept[row, document] = False
    if not kept.any():
        raise ValueError("no pair of a query and a foreign document: take more queries or documents")
    low, high, floor = np.quantile(cosines[kept], (0.5, 0.99, 0.999))
    return float(low), float(high), float(floor)


def _unit(rows: FloatArray) -> FloatArray:
    made: FloatArray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return made
