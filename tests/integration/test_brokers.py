"""The broker's URL means the same to Celery, to the channel of routes and to doctor; errors have
clear messages."""

import json
import socket
import threading
import time

import pytest
import redis

from qdrant_rollouts.adapters import broker, redis_broker
from qdrant_rollouts.adapters.celery import CeleryKnocker, make_app
from qdrant_rollouts.adapters.route_channel import open_channel
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Misconfigured, Refused, Unavailable
from qdrant_rollouts.core.ports import Knock
from tests.secured import Secured, make_authority
from tests.servers import HOST, Redis
from tests.shell import call


class Bound(Redis):
    """With users, a socket and two databases."""

    @property
    def socket(self):
        return self.folder / "redis.sock"

    def _command(self):
        return [*super()._command(), "--unixsocket", str(self.socket), "--databases", "2"]


@pytest.fixture(scope="module")
def server():
    with Bound() as bound:
        with redis.Redis(host=HOST, port=bound.port) as client:
            client.acl_setuser(
                "anna",
                enabled=True,
                passwords=["+p@ss/w"],
                keys="*",
                channels="*",
                commands=["+@all"],
            )
            client.acl_setuser(
                "reader",
                enabled=True,
                passwords=["+r"],
                keys="*",
                channels="*",
                commands=["+@read", "+ping", "+select", "+client"],
            )
            client.acl_setuser(
                "quiet",
                enabled=True,
                passwords=["+q"],
                keys="*",
                commands=["+@all"],
                reset_channels=True,
            )
        yield bound


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secured(server, authority):
    with Secured(server.port, authority) as relay:
        yield relay


@pytest.fixture
def url(server, secured, authority):
    """What stands in capitals in a URL of a test."""
    places = {
        "PLAIN": f"{HOST}:{server.port}",
        "TLS": f"localhost:{secured.port}",
        "CA": str(authority.certificate),
        "SOCKET": str(server.socket),
    }

    def filled(text):
        for name, value in places.items():
            text = text.replace(name, value)
        return text

    return filled


def settings(url):
    return Settings(_env_file=None, broker_url=url)


#: And the number of the database that each names.
WORK = {
    "redis://PLAIN/1": 1,
    "redis://PLAIN": 0,
    "redis://anna:p%40ss%2Fw@PLAIN/0": 0,
    "redis://127.0.0.1:9/0;redis://PLAIN/1": 1,
    "redis+socket://SOCKET?virtual_host=1": 1,
    "redis+socket://anna:p%40ss%2Fw@SOCKET": 0,
    "rediss://TLS/1?ssl_cert_reqs=CERT_NONE": 1,
    "rediss://TLS/1?ssl_cert_reqs=none": 1,
    "rediss://TLS/1": 1,
    "rediss://TLS/1?ssl_cert_reqs=required&ssl_ca_certs=CA": 1,
    "rediss://TLS/1?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs=CA&ssl_check_hostname=true": 1,
    "rediss://anna:p%40ss%2Fw@TLS/1?ssl_cert_reqs=CERT_OPTIONAL&ssl_ca_certs=CA": 1,
}


@pytest.mark.parametrize(("text", "number"), WORK.items())
def test_every_part_reaches_the_redis_that_celery_means(url, server, sqlite_url, text, number):
    chosen = Settings(_env_file=None, broker_url=url(text), database_url=sqlite_url)
    broker.ping_broker(chosen)
    broker.check_publishing(chosen)
    assert broker.check_announcing(chosen)
    make_app(chosen).send_task("test.nothing", queue="told", ignore_result=True)
    with redis.Redis(host=HOST, port=server.port, db=number) as plain:
        assert plain.llen("told") == 1
        plain.delete("told")
        assert list(plain.scan_iter("*doctor*")) == []
    with redis_broker.connect_redis(url(text)) as client:
        assert client.connection_pool.connection_kwargs["db"] == number


def test_a_message_for_the_front_is_the_next_that_any_worker_takes(redis_url, sqlite_url):
    """A worker of any release takes from the right end of the one list, as Celery has it."""
    knock = CeleryKnocker(
        make_app(Settings(_env_file=None, broker_url=redis_url, database_url=sqlite_url))
    )
    for number, first in enumerate((False, False, True, False)):
        knock(Knock(f"d{number}", 0, "create", "bulk", first=first))
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("bulk") == 4
        taken = [json.loads(client.rpop("bulk")) for _ in range(4)]
        assert client.keys("bulk*") == []
    assert [message["headers"]["root_id"] for message in taken] == ["d2", "d0", "d1", "d3"]


@pytest.mark.parametrize("text", WORK)
def test_news_of_a_route_is_heard(url, text):
    heard = threading.Event()
    stopped = threading.Event()
    names = []

    def hear(alias):
        names.append(alias)
        if alias == "docs":
            heard.set()

    channel = open_channel(url(text))
    channel.listen(hear, stopped)
    for _ in range(100):
        channel.announce("docs")
        if heard.wait(0.1):
            break
    stopped.set()
    assert "docs" in names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("redis://anna:wr0ng@PLAIN/0", "refused the credentials; check ROLLOUTS_BROKER_URL"),
        ("redis://nobody:wr0ng@PLAIN/0", "refused the credentials"),
        ("redis://PLAIN/7", "has no database of that number"),
        ("redis://reader:r@PLAIN/0", "does not let this user do that"),
        ("rediss://PLAIN/0?ssl_cert_reqs=none", "speaks no TLS; write redis://"),
        ("redis://TLS/0", "expects TLS; write rediss://"),
        ("rediss://TLS/0?ssl_cert_reqs=required", "has a certificate that is not trusted"),
        ("redis://no-such-host.invalid:6379/0", "has a host name that is not known"),
        ("redis+socket:///no/such.sock", "has no socket or file of that name"),
    ],
)
def test_a_wrong_setting_is_told_from_a_broker_that_does_not_answer(url, text, words):
    with pytest.raises(Misconfigured) as caught:
        broker.check_publishing(settings(url(text)))
    assert words in str(caught.value)
    assert "did not answer" not in str(caught.value)
    assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize("login", ["", ":wr0ng@", "default:wr0ng@"])
def test_a_redis_that_asks_for_a_password_says_so(own_redis, login):
    with redis.Redis(host=HOST, port=own_redis.port) as client:
        client.config_set("requirepass", "right")
        with pytest.raises(Misconfigured, match="refused the credentials"):
            broker.ping_broker(settings(f"redis://{login}{HOST}:{own_redis.port}/0"))
        client.config_set("requirepass", "")


def test_a_user_without_channels_is_told_of_announcements(url):
    with pytest.raises(Misconfigured, match="does not let this user do that"):
        broker.check_announcing(settings(url("redis://quiet:q@PLAIN/0")))


def test_another_server_at_that_port_is_no_redis():
    def answer():
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return
            with client:
                client.recv(100)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    door = socket.create_server((HOST, 0))
    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(Misconfigured, match="is no Redis: something else answers there"):
        broker.ping_broker(settings(f"redis://{HOST}:{door.getsockname()[1]}/0"))
    door.shutdown(socket.SHUT_RDWR)
    door.close()
    thread.join()


def test_only_where_nothing_answers_it_did_not_answer():
    with pytest.raises(
        Unavailable, match=r"the broker at redis://127.0.0.1:9/0 did not answer"
    ) as caught:
        broker.ping_broker(settings(f"redis://{HOST}:9/0"))
    assert type(caught.value) is Unavailable


def test_a_redis_without_memory_is_no_wrong_setting(own_redis):
    with redis.Redis(host=HOST, port=own_redis.port) as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(Unavailable, match="has no memory left") as caught:
            broker.check_publishing(settings(own_redis.url))
    assert type(caught.value) is Unavailable


def until_followed(client):
    for _ in range(200):
        if client.info("replication")["master_link_status"] == "up":
            return
        time.sleep(0.05)
    raise AssertionError("the replica does not follow")


def test_a_replica_may_only_be_read(own_redis):
    with Redis() as replica, redis.Redis(host=HOST, port=replica.port) as client:
        client.replicaof(HOST, own_redis.port)
        until_followed(client)
        with pytest.raises(Misconfigured, match="may only be read"):
            broker.check_publishing(settings(replica.url))


# --- what is refused before anything is asked -----------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("redis://h:notaport/0", "is not a broker URL"),
        ("redis://h/abc", "the database of a Redis is a number such as 0, found 'abc'"),
        ("redis+socket:///r.sock?virtual_host=x", "the database of a Redis is a number"),
        (
            "rediss://h/0?ssl_cert_reqs=maybe",
            "ssl_cert_reqs is 'maybe'; expected one of required, optional, none",
        ),
        (
            "rediss://h/0?ssl_ca_certs=/no/such.pem",
            "ssl_ca_certs names /no/such.pem, which is no file here",
        ),
        ("redis://h/0?nonsense=1", "has a part or parameter that Celery does not know"),
    ],
)
def test_a_url_that_celery_cannot_use_is_refused_by_the_name_of_the_setting(text, words):
    with pytest.raises(Refused, match="ROLLOUTS_BROKER_URL") as refused:
        make_app(settings(text))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "sentinel://u:hunter2@h:26379",
        "sqs://u:hunter2@",
        "nothing://h",
        "unix:///r.sock",
        "redis://h/0;kafka://h",
    ],
)
@pytest.mark.parametrize("verb", ["doctor", "list"])
def test_a_broker_that_is_not_supported_ends_every_verb_with_2(monkeypatch, capsys, text, verb):
    monkeypatch.setenv("ROLLOUTS_BROKER_URL", text)
    assert call(verb, "--json") == 2
    said = "".join(capsys.readouterr())
    assert "is not supported as a broker; expected one of memory://, redis://" in said
    assert "hunter2" not in said


def test_doctor_says_2_for_a_wrong_password_and_3_for_silence(monkeypatch, capsys, url, tmp_path):
    monkeypatch.setenv("ROLLOUTS_BROKER_URL", url("redis://anna:wr0ng@PLAIN/0"))
    assert call("doctor", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert "refused the credentials" in next(
        one["value"] for one in told["checks"] if one["name"] == "broker"
    )
    monkeypatch.setenv("ROLLOUTS_BROKER_URL", f"redis://{HOST}:9/0")
    assert call("doctor", "--json") == 3
