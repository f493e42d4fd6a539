"""Documents of folders and pages of sites: what is read of them, and when they are bad records."""

import time

import pytest

from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.adapters.sources.html import read_html
from qdrant_rollouts.core.config.index_file import IndexSpec, validate_as
from qdrant_rollouts.core.deployments.commands.rebuilding import Unchanged, rebuild_index
from qdrant_rollouts.core.errors import Refused
from tests.sites import Page, Website, website
from tests.world import World


@pytest.fixture
def ready_url(ready_sqlite_url):
    """Nothing here depends on the database."""
    return ready_sqlite_url


@pytest.fixture(params=["dir", "sitemap"])
def document(request, tmp_path):
    """A way to read one HTML document, out of a folder and from a site alike."""
    if request.param == "dir":
        yield lambda content: in_folder(tmp_path, "a.html", content)
        return
    with website() as site:
        yield lambda content: on_site(site, Page(content, type="text/html"))


def in_folder(tmp_path, name, content):
    (tmp_path / "docs").mkdir(exist_ok=True)
    (tmp_path / "docs" / name).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    (row,) = open_source("dir:docs", (tmp_path,), None).read(None)
    return row


def on_site(site: Website, page: Page):
    site.pages["/a"] = page
    (row,) = open_source(site.sitemap("/a"), (), None, lambda: site.crawl).read(None)
    return row


# --- HTML that leaves tags out ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "title", "text"),
    [
        ("<!doctype html><title>Chairs</title><p>Oak.<p>Ash.", "Chairs", "Oak.\nAsh."),
        ("<!doctype html><meta charset=utf-8><title>T</title><h1>H</h1>x", "T", "H\nx"),
        ("<html><title>T</title><link rel=icon href=x><p>one", "T", "one"),
        ("<html><head><title>T</title><p>one", "T", "one"),
        ("<title>T</title><style>p{}</style><script>no</script>one", "T", "one"),
        ("<title>T</title><base href=/><nav>Home</nav><main>one</main>two", "T", "one"),
        ("<body><p>one<ul><li>a<li>b</ul><dl><dt>t<dd>d</dl>", None, "one\na\nb\nt\nd"),
        ("<table><tr><td>a<td>b<tr><td>c</table>d", None, "a\nb\nc\nd"),
        ("<table>out<tr><td>in</table>", None, "out\nin"),
        ("<select><option>a<option>b</select>", None, "a\nb"),
        ("plain text &amp; nothing else", None, "plain text & nothing else"),
        ("<h1>H<br>one</h1>", "H one", "H\none"),
        ("<title>T</title><noscript>Turn scripts on</noscript><p>one", "T", "one"),
        ("<head><noscript><p>no</p></noscript><title>T</title></head><body>one", "T", "one"),
        ("<NOSCRIPT>no</NOSCRIPT><P>ONE", None, "ONE"),
        ("<title>T</title><template><p>no</template><svg><title>no</title></svg>one", "T", "one"),
        ("<title></title><h1></h1><h1>Second</h1>", "Second", "Second"),
        ("<p>one</p></body></html>two", None, "one\ntwo"),
        ("<p>a<b>b<p>c</b>d", None, "ab\ncd"),
        ("<head><title>T</title></head><frameset><frame src=a></frameset>", "T", None),
    ],
)
def test_tags_that_html_lets_a_page_leave_out_are_there(document, page, title, text):
    row = document(page)
    assert (row.fields or {}).get("text") == text
    if title and text:
        assert row.fields["title"] == title


def test_a_page_cut_into_pieces_anywhere_is_the_same_page(tmp_path):
    """The parser is fed piece by piece: a tag, a reference and a letter lie across each border."""
    page = "".join(
        f"<p title='é{number}'>größer &amp; 🦀 <b>bold</b> {number}</p>\n" for number in range(3000)
    )
    lines = [f"größer & 🦀 bold {number}" for number in range(3000)]
    for shift in range(12):
        assert read_html(" " * shift + page)["text"].split("\n") == lines


def test_xhtml_that_closes_its_tags_itself_keeps_the_rest_of_the_page(tmp_path):
    page = (
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="a>b.js" />'
        "</head><body><a id='x'/><p>one<br/>two</p><div/><p>three</p></body></html>"
    )
    with website() as site:
        found = on_site(site, Page(page, type="application/xhtml+xml"))
    assert found.fields["text"] == "one\ntwo\nthree"
    row = in_folder(tmp_path, "a.html", f'<?xml version="1.0" encoding="utf-8"?>\n{page}')
    assert row.fields["text"] == "one\ntwo\nthree"


@pytest.mark.parametrize(
    "begun",
    [
        "<div>",
        "<b>",
        "<a><b>",
        "<table>",
        "<p><b>",
        "<ul><li>",
        "<a href=x><div>",
        "</p>",
        "<font>",
    ],
)
def test_a_page_that_never_closes_its_tags_is_read_in_time(begun):
    """Trees as deep as that take hours where nothing bounds their depth."""
    began = time.process_time()
    assert read_html(begun * (5_000_000 // len(begun)) + "end")["text"].endswith("end")
    assert time.process_time() - began < 60


def test_a_page_made_to_fill_the_memory_is_a_bad_record(document):
    """Half a megabyte that would become gigabytes: each paragraph opens all of those tags again."""
    row = document("<p>" + "".join(f"<b a={number}>" for number in range(500)) + "<p>x" * 120_000)
    assert row.fields is None
    assert "takes more than 1,073,741,824 bytes of memory to read" in row.problem


# --- characters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "größer".encode(),
        b"\xef\xbb\xbf" + "größer".encode(),
        '<meta charset="windows-1252">größer'.encode("cp1252"),
        "<meta charset='ISO-8859-1'><p>größer".encode("latin-1"),
        b'<meta http-equiv=Content-Type content="text/html; charset=iso-8859-15">gr\xf6\xdfer',
        '<?xml version="1.0" encoding="ISO-8859-1"?><p>größer</p>'.encode("latin-1"),
        b"<meta charset=utf-16>gr\xc3\xb6\xc3\x9fer",
        b"\xff\xfe" + "<p>größer".encode("utf-16-le"),
        b"\xfe\xff" + "<p>größer".encode("utf-16-be"),
        b"\xef\xbb\xbf<meta charset=windows-1251>gr\xc3\xb6\xc3\x9fer",
    ],
)
def test_a_page_says_itself_what_it_is_written_in(document, content):
    assert document(content).fields["text"] == "größer"


@pytest.mark.parametrize(
    ("declared", "content", "text"),
    [
        ("gb2312", "<p>中镕".encode("gbk"), "中镕"),
        ("shift_jis", "<p>①髙".encode("cp932"), "①髙"),
        ("euc-kr", "<p>똠".encode("cp949"), "똠"),
        ("ISO-8859-9", "<p>“ğ”".encode("cp1254"), "“ğ”"),
        ('"utf-8"', "<meta charset=latin1>größer".encode(), "größer"),
        ("koi8-r", "<p>Привет".encode("koi8-r"), "Привет"),
    ],
)
def test_a_sender_says_what_a_page_is_written_in(declared, content, text):
    with website() as site:
        row = on_site(site, Page(content, type=f"text/html; charset={declared}"))
    assert row.fields["text"] == text


def test_a_text_file_of_a_windows_editor_is_read_by_its_mark(tmp_path):
    for name in ("a.txt", "a.md"):
        row = in_folder(tmp_path, name, b"\xff\xfe" + "größer".encode("utf-16-le"))
        assert row.fields["text"] == "größer"
        (tmp_path / "docs" / name).unlink()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<p>gr\xf6\xdfer", "is not utf-8: invalid start byte at byte 6"),
        (
            b"<meta charset=punycode>x",
            "is written in punycode, which is not known; write it in UTF-8",
        ),
    ],
)
def test_a_page_in_no_characters_it_names_is_a_bad_record(document, content, said):
    row = document(content)
    assert row.fields is None
    assert said in row.problem


# --- nothing to read ----------------------------------------------------------------------------

EMPTY = (
    "<!doctype html><title>App</title><div id=root></div><script src=app.js></script>",
    "<body><nav>Home</nav><noscript>Turn scripts on</noscript>",
    "<title>Only a title</title>",
    "<!-- nothing -->",
)


@pytest.mark.parametrize("page", EMPTY)
def test_a_page_that_has_bytes_and_gives_no_text_is_a_bad_record(document, page):
    row = document(page)
    assert row.fields is None
    assert row.problem.startswith(f"holds {len(page):,} bytes and no text that a reader sees")


def test_a_markdown_file_of_front_matter_alone_is_a_bad_record(tmp_path):
    row = in_folder(tmp_path, "a.md", "---\ntitle: Guide\n---\n")
    assert "no text that a reader sees" in row.problem


@pytest.mark.parametrize("content", ["", " \n"])
def test_a_file_with_nothing_in_it_is_a_record_without_text(tmp_path, content):
    assert in_folder(tmp_path, "a.html", content).fields["text"] == ""


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_page_without_text_follows_the_policy_of_bad_records(world: World, policy):
    folder = world.folder / "docs"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number:02}.html").write_text(f"<title>T</title><p>text {number}")
    (folder / "app.html").write_text(EMPTY[0])
    world.declare("docs", source="dir:docs", on_bad_record=policy)
    deployment = world.deploy("docs")
    world.run()
    status = world.status(deployment)
    if policy == "skip":
        assert status["status"] == "live", status["message"]
        assert world.store.count(status["green"]) == 30
    else:
        assert status["status"] == "rolled_back"
        assert "docs/app.html: holds 80 bytes and no text" in status["message"]


# --- front matter -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("---\na: 1\n---\nbody", {"a": "1", "text": "body"}),
        ("---\na: 1\n...\nbody", {"a": "1", "text": "body"}),
        ("---  \r\na: 1\r\n...\t\r\nbody\r\n", {"a": "1", "text": "body"}),
        ("---\ra: 1\r---\rbody", {"a": "1", "text": "body"}),
        ("\ufeff---\na: 1\n---\nbody", {"a": "1", "text": "body"}),
        ("---\n\na: 1\n---\nbody", {"a": "1", "text": "body"}),
        (
            "---\na: 1\n---\nbody\n\n---\n\nmore: text\n---\n",
            {"title": "more: text", "a": "1", "text": "body\n\n---\n\nmore: text\n---"},
        ),
        ("---\na: |\n  one\n  ---\n  two\n---\nbody", {"a": "one\n---\ntwo\n", "text": "body"}),
        ("---\n---\nbody", {"text": "body"}),
        ("---\ntitle:\n---\n# Heading", {"title": "Heading", "text": "# Heading"}),
        (
            '+++\ntitle = "T"\nweight = 7\ndraft = false\ndate = 2026-01-02\ntags = ["x", '
            "2]\n[a]\nb = 1.5\n+++\nbody",
            {
                "title": "T",
                "weight": "7",
                "draft": "false",
                "date": "2026-01-02",
                "tags": ["x", "2"],
                "a": {"b": "1.5"},
                "text": "body",
            },
        ),
        ("+++\r\na = 1\r\n+++\r\nbody", {"a": "1", "text": "body"}),
        # rules across the page
        (
            "---\nA sentence.\n---\nbody",
            {"title": "A sentence.", "text": "---\nA sentence.\n---\nbody"},
        ),
        ("---\n\n- a\n- b\n\n---\nbody", {"text": "---\n\n- a\n- b\n\n---\nbody"}),
        ("---\n\n# Top\n\n---\nbody", {"title": "Top", "text": "---\n\n# Top\n\n---\nbody"}),
        (
            "---\n\nA *sentence: [with\n\n---\nbody",
            {"text": "---\n\nA *sentence: [with\n\n---\nbody"},
        ),
        ("---\nnever closed", {"text": "---\nnever closed"}),
        ("+++\nnever closed", {"text": "+++\nnever closed"}),
        ("body\n---\na: 1\n---\n", {"title": "body", "text": "body\n---\na: 1\n---"}),
    ],
)
def test_front_matter_is_read_as_it_is_written_elsewhere(tmp_path, content, fields):
    row = in_folder(tmp_path, "a.md", content)
    assert row.fields == {"id": "a.md", "path": "a.md", "title": "a", **fields}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("+++\na = \n+++\nbody", "front matter is not TOML: "),
        ("+++\na: 1\n+++\nbody", "front matter is not TOML: "),
        ("---\na: [\n...\nbody", "front matter is not YAML: "),
        ("---\n- a\n...\nbody", "front matter is not an object; expected lines of NAME: VALUE"),
    ],
)
def test_front_matter_in_a_form_that_cannot_be_read_is_a_bad_record(tmp_path, content, said):
    row = in_folder(tmp_path, "a.md", content)
    assert row.fields is None
    assert said in row.problem


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (
            "---\ntitle: T\nlayout: wide\n---\n<p>one<p>two",
            {"title": "T", "layout": "wide", "text": "one\ntwo"},
        ),
        ("---\r\n---\r\n<!doctype html><title>T</title>one", {"title": "T", "text": "one"}),
        ("+++\nweight = 7\n+++\n<title>T</title>one", {"title": "T", "weight": "7", "text": "one"}),
        ("---\ntext: no\ntitle:\n...\n<h1>H</h1>", {"title": "H", "text": "H"}),
        ("---\na sentence\n---\n<p>one", {"text": "--- a sentence ---\none"}),
    ],
)
@pytest.mark.parametrize("name", ["a.html", "a.htm"])
def test_a_page_of_a_folder_may_begin_with_front_matter(tmp_path, name, content, fields):
    row = in_folder(tmp_path, name, content)
    assert row.fields == {"id": name, "path": name, "title": "a", **fields}


# --- ids ----------------------------------------------------------------------------------------


def docusaurus(world: World, *ids: str) -> None:
    """Many folders, each with an introduction that has its id from ``ids`` in turn."""
    for number in range(30):
        folder = world.folder / "docs" / f"{number:02}"
        folder.mkdir(parents=True)
        front = f"---\nid: {ids[number % len(ids)]}\n---\n"
        (folder / "intro.md").write_text(f"{front}# Part {number}\n\nText of part {number}.\n")


def deployed(world: World, **settings):
    world.declare("docs", source="dir:docs", **settings)
    deployment = world.deploy("docs")
    world.run()
    return world.status(deployment)


def payloads(world: World, status):
    points, _ = world.store.scroll(status["green"], None, 100, vectors=False)
    return [point.payload for point in points]


def test_documents_whose_front_matter_has_one_id_are_documents_of_their_own(world: World):
    docusaurus(world, "intro")
    status = deployed(world)
    assert status["status"] == "live", status["message"]
    found = payloads(world, status)
    assert {payload["id"] for payload in found} == {f"{number:02}/intro.md" for number in range(30)}
    assert {payload["front_matter_id"] for payload in found} == {"intro"}


def test_a_declared_field_is_the_id_and_others_keep_their_paths(world: World):
    docusaurus(world, *(f"part-{number}" for number in range(30)))
    (world.folder / "docs" / "plain.txt").write_text("Text without front matter.")
    status = deployed(world, id_field="id")
    assert status["status"] == "live", status["message"]
    ids = {payload["id"] for payload in payloads(world, status)}
    assert ids == {"plain.txt", *(f"part-{number}" for number in range(30))}
    assert not any("front_matter_id" in payload for payload in payloads(world, status))
    checks = {check["name"]: check["verdict"] for check in status["gate"]["checks"]}
    assert checks["round_trip"] == "pass"


def test_any_field_of_front_matter_may_be_the_id_and_stays_where_it_is(world: World):
    for number in range(30):
        folder = world.folder / "docs"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:02}.md").write_text(f"---\nslug: /s/{number}\n---\nText {number}.\n")
    status = deployed(world, id_field="slug")
    assert status["status"] == "live", status["message"]
    found = payloads(world, status)
    assert all(payload["id"] == payload["slug"] for payload in found)
    assert {payload["path"] for payload in found} == {f"{number:02}.md" for number in range(30)}


def test_a_declared_id_that_comes_twice_is_named(world: World):
    docusaurus(world, "intro")
    status = deployed(world, id_field="id")
    assert status["status"] == "rolled_back"
    assert "'intro' is not unique" in status["message"]


def test_another_field_for_the_ids_is_a_reason_to_build_anew(world: World):
    docusaurus(world, *(f"part-{number}" for number in range(30)))
    deployed(world)
    assert isinstance(rebuild_index(world.services, "docs", actor="anna"), Unchanged)
    world.declare("docs", source="dir:docs", id_field="id")
    assert isinstance(rebuild_index(world.services, "docs", actor="anna"), str)


def test_a_field_for_ids_is_refused_where_records_have_their_own(world: World):
    with pytest.raises(
        Refused, match=r"expected no id_field: it names a field of the front matter of dir:"
    ):
        validate_as(IndexSpec, {"source": "jsonl:a.jsonl", "id_field": "id"}, "docs")
    docusaurus(world, "intro")
    world.declare("docs", source="dir:docs", id_field="id")
    with pytest.raises(Refused, match="expected no id_field"):
        world.deploy("docs", source=world.write("a.jsonl", [{"id": 1, "text": "x"}]))
