"""The journal's protocol loses nothing and brings nothing back, whoever dies, stands still or comes
late; and each of its rules is needed for that."""

import pytest

from tests.journal_model import Broken, ModelWorld
from tests.journal_removals import REMOVALS

#: A schedule in which it shows that the rule is gone; found by trying them from 0 on.
SHOWN_BY = {
    "unfinished writes are carried into the capture": 287,
    "rows are written under the lock of their alias": 82,
    "one round at a time": 15,
    "wait for what may still arrive": 357,
    "drain in the fence": 0,
    "acknowledge only what is under way": 51,
    "read only what has ended": 22,
    "a quarantine longer than any pause": 343,
    "every writer confirms": 30,
    "confirm only without writes under way": 505,
    "ask when the lease ran out": 60,
    "acknowledge only under the lease": 334,
    "only the turn's owner": 11,
    "a fence has a budget": 0,
}


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fifth", range(5))
def test_no_write_is_lost_or_comes_back_in_any_schedule(fifth, effort):
    many = effort(60, 20_000)
    for seed in range(fifth * many, (fifth + 1) * many):
        ModelWorld(seed).run()


@pytest.mark.parametrize("rule", REMOVALS)
def test_a_rule_that_is_taken_away_is_missed(rule):
    ModelWorld(SHOWN_BY[rule]).run()
    with pytest.raises(Broken):
        ModelWorld(SHOWN_BY[rule], REMOVALS[rule]).run()
