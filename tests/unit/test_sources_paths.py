"""Which files a source may read: what a pattern means, and what is outside the allowed folders."""

import os
import re
import socket
from pathlib import Path

import pytest

from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.adapters.sources.files import find_files, make_absolute
from qdrant_rollouts.core.errors import Refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """allowed/{a,b}.jsonl and allowed/deep/er/c.jsonl beside outside/secret.jsonl."""
    for name in (
        "allowed/b.jsonl",
        "allowed/a.jsonl",
        "allowed/deep/er/c.jsonl",
        "outside/secret.jsonl",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"id": 1}\n')
    return tmp_path / "allowed"


def names(pattern: str, *roots: Path) -> list[str]:
    return [file.name for file in find_files(pattern, roots)]


def refusal(pattern: str, *roots: Path) -> str:
    with pytest.raises(Refused) as refused:
        find_files(pattern, roots)
    return str(refused.value)


# --- what a pattern means -------------------------------------------------------------------------


def test_files_come_by_path_and_each_once(folder):
    assert names("*.jsonl", folder) == ["a.jsonl", "b.jsonl"]
    assert names("b.jsonl, *.jsonl,a.jsonl", folder) == ["a.jsonl", "b.jsonl"]
    assert names("**/*.jsonl", folder) == ["a.jsonl", "b.jsonl", "deep/er/c.jsonl"]
    assert names("**", folder) == ["a.jsonl", "b.jsonl", "deep/er/c.jsonl"]


def test_a_file_reached_by_two_names_is_read_once(folder):
    (folder / "z.jsonl").symlink_to(folder / "a.jsonl")
    assert len(find_files("*.jsonl", [folder])) == 2


def test_an_absolute_pattern_means_itself(folder, tmp_path):
    assert names(f"{folder}/*.jsonl", tmp_path / "outside", folder) == [
        f"{folder}/a.jsonl",
        f"{folder}/b.jsonl",
    ]


def test_hidden_files_need_their_dot_written(folder):
    (folder / ".hidden.jsonl").write_text("{}")
    assert ".hidden.jsonl" not in names("*.jsonl", folder)
    assert names(".*.jsonl", folder) == [".hidden.jsonl"]


def test_a_name_that_looks_like_a_pattern_is_taken_as_it_stands(folder):
    (folder / "a[1].jsonl").write_text("{}")
    assert names("a[1].jsonl", folder) == ["a[1].jsonl"]


def test_a_comma_in_a_name_is_written_in_brackets(folder):
    (folder / "a,b.jsonl").write_text("{}")
    assert names("a[,]b.jsonl", folder) == ["a,b.jsonl"]


@pytest.mark.parametrize(
    "name", ["plain", "with, comma", "with [brackets]", "with * and ?", "größe"]
)
@pytest.mark.parametrize("pattern", ["*.jsonl", "a.jsonl", "a.jsonl, **/c.jsonl"])
def test_a_pattern_written_out_means_the_same_files_from_anywhere(tmp_path, name, pattern):
    base = tmp_path / name
    (base / "deep").mkdir(parents=True)
    for file in ("a.jsonl", "b.jsonl", "deep/c.jsonl"):
        (base / file).write_text("{}")
    there = find_files(pattern, [base])
    here = find_files(make_absolute(pattern, base), [tmp_path / "other", base])
    assert [file.path for file in there] == [file.path for file in here]
    assert make_absolute(make_absolute(pattern, base), Path("/else")) == make_absolute(
        pattern, base
    )


def test_a_name_that_is_no_unicode_can_still_be_shown(folder):
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.jsonl"))).write_text("{}")
    [name] = [name for name in names("*.jsonl", folder) if name.startswith("\\")]
    assert name == "\\xff.jsonl"


# --- what is refused ------------------------------------------------------------------------------


def test_no_match_is_refused_with_the_pattern_and_where_it_was_looked_for(folder):
    said = refusal("*.csv", folder)
    assert "'*.csv'" in said
    assert str(folder) in said


def test_a_missing_file_is_refused_by_name(folder):
    assert refusal("none.jsonl", folder) == "none.jsonl cannot be read: No such file or directory"


def test_a_missing_file_among_others_is_refused(folder):
    assert "none.jsonl" in refusal("a.jsonl,none.jsonl", folder)


def test_a_directory_is_refused_by_name_and_passed_over_by_a_wildcard(folder):
    assert "deep is a directory" in refusal("deep", folder)
    assert names("*", folder) == ["a.jsonl", "b.jsonl"]


def test_only_directories_under_a_wildcard_are_no_match(folder):
    assert "no file matches" in refusal("de*", folder)


@pytest.mark.parametrize("pattern", ["", "a.jsonl,", "a\0b.jsonl"])
def test_what_is_no_path_is_refused(folder, pattern):
    assert "is not a path" in refusal(pattern, folder)


def test_a_pipe_or_socket_is_refused(folder):
    os.mkfifo(folder / "pipe.jsonl")
    assert "pipe.jsonl is not a regular file" in refusal("pipe.jsonl", folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "s.jsonl"))
        assert "s.jsonl is not a regular file" in refusal("s*.jsonl", folder)


def test_a_dangling_link_and_a_link_to_itself_are_refused(folder):
    (folder / "dangling.jsonl").symlink_to(folder / "nowhere")
    (folder / "loop.jsonl").symlink_to(folder / "loop.jsonl")
    for name in ("dangling.jsonl", "dang*", "loop.jsonl", "loo*"):
        assert "cannot be read" in refusal(name, folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused_by_name(folder):
    (folder / "a.jsonl").chmod(0)
    with pytest.raises(Refused, match=r"a\.jsonl cannot be read: Permission denied"):
        open_source("jsonl:*.jsonl", [folder], None).check()


@pytest.mark.parametrize(
    "pattern",
    [
        "../outside/secret.jsonl",
        "../outside/*.jsonl",
        "../*/secret.jsonl",
        "deep/../../outside/secret.jsonl",
        "/etc/*",
    ],
)
def test_a_path_outside_the_allowed_folders_is_refused_with_the_folders_and_the_setting(
    folder, pattern
):
    said = refusal(pattern, folder)
    assert "outside the folders" in said
    assert str(folder) in said
    assert "ROLLOUTS_SOURCE_ROOTS" in said


def test_a_wildcard_that_leads_outside_is_refused_at_the_file(folder):
    assert "secret.jsonl lies at" in refusal("de*/../../outside/*.jsonl", folder)


def test_a_link_that_leads_outside_is_refused(folder):
    (folder / "link.jsonl").symlink_to(folder.parent / "outside" / "secret.jsonl")
    (folder / "way").symlink_to(folder.parent / "outside")
    for pattern in ("link.jsonl", "li*", "way/secret.jsonl", "way/*.jsonl", "w*/*.jsonl"):
        assert "outside the folders" in refusal(pattern, folder)


def test_a_link_between_allowed_folders_is_fine(folder):
    (folder / "link.jsonl").symlink_to(folder.parent / "outside" / "secret.jsonl")
    assert names("link.jsonl", folder, folder.parent / "outside") == ["link.jsonl"]


def test_a_folder_whose_name_only_begins_alike_is_outside(folder):
    other = folder.parent / "allowed-not"
    other.mkdir()
    (other / "a.jsonl").write_text("{}")
    assert "outside the folders" in refusal(f"{other}/a.jsonl", folder)


def test_nothing_outside_is_looked_at_not_even_whether_it_exists(folder):
    there = refusal("../outside/secret.jsonl", folder)
    not_there = refusal("../outside/nothing.jsonl", folder)
    assert there.replace("secret", "nothing") == not_there


# --- kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["https://host/a.jsonl", "jsonl:https://host/a.jsonl", "s3://b/k", "csv:file:///a.csv"]
)
def test_a_url_is_refused_in_words(folder, text):
    with pytest.raises(
        Refused, match="is a URL; records are read from local files, tables and collections"
    ):
        open_source(text, [folder], None)


@pytest.mark.parametrize("text", ["orc:a", "docs/*.jsonl", "", ":", "JSONL:a"])
def test_an_unknown_kind_is_refused_with_the_known_ones(folder, text):
    with pytest.raises(Refused, match=re.escape("expected one of jsonl:, csv:, ")):
        open_source(text, [folder], None)


@pytest.mark.parametrize("text", ["jsonl:", "csv: ", "collection:"])
def test_a_kind_alone_is_refused(folder, text):
    with pytest.raises(Refused, match="names nothing after"):
        open_source(text, [folder], None)
