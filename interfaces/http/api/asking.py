"""One query on two versions, and the proposal of judged queries."""

from qdrant_rollouts.core.answers.asking import ComparedAnswers, JudgedProposal, JudgmentChange
from qdrant_rollouts.core.operations.asking import judgments
from qdrant_rollouts.core.operations.asking.compare import compare_answers
from qdrant_rollouts.interfaces.access.asking import PLACES
from qdrant_rollouts.interfaces.http.api.endpoint import Call, NoQuery
from qdrant_rollouts.interfaces.http.api.requests.asking import (
    AnswerComparisonQuery,
    JudgmentRemovalRequest,
    JudgmentRequest,
)


def ask_both(call: Call, given: AnswerComparisonQuery) -> ComparedAnswers:
    with PLACES.take_place():
        return compare_answers(
            call.services, call.path["alias"], given.query, given.left, given.right, given.limit
        )


def get_proposal(call: Call, given: NoQuery) -> JudgedProposal:
    return judgments.read_proposal(call.services, call.path["alias"])


def add_judgment(call: Call, given: JudgmentRequest) -> JudgmentChange:
    return judgments.add_judgment(
        call.services,
        call.path["alias"],
        given.query,
        given.relevant,
        actor=call.actor,
        reason=given.reason,
    )


def take_out_judgment(call: Call, given: JudgmentRemovalRequest) -> JudgmentChange:
    return judgments.take_out_judgment(
        call.services, call.path["alias"], given.query, actor=call.actor, reason=given.reason
    )
