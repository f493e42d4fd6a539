"""``rollouts init`` on a real server: the files that it writes are right as they stand, lead to a
live index, and nothing is written over."""

import re
import stat

import pytest
from dotenv import dotenv_values
from qdrant_client import QdrantClient, models

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, load_index_file
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.interfaces.cli.commands.init import LOCAL_SERVER, find_server
from tests.runners import deploy, running
from tests.servers import HOST, Qdrant, free_ports, port_is_free
from tests.shell import Shell, records, write

KEY = "k3y-of-the-server"
MODEL = "hashing:64"


def page(number):
    return {
        "title": f"Garden {number}",
        "page_content": f"How to grow plants, page {number} of a book about gardens.",
        "shop": f"shop-{number % 3}",
    }


def make_alias(client, name):
    """An alias whose collection another program made, with a model and a sparse vector."""
    collection = f"{name}-v1"
    client.create_collection(
        collection,
        vectors_config={"dense": models.VectorParams(size=64, distance="Cosine")},
        sparse_vectors_config={"words": models.SparseVectorParams(modifier="idf")},
    )
    tenant = models.KeywordIndexParams(type="keyword", is_tenant=True)
    client.create_payload_index(collection, "shop", tenant)
    texts = [f"{one['title']}\n{one['page_content']}" for one in map(page, range(60))]
    dense = open_embedder(EmbeddingSpec(model=MODEL)).documents(texts)
    words = models.SparseVector(indices=[1, 7], values=[1.0, 0.5])
    points = [
        models.PointStruct(
            id=n, vector={"dense": dense[n].tolist(), "words": words}, payload=page(n)
        )
        for n in range(60)
    ]
    client.upsert(collection, points, wait=True)
    alias = models.CreateAlias(collection_name=collection, alias_name=name)
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])


@pytest.fixture(scope="module")
def found(qdrant_server):
    """The URL of a server with two aliases, and a collection without an alias."""
    client = QdrantClient(url=qdrant_server.url)
    make_alias(client, "init-pages")
    make_alias(client, "init-books")
    vectors = models.VectorParams(size=4, distance="Dot")
    client.create_collection("init-bare", vectors_config=vectors)
    client.upsert("init-bare", [models.PointStruct(id=1, vector=[1, 2, 3, 4], payload={})])
    yield qdrant_server.url
    for one in client.get_collections().collections:
        if one.name.startswith("init-"):
            client.delete_collection(one.name)
    client.close()


@pytest.fixture(scope="module")
def keyed():
    """An empty server that asks for a key."""
    with Qdrant(api_key=KEY) as server:
        yield server


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


def init(shell, *arguments, url="", code=0, **more):
    """Calls it without an answer to any question, and returns what it says."""
    result = shell("init", *arguments, ROLLOUTS_QDRANT_URL=url, **more)
    assert result.exit_code == code, result.output
    return result.output


def declared(folder):
    return load_index_file(folder / "rollouts.yaml").indexes


def complaints(shell):
    """What ``doctor`` finds in the index file."""
    report = shell.json("doctor")
    assert report["ok"]
    return {
        check["name"]: check["value"]
        for check in report["checks"]
        if check["state"] != "ok" and check["name"].startswith("index")
    }


def fill_in(folder):
    """Names the model, as a person does it."""
    file = folder / "rollouts.yaml"
    text = file.read_text(encoding="utf-8").replace("#embedding:", "embedding:")
    file.write_text(text.replace("model: MODEL", f"model: {MODEL}"), encoding="utf-8")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- what is there --------------------------------------------------------------------------------


def test_what_is_found_becomes_an_entry_that_doctor_accepts_and_that_goes_live(
    shell, tmp_path, found
):
    said = init(shell, "--from", "init-pages", url=found)
    assert names(tmp_path) == [".env", "rollouts.yaml"]
    spec = declared(tmp_path)["init-pages"]
    assert (spec.source, spec.models, spec.validation.slices) == ("live", (), ("shop",))
    text = (tmp_path / "rollouts.yaml").read_text(encoding="utf-8")
    assert "words (sparse, idf)" in text
    (blank,) = [line for line in said.splitlines() if "fill in" in line]
    number = int(re.search(r"rollouts\.yaml:(\d+):", blank)[1])
    assert "MODEL" in text.splitlines()[number - 1]
    assert complaints(shell) == {}
    with running():
        gone = deploy(shell, "init-pages")
        assert (gone["status"], gone["blue"]) == ("live", "init-pages-v1"), gone["message"]
        fill_in(tmp_path)
        for verb in (("search", "init-pages", "garden 7"), ("adopt", "init-pages")):
            refused = shell(*verb)
            assert (refused.exit_code, "eploy again" in refused.stderr) == (2, True)
        gone = deploy(shell, "init-pages")
        assert gone["status"] == "live", gone["message"]
    assert shell.json("search", "init-pages", "garden 7")["results"]


def test_a_blank_that_is_filled_in_names_the_model_to_adopt_and_to_search_with(
    shell, tmp_path, found
):
    init(shell, "--from", "init-books", url=found)
    fill_in(tmp_path)
    unproven = "nothing says which model made the vectors of init-books-v1"
    assert complaints(shell) == {"index init-books": unproven}
    adopted = shell.json("adopt", "init-books")
    assert adopted["agreed"]["alike"] == adopted["agreed"]["of"] > 20
    assert complaints(shell) == {}
    assert shell.json("search", "init-books", "garden 7")["results"]


def test_a_collection_without_an_alias_gets_one_by_the_command_that_is_named(
    shell, tmp_path, found
):
    said = init(shell, "--from", "init-bare", url=found)
    assert list(declared(tmp_path)) == ["init-bare_live"]
    (command,) = re.findall(r"rollouts (alias create .*)", said)
    assert list(complaints(shell)) == ["index init-bare_live"]
    assert shell(*command.split()).exit_code == 0
    assert complaints(shell) == {}
    shell("alias", "delete", "init-bare_live")


def test_before_the_alias_is_there_the_first_step_named_is_to_create_it(shell, tmp_path, found):
    said = init(shell, "--from", "init-bare", url=found)
    (command,) = re.findall(r"rollouts (alias create .*) init-bare", said)
    refused = shell("deploy", "init-bare_live")
    assert refused.exit_code == 2
    for told in (complaints(shell)["index init-bare_live"], refused.stderr):
        assert f"`rollouts {command} COLLECTION`" in told


def test_without_a_name_every_alias_is_declared_and_other_collections_are_named(
    shell, tmp_path, found
):
    init(shell, url=found)
    assert "init-pages" in declared(tmp_path)
    assert "init-bare" not in "".join(declared(tmp_path))
    assert "init-bare" in (tmp_path / "rollouts.yaml").read_text(encoding="utf-8")


def test_a_name_that_is_not_there_is_refused_with_those_that_are(shell, tmp_path, found):
    said = init(shell, "--from", "nobody", url=found, code=2)
    assert "init-bare" in said
    assert "--source" in said
    assert names(tmp_path) == []


# --- what is new ----------------------------------------------------------------------------------


def test_an_empty_server_gives_an_example_with_one_line_to_fill_in(shell, tmp_path, keyed):
    said = init(shell, url=keyed.url, ROLLOUTS_QDRANT_API_KEY=KEY)
    assert said.count("fill in:") == 1
    ((name, found),) = complaints(shell).items()
    assert (name, "docs/*.jsonl" in found) == ("index documentation", True)
    write(tmp_path / "docs" / "a.jsonl", records(3, "gardens"))
    assert complaints(shell) == {}


def test_a_key_is_only_in_the_settings_which_only_their_owner_can_read(shell, tmp_path, keyed):
    said = init(shell, url=keyed.url, ROLLOUTS_QDRANT_API_KEY=KEY)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert dotenv_values(tmp_path / ".env")["ROLLOUTS_QDRANT_API_KEY"] == KEY
    assert KEY not in said + (tmp_path / "rollouts.yaml").read_text(encoding="utf-8")


def test_a_source_gives_a_whole_entry(shell, tmp_path, found):
    write(tmp_path / "init-pages" / "a.jsonl", [{"id": n, **page(n)} for n in range(12)])
    said = init(shell, "--source", "jsonl:init-pages/*.jsonl", url=found)
    assert "fill in" not in said
    ((alias, spec),) = declared(tmp_path).items()
    assert alias == "init-pages_2", "the name is taken by an alias that others search"
    assert spec.models[0].text == "{title}\n{page_content}"
    assert complaints(shell) == {}


def test_records_that_bring_vectors_need_no_model(shell, tmp_path, found):
    write(tmp_path / "mine" / "a.jsonl", [{"id": 1, "vector": [0.1, 0.2]}])
    init(shell, "--source", "jsonl:mine/*.jsonl", url=found)
    assert declared(tmp_path)["mine"].models == ()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("jsonl:nothing/*.jsonl", "no file matches"),
        ("jsonl:broken.jsonl", "none of its first"),
        ("carrier:pigeon", "no known kind"),
        ("jsonl:.env.old", "settings and secrets"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_and_nothing_is_written(
    shell, tmp_path, found, source, words
):
    (tmp_path / "broken.jsonl").write_text("no JSON\n", encoding="utf-8")
    (tmp_path / ".env.old").write_text("A=b\n", encoding="utf-8")
    assert words in init(shell, "--source", source, url=found, code=2)
    assert names(tmp_path) == [".env.old", "broken.jsonl"]


def test_records_that_no_deployment_takes_are_refused_and_some_of_them_are_named(
    shell, tmp_path, found
):
    write(tmp_path / "noid.jsonl", [{"name": "no id"}])
    said = init(shell, "--source", "jsonl:noid.jsonl", url=found, code=2)
    assert "noid.jsonl:1: id: missing" in said
    assert names(tmp_path) == ["noid.jsonl"]
    write(tmp_path / "some.jsonl", [{"id": 1, "name": "one"}, {"name": "no id"}])
    said = init(shell, "--source", "jsonl:some.jsonl", url=found)
    assert "some.jsonl:2: id: missing" in said
    assert said.index("some.jsonl:2") < said.index("next:")


def test_one_of_both_is_asked_for(shell, tmp_path):
    assert "give one" in init(shell, "--from", "a", "--source", "jsonl:a", code=2)


# --- the server -----------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_said_and_nothing_is_written(shell, tmp_path):
    said = init(shell, url=f"http://{HOST}:{free_ports(1)[0]}", code=3)
    assert "Nothing was written: start it, or correct ROLLOUTS_QDRANT_URL" in said
    assert names(tmp_path) == []


def test_a_wrong_key_is_said_and_nothing_is_written(shell, tmp_path, keyed):
    said = init(shell, url=keyed.url, code=2, ROLLOUTS_QDRANT_API_KEY="wr0ng-key")
    assert "ROLLOUTS_QDRANT_API_KEY" in said
    assert "wr0ng-key" not in said
    assert names(tmp_path) == []


def test_without_a_setting_a_server_on_this_machine_is_found(found):
    nothing = Settings(_env_file=None)
    assert find_server(nothing, found).qdrant_url == found
    assert find_server(nothing, f"http://{HOST}:{free_ports(1)[0]}") is nothing


@pytest.mark.skipif(not port_is_free(6333), reason="somebody's own server answers there")
def test_without_any_server_the_embedded_one_is_used_and_said(shell, tmp_path):
    said = init(shell)
    assert f"no Qdrant answers at {LOCAL_SERVER}" in said
    assert names(tmp_path) == [".env", "rollouts.yaml"]
    assert dict(dotenv_values(tmp_path / ".env")) == {}


# --- files that are there -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "link"])
def test_an_index_file_that_is_there_is_never_touched(shell, tmp_path, found, kind):
    file = tmp_path / "rollouts.yaml"
    if kind == "file":
        file.write_text("indexes: {}\n", encoding="utf-8")
    else:
        file.symlink_to("nowhere.yaml")
    said = init(shell, url=found, code=2)
    assert "rollouts.yaml is there already" in said
    assert "ROLLOUTS_CONFIG" in said
    assert names(tmp_path) == ["rollouts.yaml"]
    if kind == "file":
        assert file.read_text(encoding="utf-8") == "indexes: {}\n"
    init(shell, url=found, ROLLOUTS_CONFIG="other.yaml")
    assert names(tmp_path) == [".env", "other.yaml", "rollouts.yaml"]


def test_a_place_that_takes_no_file_is_named(shell, found):
    said = init(shell, url=found, code=3, ROLLOUTS_CONFIG="/proc/rollouts.yaml")
    assert "/proc/rollouts.yaml cannot be written" in said


def test_settings_that_are_there_stay_and_what_they_lack_is_named(shell, tmp_path, keyed):
    (tmp_path / ".env").write_text("MINE=1\n", encoding="utf-8")
    said = init(shell, url=keyed.url, ROLLOUTS_QDRANT_API_KEY=KEY)
    assert f"ROLLOUTS_QDRANT_URL={keyed.url} ROLLOUTS_QDRANT_API_KEY=…" in said
    assert KEY not in said
    assert (tmp_path / ".env").read_text(encoding="utf-8") == "MINE=1\n"
    assert "documentation" in declared(tmp_path)


def test_settings_that_lead_there_lack_nothing(shell, tmp_path, found):
    (tmp_path / ".env").write_text(f"ROLLOUTS_QDRANT_URL={found}\n", encoding="utf-8")
    assert ".env is there already and stays as it is\n" in init(shell)
    assert "init-pages" in declared(tmp_path)
