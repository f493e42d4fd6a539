"""The transition table is the only place where a status changes."""

import pytest

from docs.make_lifecycle import PAGE, page
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import (
    DELETION_TRANSITIONS,
    DELIVERY_TRANSITIONS,
    FINAL,
    OPEN_DELETIONS,
    TRANSITIONS,
    DeletionEvent,
    DeletionStatus,
    DeliveryEvent,
    DeliveryStatus,
    Event,
    Status,
    next_deletion_status,
    next_delivery_status,
    next_status,
)


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("event", Event)
def test_an_event_outside_the_table_is_refused_in_words(status: Status, event: Event) -> None:
    if (status, event) in TRANSITIONS:
        assert next_status(status, event) is TRANSITIONS[status, event]
    else:
        with pytest.raises(Refused, match=status):
            next_status(status, event)


def test_a_final_status_has_no_way_out() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] in FINAL]


def test_every_status_can_be_reached_and_every_open_one_can_end() -> None:
    reached = {Status.PENDING}
    for _ in Status:
        reached |= {target for (origin, _), target in TRANSITIONS.items() if origin in reached}
    assert reached == set(Status)
    ending = set(FINAL)
    for _ in Status:
        ending |= {origin for (origin, _), target in TRANSITIONS.items() if target in ending}
    assert ending == set(Status)


@pytest.mark.parametrize("status", DeletionStatus)
@pytest.mark.parametrize("event", DeletionEvent)
def test_a_deletion_moves_by_its_table_alone(status: DeletionStatus, event: DeletionEvent) -> None:
    if (status, event) in DELETION_TRANSITIONS:
        assert next_deletion_status(status, event) is DELETION_TRANSITIONS[status, event]
    else:
        with pytest.raises(Refused, match=status):
            next_deletion_status(status, event)


@pytest.mark.parametrize("status", DeliveryStatus)
@pytest.mark.parametrize("event", DeliveryEvent)
def test_a_delivery_moves_by_its_table_alone(status: DeliveryStatus, event: DeliveryEvent) -> None:
    if (status, event) in DELIVERY_TRANSITIONS:
        assert next_delivery_status(status, event) is DELIVERY_TRANSITIONS[status, event]
    else:
        with pytest.raises(Refused, match=status):
            next_delivery_status(status, event)


def test_what_was_deleted_sent_or_given_up_stays_so() -> None:
    assert {origin for origin, _ in DELETION_TRANSITIONS} == set(OPEN_DELETIONS)
    assert {origin for origin, _ in DELIVERY_TRANSITIONS} == {DeliveryStatus.WAITING}


def test_the_drawing_is_made_from_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "docs/lifecycle.md is stale: python -m docs.make_lifecycle"
    )
