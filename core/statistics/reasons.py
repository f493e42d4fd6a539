"""Why there is no number, in words for people."""

#: By the code of an ``Unclear``; ``{control}`` is what the control is called.
_WORDS = {
    "no_data": "no data yet",
    "too_few_units": "too few users",
    "variance_not_positive": "the values do not vary",
    "control_not_positive": "{control} is not above 0",
    "control_too_noisy": "{control} is too noisy to compare with",
    "quantile_unresolved": "too few events to tell this quantile",
}
CODES = frozenset(_WORDS)


def explain_reason(code: str, control: str = "control") -> str:
    """Another program may have written a code that this one does not know."""
    return _WORDS.get(code, code.replace("_", " ")).format(control=control)
