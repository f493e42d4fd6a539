"""What a question and a judgment may contain.

Rule: texts of people are checked before anything is asked or written, because each of them is
stored, embedded or sent to a provider.
"""

from qdrant_rollouts.core.errors import Malformed

#: Characters of a query, of a reason, and of all ids of a line together.
LONGEST_QUERY = 1_000
LONGEST_REASON = 500
LONGEST_IDS = 10_000
#: Answers of each side, and the choices of the page.
MOST_ANSWERS = 50
CHOICES = (5, 10, 20)
#: Lines of an index's proposal, and records of a line.
MOST_LINES = 1_000
MOST_RELEVANT = 100


def check_query(query: str) -> str:
    """Returns the query without blanks around it. Raises Malformed."""
    words = query.strip()
    if not words:
        raise Malformed("query is empty; say in words what to look for")
    if len(words) > LONGEST_QUERY:
        raise Malformed(
            f"query has {len(words):,} characters; at most {LONGEST_QUERY:,} are taken: shorten it"
        )
    return check_text("query", words)


def check_reason(reason: str) -> str:
    """Returns the reason without blanks around it. Raises Malformed if there is none."""
    words = reason.strip()
    if not words:
        raise Malformed("a judgment has a reason: say in a few words why the records are relevant")
    if len(words) > LONGEST_REASON:
        raise Malformed(
            f"reason has {len(words):,} characters; at most {LONGEST_REASON:,} are taken: "
            "shorten it"
        )
    return check_text("reason", words)


def check_text(what: str, text: str) -> str:
    """Raises Malformed for a text that no database and no file can store."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Malformed(f"{what} holds a NUL or half a character; leave it out")
    return text


def check_number_of_answers(limit: int) -> int:
    """Raises Malformed."""
    if not 1 <= limit <= MOST_ANSWERS:
        raise Malformed(f"limit is {limit}; expected 1 to {MOST_ANSWERS}")
    return limit
