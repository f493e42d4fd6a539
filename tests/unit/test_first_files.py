"""The first files of a folder: whatever the names on the server are, the index file declares these
names and nothing else, and ``.env`` means what it was given."""

import io
import re

import pytest
import yaml
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as some

from qdrant_rollouts.core.collections.stamps import MadeBy
from qdrant_rollouts.core.collections.survey import FoundFields, Survey
from qdrant_rollouts.core.config.index_file import (
    EmbeddingSpec,
    IndexFile,
    ServerVectorSpec,
    validate_as,
)
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.sanitize.bounded import read_yaml
from qdrant_rollouts.interfaces.cli.first_files import (
    FILL_IN,
    Existing,
    New,
    render_index_file,
    render_settings,
)

DENSE = {"size": 384, "distance": "Cosine"}
#: Names that YAML, a comment or a shell could take for something else.
ODD = [
    "- a",
    "a: b",
    "# a",
    "true",
    "12",
    "a\nindexes: {}",
    "a\u2028b",
    "a\x85b",
    "'\"\\",
    "{a}",
    "ä 你 🙂",
    "!!python:name",
]


def survey(vectors=None, collection="articles_v1", **more):
    params = {"vectors": DENSE if vectors is None else vectors}
    schema = {
        "params": {**params, "sparse_vectors": more.pop("sparse", None)},
        "payload_schema": more.pop("indexes", {}),
    }
    return Survey(collection, 1200, schema, **more)


def render(*entries, left_out=()):
    text = render_index_file(entries, "http://localhost:6333", left_out)
    return text, validate_as(IndexFile, read_yaml(text), "rollouts.yaml").indexes


def without_marks(text):
    """The file after a person has removed the # of every line that can be switched on."""
    return re.sub(r"^    #(?! \S)", "    ", text, flags=re.MULTILINE)


# --- existing collections -------------------------------------------------------------------------


def test_an_unknown_model_is_a_line_to_fill_in_and_nothing_is_guessed():
    text, indexes = render(Existing("articles", survey(), served=True))
    assert (indexes["articles"].source, indexes["articles"].models) == ("live", ())
    (line,) = [line for line in text.splitlines() if FILL_IN in line]
    assert line == (
        '    #embedding: {model: MODEL, text: "{text}"}  # fill in: MODEL, which makes 384 numbers'
    )
    assert "sentence-transformers/all-MiniLM-L6-v2" in text


@pytest.mark.parametrize(
    "found",
    [
        survey(),
        survey(fields=FoundFields(50, "title", "text", {"lang": "keyword", "shop": "integer"})),
        survey(vectors={"text": DENSE, "image": {**DENSE, "size": 7}}),
        survey(
            vectors={"d": DENSE, "c": {**DENSE, "multivector_config": {"comparator": "max_sim"}}},
            sparse={"bm25": {"modifier": "idf"}},
        ),
        survey(vectors={}, sparse={"bm25": {}}),
    ],
    ids=["one", "fields", "two", "hybrid", "sparse"],
)
def test_every_line_that_can_be_switched_on_is_right(found):
    text, before = render(Existing("articles", found, served=True))
    after = validate_as(IndexFile, read_yaml(without_marks(text)), "file").indexes["articles"]
    dense = [name for name, one in _dense(found).items() if "multivector_config" not in one]
    assert [model.model for model in after.models] == ["MODEL"] * len(dense)
    assert {model.vector for model in after.models} == set(dense)
    assert (after.retention.foreign, before["articles"].retention.foreign) == ("keep", "backup")
    assert after.validation.slices == tuple(found.fields.tenants)
    assert before["articles"].validation.slices == ()


def _dense(found):
    vectors = found.schema["params"]["vectors"]
    return {"": vectors} if "size" in vectors else vectors


def test_a_file_of_the_documentation_is_named_with_the_place_where_it_is():
    text, _ = render(Existing("articles", survey(), served=True))
    told = " ".join(text.replace("#", " ").split())
    assert "The repository of qdrant-rollouts has every key in docs/index-file.md." in told


def test_a_tenant_of_the_server_s_own_is_watched_at_once():
    indexes = {
        "shop": {"data_type": "keyword", "params": {"type": "keyword", "is_tenant": True}},
        "lang": {"data_type": "keyword"},
    }
    found = survey(indexes=indexes, fields=FoundFields(50, tenants={"lang": "keyword"}))
    text, declared = render(Existing("articles", found, served=True))
    assert declared["articles"].validation.slices == ("shop",)
    assert "lang (keyword), shop (keyword)" in text


def test_a_model_that_the_collection_names_itself_is_declared():
    spec = EmbeddingSpec(model="hashing:384", text="{a}\n{b}", vector="text")
    made = {
        "text": MadeBy("hashing:384", embedding=spec),
        "words": MadeBy(
            "bm25",
            server=ServerVectorSpec(
                server="qdrant/bm25", text="{a}", options={"language": "german"}
            ),
        ),
    }
    found = survey(vectors={"text": DENSE}, sparse={"words": {"modifier": "idf"}}, made=made)
    text, declared = render(Existing("articles", found, served=True))
    (model,) = declared["articles"].models
    assert (model.model, model.text, model.vector) == ("hashing:384", "{a}\n{b}", "text")
    assert declared["articles"].vectors["words"].options == {"language": "german"}
    assert FILL_IN not in text
    assert "retention" not in text


def test_a_vector_of_which_the_stamp_says_nothing_is_a_line_among_the_others():
    spec = EmbeddingSpec(model="hashing:384", text="{a}", vector="text")
    made = {"text": MadeBy("hashing:384", embedding=spec)}
    found = survey(vectors={"text": DENSE, "image": {**DENSE, "size": 7}}, made=made)
    text, _ = render(Existing("articles", found, served=True))
    after = validate_as(IndexFile, read_yaml(without_marks(text)), "file").indexes["articles"]
    assert [(one.vector, one.model) for one in after.models] == [
        ("text", "hashing:384"),
        ("image", "MODEL"),
    ]


def test_an_alias_that_is_not_there_is_named_with_its_command():
    text, _ = render(Existing("a_live", survey(collection="a b"), served=False))
    assert "  #   rollouts alias create a_live 'a b'\n" in text


@pytest.mark.parametrize("name", ODD)
def test_no_name_of_others_says_anything_but_itself(name):
    indexes = {name: {"data_type": "keyword", "params": {"is_tenant": True}}}
    found = survey(vectors={name: DENSE}, collection=name, indexes=indexes)
    text, declared = render(Existing(name, found, served=False), left_out=[name])
    assert list(declared) == [name]
    assert declared[name].validation.slices == (name,)
    assert declared[name].source == "live"
    loaded = yaml.safe_load(without_marks(text))["indexes"][name]
    assert loaded["embedding"]["vector"] == name


@given(name=some.text(some.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_name_at_all(name):
    text = render_index_file([Existing(name, survey(collection=name), served=True)], name, [name])
    assert list(read_yaml(text)["indexes"]) == [name]


# --- new ones -------------------------------------------------------------------------------------


def test_a_new_index_is_complete():
    fields = FoundFields(50, "name", "about")
    text, declared = render(New("shop", "jsonl:shop/*.jsonl", fields))
    assert FILL_IN not in text
    assert declared["shop"].source == "jsonl:shop/*.jsonl"
    assert declared["shop"].models[0].text == "{name}\n{about}"
    assert declared["shop"].validation.titles == "*"


def test_another_title_is_asked_for_by_its_name():
    _, declared = render(New("shop", "jsonl:a", FoundFields(50, "headline", "text")))
    assert declared["shop"].validation.titles == "headline"


@pytest.mark.parametrize("fields", [FoundFields(9, "title", "text"), FoundFields(50, "", "text")])
def test_without_titles_enough_nobody_is_asked_for_them(fields):
    _, declared = render(New("shop", "jsonl:a", fields))
    assert declared["shop"].validation.titles is None


def test_records_with_vectors_need_no_model():
    _, declared = render(New("shop", "jsonl:a", FoundFields(50), vectors=True))
    assert declared["shop"].models == ()


def test_each_blank_of_a_new_index_is_one_line():
    for entry in (
        New("a", "jsonl:docs/*.jsonl", FoundFields(50, "title", "text"), read=False),
        New("a", "jsonl:a", FoundFields(50)),
    ):
        text, _ = render(entry)
        assert text.count(FILL_IN) == 1


# --- .env -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["plain-key_1", "with space", "qu'ote", 'dou"ble', "back\\", "#hash", "a=b", "$HOME"]
)
def test_a_key_is_read_as_it_was_given(key):
    settings = Settings(qdrant_url="http://localhost:6333", qdrant_api_key=key, _env_file=None)
    read = dotenv_values(stream=io.StringIO(render_settings(settings)))
    assert read == {"ROLLOUTS_QDRANT_URL": "http://localhost:6333", "ROLLOUTS_QDRANT_API_KEY": key}


def test_a_key_that_the_file_cannot_hold_is_left_to_the_environment():
    settings = Settings(qdrant_url="http://q:1", qdrant_api_key="a${HOME}b", _env_file=None)
    text = render_settings(settings)
    assert "ROLLOUTS_QDRANT_API_KEY" not in dotenv_values(stream=io.StringIO(text))
    assert "# ROLLOUTS_QDRANT_API_KEY cannot be written here" in text
    assert "HOME" not in text


def test_without_a_server_no_variable_is_set():
    text = render_settings(Settings(_env_file=None))
    assert dict(dotenv_values(stream=io.StringIO(text))) == {}
