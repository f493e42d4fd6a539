"""What a row that did not pass means for searches, and what to do about it, for people who do not
know statistics."""

from collections.abc import Mapping
from dataclasses import replace

from qdrant_rollouts.core.gate.checks.finding import Check

#: By check: what it means, and what to do.
_WORDS: Mapping[str, tuple[str, str]] = {
    "ready": (
        "The server is still building the index, or has stopped: searches would be slow or miss "
        "records.",
        "Wait and retry; where nothing moves, look at the server's log and at its memory and disk.",
    ),
    "count": (
        "Records are missing, or some are there twice: searches would lack answers or repeat them.",
        "Look at what the deployment says it read and left out, and deploy again.",
    ),
    "vector_presence": (
        "Some records lack a vector that searches ask for: those searches would not find them any "
        "more.",
        "Declare how that vector is made (vectors), or that it may be missing (optional) or goes "
        "(dropped).",
    ),
    "vector_schema": (
        "The collection is not built as declared: searches may fail, or compare what cannot be "
        "compared.",
        "Declare the settings that are wanted in collection and embedding, and deploy again.",
    ),
    "payload_schema": (
        "A field that searches filter by has no index: filters become slow, and strict servers "
        "refuse them.",
        "Declare it in collection.payload_indexes with the type that live has, and deploy again.",
    ),
    "model_stamp": (
        "Queries would be embedded by another model than the records: answers would be chance.",
        "Deploy again with the model that is declared, or declare the one that made the "
        "collection.",
    ),
    "round_trip": (
        "Records are not stored as the source has them, or their vectors are those of other "
        "texts: searches would find the wrong ones.",
        "Look at the records that are named. If the source is written to meanwhile, retry; else "
        "deploy again, and look at what fills the collection.",
    ),
    "vector_sanity": (
        "Some vectors cannot be searched, or stand for unlike texts at once: their records are "
        "never found, or always.",
        "Look at the records that are named, and at the model or the source that made their "
        "vectors.",
    ),
    "self_retrieval": (
        "The index does not even find a record by its own vector: searches would miss what is "
        "there.",
        "Give the index more effort (collection.hnsw: m, ef_construct) or milder quantization, and "
        "deploy again.",
    ),
    "ann_recall@10": (
        "The index misses answers that are in the collection.",
        "Give the index more effort (collection.hnsw: m, ef_construct) or milder quantization, and "
        "deploy again.",
    ),
    "filtered_recall@10": (
        "With a filter the index misses answers that are in the collection.",
        "Declare a payload index for the field, or give the index more effort (collection.hnsw), "
        "and deploy again.",
    ),
    "zero_result": (
        "People would see an empty page where they saw answers before.",
        "Look at the queries that are named, and whether the records that they found on live are "
        "still there.",
    ),
    "min_results": (
        "Some of your queries get fewer answers than you asked for.",
        "Look at the queries that are named; if so few are right, lower validation.min_results.",
    ),
    "min_top_score": (
        "The best answers are no better than chance would give, or below the score that was "
        "declared.",
        "Look at the answers to the queries that are named. If they are right, declare a number "
        "that fits the model in validation.min_top_score, or leave the check out "
        "(validation.checks.min_top_score: false).",
    ),
    "score_floor": (
        "The worst of your queries has no answer above the bound that was declared.",
        "Look at the answers to the queries that are named, or lower "
        "validation.checks.score_floor.",
    ),
    "judged_quality": (
        "People who judged these queries would find their answers further down, or not at all.",
        "Look at the worst queries below and at what lost the answers. If this is meant, set "
        "validation.checks.judged_quality to how much may be lost, such as -0.05, or judge the "
        "new records.",
    ),
    "ndcg@10": (
        "The answers that people judged relevant rank lower than the bound allows.",
        "Look at the worst queries below, or set another bound in validation.checks.",
    ),
    "mrr@10": (
        "The first relevant answer ranks lower than the bound allows.",
        "Look at the worst queries below, or set another bound in validation.checks.",
    ),
    "recall@100": (
        "Relevant records are not even among the first hundred answers.",
        "Look at the worst queries below, or set another bound in validation.checks.",
    ),
    "holes@10": (
        "Many answers here were never judged: whether they are better or worse than live's is "
        "unknown.",
        "Have these answers judged (validation.judged), or set another bound in "
        "validation.checks.holes@10.",
    ),
    "regressions": (
        "Some queries that were answered well before are answered badly now, whatever the mean "
        "says.",
        "Look at the queries that are named. If they may be lost, set the share in "
        "validation.checks.regressions.",
    ),
    "count_vs_live": (
        "The new collection has much less in it than the one that serves: searches would lack "
        "answers.",
        "Look whether the source is complete. If such a loss is intended, set the share in "
        "validation.checks.count_vs_live.",
    ),
    "slices": (
        "A part of the records, such as a language or a tenant, has lost its points.",
        "Look whether the source still has it. If it may go, set the share in "
        "validation.checks.slices.",
    ),
    "overlap": (
        "The answers are others than on live. That may be what was wanted; it is not known to be "
        "better.",
        "Look at the worst queries below. If this is meant, set a lower bound in "
        "validation.checks.overlap.",
    ),
    "score_shift": (
        "Scores have moved: applications that cut answers off at a score get more or fewer of "
        "them.",
        "Look at what applications do with scores. If this is meant, set a higher bound in "
        "validation.checks.",
    ),
    "latency_p50": (
        "A usual search takes longer than on live.",
        "Look at quantization and collection.hnsw, or set a higher bound in validation.checks.",
    ),
    "latency_p95": (
        "The slowest searches take longer than on live.",
        "Look at quantization and collection.hnsw, or set a higher bound in validation.checks.",
    ),
    "capacity": (
        "The server has no room left: it may refuse writes, or stop.",
        "Make room (`rollouts gc` shows what can be deleted), give the server more, or quantize, "
        "and retry.",
    ),
    "query_path": (
        "A search as applications make it finds nothing in the new collection.",
        "Look at the collection's stamp and at its vectors; deploy again.",
    ),
}


def with_words(checks: Mapping[str, Check]) -> dict[str, Check]:
    """Returns the checks; those without their own texts get the texts above."""
    return {name: _add_words(name, check) for name, check in checks.items()}


def _add_words(name: str, check: Check) -> Check:
    if name not in _WORDS or check.means:
        return check
    means, act = _WORDS[name]
    return replace(check, means=means, act=act)
