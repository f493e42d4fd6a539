"""What the environment and the index file may contain, and the messages for anything else."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from qdrant_rollouts.core.config.index_file import IndexSpec, load_index_file, template_fields
from qdrant_rollouts.core.config.settings import Settings, find_unknown_variables, load_settings
from qdrant_rollouts.core.errors import Refused


def index_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rollouts.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(Refused) as refused:
        load_index_file(index_file(tmp_path, text))
    return str(refused.value)


# --- the index file -------------------------------------------------------------------------------


def test_the_index_file_of_the_contract_is_read(tmp_path):
    text = """
indexes:
  documentation:
    source: "jsonl:docs/*.jsonl"
    embedding:
      model: sentence-transformers/all-MiniLM-L6-v2
      text: "{title}\\n{text}"
    strategy: blue_green
    validation:
      queries: ["python asyncio", "react hooks"]
      min_results: 5
      min_top_score: 0.7
    soak: {seconds: 300, interval_seconds: 10, max_errors: 5}
    canary:
      stages:
        - {percentage: 5, duration_minutes: 30}
        - {percentage: 100, duration_minutes: 0}
    grace_period_minutes: 60
    rebuild: "0 2 * * *"
"""
    spec = load_index_file(index_file(tmp_path, text)).indexes["documentation"]
    assert spec.validation.queries == ("python asyncio", "react hooks")
    assert spec.embedding is not None
    assert template_fields(spec.embedding.text) == ("title", "text")
    assert spec.canary.stages[1].percentage == 100


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("ftp://host/backups", "s3://, gs://, abfs://, sftp://"),
        ("memory://backups", "s3://, gs://, abfs://, sftp://"),
        ("s3:///backups", "s3://, gs://, abfs://, sftp://"),
        ("s3://key:hunter2@bucket/backups", "credentials stand in variables"),
        ("s3://bucket/backups?secret=hunter2", "credentials stand in variables"),
    ],
)
def test_a_shelf_that_is_not_allowed_is_refused_without_a_word_of_what_it_may_hold(
    monkeypatch, where, said
):
    monkeypatch.setenv("ROLLOUTS_BACKUP_DIR", where)
    with pytest.raises(Refused, match=said) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


def test_no_index_file_and_an_empty_one_declare_nothing(tmp_path):
    assert load_index_file(tmp_path / "none.yaml").indexes == {}
    assert load_index_file(index_file(tmp_path, "")).indexes == {}


@pytest.mark.parametrize(
    ("entry", "path", "found"),
    [
        ("soak: {secnods: 5}", "docs.soak.secnods", "unknown key"),
        ("sourc: 'jsonl:x'", "docs.sourc", "unknown key"),
        ("source: 5", "docs.source", "found 5"),
        ("soak: {seconds: -1}", "docs.soak.seconds", "found -1"),
        ("grace_period_minutes: -0.5", "docs.grace_period_minutes", "found -0.5"),
        (
            "canary: {stages: [{percentage: 5, duration_minutes: -30}]}",
            "docs.canary.stages.0.duration_minutes",
            "-30",
        ),
        (
            "canary: {stages: [{percentage: 101, duration_minutes: 1}]}",
            "docs.canary.stages.0.percentage",
            "found 101",
        ),
        ("canary: {stages: [{percentage: 5}]}", "docs.canary.stages.0.duration_minutes", "missing"),
        ("canary: {undecided: guess}", "docs.canary.undecided", "'proceed' or 'pause'"),
        ("canary: {exclude: {p95: 0}}", "docs.canary.exclude.p95", "greater than 0"),
        ("canary: {exclude: {error_rate: 2}}", "docs.canary.exclude.error_rate", "equal to 1"),
        ("canary: {exclude: {p99: 1}}", "docs.canary.exclude.p99", "unknown key"),
        ("canary: {breakers: {times_blue: 0.5}}", "docs.canary.breakers.times_blue", "at least 1"),
        ("canary: {breakers: {times_blue: -1}}", "docs.canary.breakers.times_blue", "equal to 0"),
        ("soak: {interval_seconds: 0}", "docs.soak.interval_seconds", "found 0"),
        ("soak: {seconds: .inf}", "docs.soak.seconds", "found inf"),
        ("soak: {seconds: .nan}", "docs.soak.seconds", "found nan"),
        ("soak: {seconds: true}", "docs.soak.seconds", "found True"),
        ("soak: {seconds: '300'}", "docs.soak.seconds", "found '300'"),
        ("soak: {max_errors: 1.5}", "docs.soak.max_errors", "found 1.5"),
        ("rollback_on_failure: 'no'", "docs.rollback_on_failure", "found 'no'"),
        ("validation: {queries: python}", "docs.validation.queries", "expected a list"),
        ("validation: {min_results: 0}", "docs.validation.min_results", "found 0"),
        ("validation: {min_top_score: 1.5}", "docs.validation.min_top_score", "found 1.5"),
        ("on_bad_record: ignore", "docs.on_bad_record", "'fail' or 'skip'"),
        ("soak: 300", "docs.soak", "expected keys"),
        ("embedding: {text: '{title}'}", "docs.embedding.model", "missing"),
        ("embedding: {model: m, text: 'no field'}", "docs.embedding.text", "at least one {field}"),
        ("embedding: {model: m, text: '{a.b}'}", "docs.embedding.text", "{a.b}"),
        ("embedding: {model: m, text: '{a[0]}'}", "docs.embedding.text", "{a[0]}"),
        ("embedding: {model: m, text: '{a!r}'}", "docs.embedding.text", "plain {field}"),
        ("embedding: {model: m, text: '{a:>9}'}", "docs.embedding.text", "plain {field}"),
        ("embedding: {model: m, text: '{}'}", "docs.embedding.text", "plain {field}"),
        ("embedding: {model: m, text: '{title'}", "docs.embedding.text", "'{title'"),
        ("rebuild: daily", "docs.rebuild", "five cron fields"),
        ("rebuild: '0 24 * * *'", "docs.rebuild", "hour is '24'; expected *, numbers from 0 to 23"),
        ("rebuild: '*/0 * * * *'", "docs.rebuild", "minute is '*/0'"),
    ],
)
def test_a_wrong_key_type_or_value_is_refused_with_its_path_and_what_was_expected(
    tmp_path, entry, path, found
):
    said = refusal(tmp_path, f"indexes:\n  docs:\n    {entry}\n")
    assert str(tmp_path / "rollouts.yaml") in said
    assert f"indexes.{path}:" in said
    assert found in said


def test_every_fault_is_named_at_once(tmp_path):
    said = refusal(
        tmp_path, "indexes: {docs: {soak: {seconds: -1}, source: 5}, more: {strateggy: x}}"
    )
    assert len(said.splitlines()) == 3


@pytest.mark.parametrize(
    "cron",
    [
        "*/15 * * * *",
        "0 2 * * *",
        "5,35 0-6/2 1 1,7 0-6",
        "@daily",
        "0 2 * JAN-MAR SUN",
        "0 2 * * 7",
    ],
)
def test_cron_lines_are_accepted(tmp_path, cron):
    assert (
        load_index_file(index_file(tmp_path, f"indexes: {{docs: {{rebuild: '{cron}'}}}}"))
        .indexes["docs"]
        .rebuild
    )


@pytest.mark.parametrize("name", ["a b", "-docs", "legacy.docs", "日本語", "x" * 255])
def test_an_index_may_be_called_as_an_alias_of_other_peoples_making_is(tmp_path, name):
    found = load_index_file(index_file(tmp_path, f"indexes: {{'{name}': {{}}}}"))
    assert list(found.indexes) == [name]


@pytest.mark.parametrize("name", ["a/b", ".", "..", "x" * 256, ""])
def test_an_illegal_index_name_is_refused_with_the_file_and_the_rule(tmp_path, name):
    said = refusal(tmp_path, f"indexes: {{'{name}': {{}}}}")
    assert "rollouts.yaml: indexes" in said
    assert "Qdrant takes 1 to 255 characters" in said


def test_an_index_name_that_is_no_text_is_refused(tmp_path):
    assert "indexes.5" in refusal(tmp_path, "indexes: {5: {}}")


@pytest.mark.parametrize(
    "text",
    [
        "indexes:\n  docs: {}\n  docs: {}\n",
        "indexes:\n  docs: {source: 'jsonl:a', 'source': 'jsonl:b'}\n",
        "indexes: {}\nindexes: {}\n",
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path, text):
    said = refusal(tmp_path, text)
    assert "appears twice" in said
    assert re.search(r"line \d+", said)


def test_a_merged_section_may_be_overridden_without_standing_twice(tmp_path):
    text = """
indexes:
  one: &one
    soak: &soak {seconds: 1, max_errors: 2}
    source: "jsonl:one"
  two:
    <<: *one
    source: "jsonl:two"
    soak: {<<: *soak, seconds: 9}
  three: {<<: *one}
"""
    indexes = load_index_file(index_file(tmp_path, text)).indexes
    assert (indexes["two"].source, indexes["two"].soak.seconds, indexes["two"].soak.max_errors) == (
        "jsonl:two",
        9,
        2,
    )
    assert indexes["three"].source == "jsonl:one"


@pytest.mark.parametrize(
    "text", ["indexes: [", "? [a]\n: b\n", "a: &x [*x, !!python/object:os.system {}]", "\t- a"]
)
def test_what_is_not_yaml_is_refused_with_the_file(tmp_path, text):
    assert "rollouts.yaml: cannot be read" in refusal(tmp_path, text)


def test_an_index_file_that_is_a_directory_or_no_text_is_refused(tmp_path):
    with pytest.raises(Refused, match="cannot be read"):
        load_index_file(tmp_path)
    path = tmp_path / "rollouts.yaml"
    path.write_bytes(b"indexes: \xff\xfe")
    with pytest.raises(Refused, match="cannot be read"):
        load_index_file(path)


@given(st.text())
def test_a_template_is_either_plain_fields_or_a_value_error(template):
    try:
        fields = template_fields(template)
    except ValueError:
        return
    template.format_map(dict.fromkeys(fields, ""))
    assert len(set(fields)) == len(fields)


# --- options --------------------------------------------------------------------------------------


def test_options_are_laid_over_key_by_key_and_the_rest_stays():
    spec = IndexSpec.model_validate({"source": "jsonl:a", "soak": {"seconds": 7, "max_errors": 1}})
    changed = spec.with_options({"soak": {"seconds": 0.5}, "validation": {"queries": ["x"]}})
    assert (changed.soak.seconds, changed.soak.max_errors) == (0.5, 1)
    assert changed.validation.queries == ("x",)
    assert changed.source == "jsonl:a"
    assert spec.soak.seconds == 7


def test_no_options_change_nothing():
    spec = IndexSpec.model_validate(
        {"embedding": {"model": "m", "text": "{a}"}, "collection": {"hnsw": {"m": 8}}}
    )
    assert spec.with_options({}) == spec


@pytest.mark.parametrize(
    ("declared", "options", "limit"),
    [
        ({}, {}, (200, 1.5)),
        ({}, {"calls": 100}, (200, 1.5)),
        ({}, {"mean_latency_ms": 150}, (150, 0)),
        ({"mean_latency_ms": 150}, {"calls": 100}, (150, 0)),
        ({"mean_latency_ms": 150}, {"times_blue": 2}, (150, 2)),
        ({"mean_latency_ms": 150, "times_blue": 2}, {"mean_latency_ms": 300}, (300, 2)),
    ],
)
def test_a_latency_that_is_declared_alone_is_absolute(declared, options, limit):
    spec = IndexSpec.model_validate({"canary": {"breakers": declared}})
    found = spec.with_options({"canary": {"breakers": options}}).canary.breakers
    assert (found.mean_latency_ms, found.times_blue) == limit


def test_an_option_replaces_a_list_as_a_whole():
    spec = IndexSpec.model_validate({"validation": {"queries": ["a", "b"]}})
    assert spec.with_options({"validation": {"queries": ["c"]}}).validation.queries == ("c",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"soak": {"secs": 1}}, "options: soak.secs: unknown key"),
        ({"soak": {"seconds": -2}}, "options: soak.seconds: found -2"),
        ({"soak": None}, "options: soak: found None"),
        ({"embedding": {"text": "{a}"}}, "options: embedding.model: missing"),
    ],
)
def test_a_wrong_option_is_refused_with_its_path(options, said):
    with pytest.raises(Refused, match=re.escape(said)):
        IndexSpec().with_options(options)


# --- the environment ------------------------------------------------------------------------------


def test_without_any_variable_everything_is_embedded():
    settings = load_settings()
    assert settings.embedded
    assert settings.qdrant_url == ""
    assert settings.qdrant_grpc_port == 6334
    assert settings.config == Path("rollouts.yaml")


def test_an_empty_variable_counts_as_unset(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.setenv(f"ROLLOUTS_{name.upper()}", "")
    assert load_settings() == Settings.model_construct()


def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text(
        "ROLLOUTS_QDRANT_URL=http://a:1\nROLLOUTS_QDRANT_GRPC_PORT=7\nOTHER=x\n"
    )
    monkeypatch.setenv("ROLLOUTS_QDRANT_GRPC_PORT", "8")
    settings = load_settings()
    assert (settings.qdrant_url, settings.qdrant_grpc_port) == ("http://a:1", 8)


def test_source_roots_are_written_like_a_path_variable(monkeypatch):
    monkeypatch.setenv("ROLLOUTS_SOURCE_ROOTS", os.pathsep.join(["/data", "/srv/docs", ""]))
    assert load_settings().source_roots == (Path("/data"), Path("/srv/docs"))


@pytest.mark.parametrize("value", ["abc", "0", "65536", "6334.5", "-1"])
def test_a_wrong_port_is_refused_with_the_variable_and_the_value(monkeypatch, value):
    monkeypatch.setenv("ROLLOUTS_QDRANT_GRPC_PORT", value)
    with pytest.raises(Refused, match=f"ROLLOUTS_QDRANT_GRPC_PORT: found {value!r}"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROLLOUTS_QDRANT_URL", "user:hunter2@qdrant:6333"),
        ("ROLLOUTS_QDRANT_URL", "grpc://:hunter2@qdrant"),
        ("ROLLOUTS_BROKER_URL", "hunter2@redis"),
        ("ROLLOUTS_DATABASE_URL", "postgres at hunter2"),
        ("ROLLOUTS_DATABASE_URL", "postgresql://u:hunter2@host:notaport/x"),
    ],
)
def test_a_wrong_url_is_refused_with_the_variable_and_without_its_secret(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(Refused, match=f"{name}: expected") as refused:
        load_settings()
    chain = (refused.value, refused.value.__cause__)
    assert "hunter2" not in "".join(map(str, chain))


@pytest.mark.parametrize("path", ["x" * 300, "x/" * 3_000])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONFIG", "{}"),
        ("SOURCE_ROOTS", "docs:{}"),
        ("BACKUP_DIR", "{}"),
        ("DATABASE_URL", "sqlite:///{}"),
    ],
)
def test_a_path_that_is_too_long_is_refused_by_the_variable(monkeypatch, name, value, path):
    monkeypatch.setenv(f"ROLLOUTS_{name}", value.format(path))
    with pytest.raises(
        Refused, match=f"ROLLOUTS_{name}: .*it is longer than the name of a file may be"
    ) as refused:
        load_settings()
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("host", ["a..b", ".a", f"{'a' * 64}.example", f"a.{'b' * 64}"])
@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("QDRANT_URL", "http://{}:6333"),
        ("QDRANT_NODES", "http://a:6333,http://{}:6333"),
        ("BROKER_URL", "redis://:hunter2@{}/0"),
        ("BROKER_URL", "amqp://u:hunter2@a//;amqp://u:hunter2@{}//"),
        ("DATABASE_URL", "postgresql://u:hunter2@{}:5432/x"),
        ("DATABASE_URL", "postgresql://u:hunter2@/x?host={}"),
        ("DATABASE_URL", "postgresql://u:hunter2@a,{}/x"),
    ],
)
def test_a_host_that_no_resolver_takes_is_refused_by_the_variable(monkeypatch, name, url, host):
    monkeypatch.setenv(f"ROLLOUTS_{name}", url.format(host))
    with pytest.raises(Refused, match=f"ROLLOUTS_{name}: its host is not a valid name") as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("QDRANT_URL", "http://[::1]:6333"),
        ("QDRANT_URL", "http://my_host.example.:6333"),
        ("BROKER_URL", f"redis+socket:///{'a' * 70}/b..c"),
        ("DATABASE_URL", f"postgresql://u@%2F{'a' * 70}%2Fb..c/x"),
        ("DATABASE_URL", f"postgresql://u@/x?host=/{'a' * 70}"),
        ("DATABASE_URL", "postgresql://u@/x?host=a,b"),
        ("DATABASE_URL", "sqlite:////a..b/x"),
    ],
)
def test_addresses_and_sockets_are_hosts_too(monkeypatch, name, url):
    monkeypatch.setenv(f"ROLLOUTS_{name}", url)
    load_settings()


SPACE = [" {}", "{}\n", "{}\r\n", "\t{} \n", "\u00a0{}"]


@pytest.mark.parametrize("around", SPACE)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("qdrant_api_key", "k3y"),
        ("api_token", "t0ken"),
        ("database_url", "postgresql://u:p@h/n"),
        ("broker_url", "redis://:p@h:6379/0"),
        ("qdrant_url", "https://u:p@h:6333"),
        ("backup_dir", "s3://bucket/backups"),
        ("qdrant_grpc_port", "6334"),
        ("config", "rollouts.yaml"),
    ],
)
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_white_space_around_a_setting_is_no_part_of_it(
    tmp_path, monkeypatch, name, value, around, where
):
    if where == "environment":
        monkeypatch.setenv(f"ROLLOUTS_{name.upper()}", around.format(value))
    else:
        (tmp_path / ".env").write_text(
            f"ROLLOUTS_{name.upper()}='{around.format(value)}'\n", encoding="utf-8"
        )
    found = getattr(load_settings(), name)
    assert str(found.get_secret_value() if isinstance(found, SecretStr) else found) == value


def test_a_setting_of_white_space_alone_counts_as_unset(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.setenv(f"ROLLOUTS_{name.upper()}", " \n")
    assert load_settings() == Settings.model_construct()


UNSEEN = ["{}\n{}", "{}\t{}", "{}\x7f{}", "{}\u200b{}", "{}\ufeff{}", "\ufeff{}{}", "{}\udcff{}"]


@pytest.mark.parametrize("broken", UNSEEN)
@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("QDRANT_API_KEY", ("hunter2", "hunter2")),
        ("API_TOKEN", ("hunter2", "hunter2")),
        ("DATABASE_URL", ("postgresql://u:hunter2", "@h/n")),
        ("BROKER_URL", ("redis://:hunter2", "@h:6379/0")),
        ("QDRANT_URL", ("https://u:hunter2", "@h:6333")),
        ("QDRANT_NODES", ("https://u:hunter2", "@h:6333")),
        ("BACKUP_DIR", ("s3://hunter2", "/backups")),
    ],
)
def test_a_secret_with_what_cannot_be_seen_is_refused_by_its_name(monkeypatch, name, parts, broken):
    monkeypatch.setenv(f"ROLLOUTS_{name}", broken.format(*parts))
    with pytest.raises(
        Refused, match=f"^ROLLOUTS_{name}: it holds a line end or another character"
    ) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["QDRANT_API_KEY", "API_TOKEN"])
@pytest.mark.parametrize("key", ["hünter2", "hunter2\u2019", "ключ"])
def test_a_key_that_no_header_can_carry_is_refused_by_its_name(monkeypatch, name, key):
    monkeypatch.setenv(f"ROLLOUTS_{name}", key)
    with pytest.raises(
        Refused, match=f"^ROLLOUTS_{name}: it holds a character that is not ASCII"
    ) as refused:
        load_settings()
    assert key not in str(refused.value)


def test_a_secret_where_the_name_of_its_variable_belongs_is_not_shown(tmp_path):
    said = refusal(
        tmp_path,
        "alerts: {channels: {w: {kind: webhook, url: 'https://h', secret: 'whsec_hunter2+x'}}}",
    )
    assert "alerts.channels.w.webhook.secret: expected the name of an environment variable" in said
    assert "hunter2" not in said


def test_every_wrong_variable_is_named_at_once(monkeypatch):
    monkeypatch.setenv("ROLLOUTS_QDRANT_GRPC_PORT", "x")
    monkeypatch.setenv("ROLLOUTS_QDRANT_URL", "x")
    with pytest.raises(Refused) as refused:
        load_settings()
    assert len(str(refused.value).splitlines()) == 2


def test_an_unreadable_dotenv_file_is_refused(tmp_path):
    (tmp_path / ".env").write_bytes(b"ROLLOUTS_QDRANT_URL=\xff\xfe")
    with pytest.raises(Refused, match=r"\.env: cannot be read"):
        load_settings()


def test_a_mistyped_variable_is_found_with_the_name_it_resembles():
    [said] = find_unknown_variables({"ROLLOUTS_QDRANT_ULR": "http://x", "PATH": "/bin"})
    assert said == "ROLLOUTS_QDRANT_ULR is not a setting; did you mean ROLLOUTS_QDRANT_URL?"


def test_a_variable_that_resembles_none_is_found_with_all_known_ones():
    [said] = find_unknown_variables({"ROLLOUTS_ZZZ": "1"})
    assert "known: ROLLOUTS_DATABASE_URL" in said


def test_real_settings_in_any_case_and_variables_of_the_test_suite_are_known():
    assert (
        find_unknown_variables(
            {"ROLLOUTS_CONFIG": "", "rollouts_config": "", "ROLLOUTS_TEST_REDIS_URL": ""}
        )
        == []
    )


def test_mistyped_variables_are_looked_for_in_the_environment_and_the_dotenv_file(
    tmp_path, monkeypatch
):
    (tmp_path / ".env").write_text("ROLLOUTS_CONFIGG=x\n")
    monkeypatch.setenv("ROLLOUTS_BROKER", "redis://x")
    assert [line.split()[0] for line in find_unknown_variables()] == [
        "ROLLOUTS_BROKER",
        "ROLLOUTS_CONFIGG",
    ]


def test_no_secret_is_shown_with_the_settings(monkeypatch):
    monkeypatch.setenv("ROLLOUTS_QDRANT_API_KEY", "hunter2")
    monkeypatch.setenv("ROLLOUTS_API_TOKEN", "hunter2")
    monkeypatch.setenv("ROLLOUTS_DATABASE_URL", "postgresql://u:hunter2@h/x")
    assert "hunter2" not in repr(load_settings())


def test_an_empty_section_in_the_options_replaces_what_the_file_says():
    spec = IndexSpec.model_validate({"collection": {"quantization": {"scalar": {"type": "int8"}}}})
    assert spec.with_options({"collection": {"quantization": {}}}).collection.quantization == {}


@pytest.mark.parametrize("cron", ["@daily", "*/15 * * * *", "* * * * *"])
def test_a_cron_line_without_its_quotes_is_refused_with_the_quotes(tmp_path, cron):
    with pytest.raises(Refused, match=r"begins with \* or @, such as a cron line, in quotes"):
        load_index_file(index_file(tmp_path, f"indexes:\n  docs:\n    rebuild: {cron}\n"))
