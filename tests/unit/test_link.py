"""Routes and reports are two topics: what fails for one of them does not delay the other."""

import time

import pytest

from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.routing.control_plane import NotReached
from qdrant_rollouts.core.routing.link import Link


class Server:
    def __init__(self) -> None:
        self.serves_routes = True

    def give_route(self) -> str:
        if not self.serves_routes:
            raise NotReached(Unavailable("the server did not answer"))
        return "route"

    def take_report(self) -> None:
        raise NotReached(Unavailable("the server takes no reports"))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def link() -> Link:
    return Link("shop:1:a", "the rollouts server")


def test_routes_come_back_while_reports_still_fail(link: Link, server: Server) -> None:
    server.serves_routes = False
    for work in (lambda: link.report(server.take_report), lambda: link.read(server.give_route)):
        with pytest.raises(Unavailable):
            work()
    server.serves_routes = True
    found = None
    until = time.monotonic() + 5
    while found is None and time.monotonic() < until:
        with pytest.raises(Unavailable):
            link.report(server.take_report)
        try:
            found = link.read(server.give_route)
        except Unavailable:
            time.sleep(0.01)
    assert found == "route"


def test_what_nobody_foresaw_is_a_loss_that_ends_with_the_next_answer(link: Link) -> None:
    with pytest.raises(Unavailable, match=r"could not be used: ZeroDivisionError"):
        link.report(lambda: 1 // 0)
    assert link.report(lambda: "taken", at_once=True) == "taken"
    assert link.error is None
