"""``sitemap:`` reads only what it may, at the requested pace, and does not take a missing answer
for a deletion."""

import time
import tracemalloc
from dataclasses import replace
from functools import partial
from itertools import chain, pairwise

import pytest

from qdrant_rollouts.adapters.crawl import robots
from qdrant_rollouts.adapters.crawl.addresses import is_public
from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.adapters.sources.sitemap import SitemapSource
from qdrant_rollouts.core.collections.parts import find_cuts, limit_parts, open_part
from qdrant_rollouts.core.config.crawl_spec import CrawlSpec
from qdrant_rollouts.core.config.index_file import IndexFile, validate_as
from qdrant_rollouts.core.deployments.commands.planning import plan_deployment
from qdrant_rollouts.core.errors import Refused, Unavailable
from tests.sites import Page, html, named, packed, urlset, website
from tests.world import World


@pytest.fixture
def ready_url(ready_sqlite_url):
    """Nothing here depends on the database."""
    return ready_sqlite_url


@pytest.fixture
def site():
    with website() as made:
        yield made


def opened(site, source, **crawl):
    return open_source(source, (), None, lambda: site.crawl.model_copy(update=crawl))


def rows(site, source, **crawl):
    return list(opened(site, source, **crawl).read(None))


def problem(site, path, page):
    """What is said of the one page that a site of 40 has besides good ones."""
    good = [f"/{number:02}" for number in range(40)]
    site.pages |= {name: html(name, "text") for name in good} | ({path: page} if page else {})
    (bad,) = [row for row in rows(site, site.sitemap(*good, path)) if row.fields is None]
    return bad.problem


# --- where it may go ------------------------------------------------------------------------------

PRIVATE = (
    *(
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0.0.0.0",  # noqa: S104
        "0",
        "localhost",
    ),
    *(
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
    ),
    *(
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[::ffff:169.254.169.254]",
        "[::ffff:7f00:1]",
        "[::7f00:1]",
        "[fe80::1]",
    ),
    *(
        "[fc00::1]",
        "[fec0::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[ff0e::1]",
    ),
)


@pytest.mark.parametrize("host", PRIVATE)
def test_an_address_that_is_not_public_is_refused_however_it_is_written(host):
    with pytest.raises(Refused, match=r"not a public address; name .* under crawl\.allow"):
        open_source(f"sitemap:http://{host}/sitemap.xml", (), None).check()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://example.org/sitemap.xml", "begins with ftp:"),
        ("file:///etc/passwd", "begins with file:"),
        ("gopher://example.org/", "begins with gopher:"),
        ("example.org/sitemap.xml", "begins with nothing:"),
        ("http:///sitemap.xml", "has no host"),
        ("http://anna:secret@example.org/sitemap.xml", "holds a user or a password"),
        ("http://example.org:99999/", "has no host or port"),
        ("http://example.org:0/", "has no host or port"),
        ("http://exa mple.org/", "has no host or port"),
        ("http://[::1/", "is no URL"),
    ],
)
def test_what_is_no_plain_address_of_the_web_is_refused_before_anything_is_asked(url, said):
    with pytest.raises(Refused, match=said) as refused:
        open_source(f"sitemap:{url}", (), None)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("port", [22, 6333, 6379, 8080])
def test_other_ports_than_those_of_the_web_are_refused(port):
    with pytest.raises(Refused, match=f"on port {port}; only 80 and 443 are"):
        open_source(f"sitemap:http://example.org:{port}/sitemap.xml", (), None).check()


def test_public_addresses_are_public():
    assert all(map(is_public, ("8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946")))


@pytest.mark.parametrize("allow", [("127.0.0.1",), ("127.0.0.1:1",), ("localhost",)])
def test_a_site_on_another_port_is_allowed_only_with_its_port(site, allow):
    with pytest.raises(Refused, match=f"name 127.0.0.1:{site.port} under crawl.allow"):
        opened(site, site.sitemap("/a"), allow=allow).check()
    assert not site.asked


def test_every_address_of_a_name_must_be_public():
    source = SitemapSource(
        "http://site.test/s.xml", CrawlSpec, named({"site.test": ["93.184.216.34 10.0.0.1"]})
    )
    with pytest.raises(Refused, match=r"site.test is at 10.0.0.1, which is not a public address"):
        source.check()


def test_a_name_is_looked_up_once_for_a_request_and_that_address_is_connected_to(site):
    """A name that is another at the second look finds nobody who looks a second time."""
    site.pages["/sitemap.xml"] = Page(urlset([f"http://site.test:{site.port}/a"]))
    site.pages["/a"] = html("A", "text")
    spec = CrawlSpec(allow=(f"site.test:{site.port}",), delay_seconds=0)
    resolve = named({"site.test": ["127.0.0.1"]})
    looked = []
    source = SitemapSource(
        f"http://site.test:{site.port}/sitemap.xml",
        lambda: spec,
        lambda host, port, **more: looked.append(host) or resolve(host, port, **more),
    )
    assert [row.fields["title"] for row in source.read(None)] == ["A"]
    assert len(looked) == sum(site.asked.values()) == 3
    assert site.hosts == {f"site.test:{site.port}"}


def test_a_name_that_turns_private_between_two_pages_ends_the_reading(site):
    """The first address is loopback by a leave that the second look has no more."""
    site.pages["/sitemap.xml"] = Page(urlset([f"http://site.test:{site.port}/a"]))
    leave = [CrawlSpec(allow=(f"site.test:{site.port}",), delay_seconds=0)]
    resolve = named({"site.test": ["127.0.0.1"]})
    source = SitemapSource(f"http://site.test:{site.port}/sitemap.xml", lambda: leave[0], resolve)
    source.check()
    leave[0] = CrawlSpec(allow=(f"other.test:{site.port}",), delay_seconds=0)
    (row,) = source.read(None)
    assert "only 80 and 443 are" in row.problem
    assert site.asked["/a"] == 0


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("http://169.254.169.254/latest/meta-data/", "leads to 169.254.169.254, another site"),
        ("http://127.0.0.1:6333/collections", "only 80 and 443 are"),
        ("http://[::1]/", "leads to ::1, another site"),
        ("//2130706433/", "leads to 2130706433, another site"),
        ("file:///etc/passwd", "begins with file:"),
        ("http://anna:secret@127.0.0.1/", "a user or a password"),
        ("http://exa mple/", "redirects to an invalid address: "),
        ("/private/x", "robots.txt of 127.0.0.1 disallows /private/x"),
        ("/loop", "redirects in a circle, by way of"),
        ("/chain1", "redirects more than 5 times"),
    ],
)
def test_each_hop_of_a_redirect_is_looked_at_as_the_first_was(site, to, said):
    site.pages["/robots.txt"] = Page("User-agent: *\nDisallow: /private\n", type="text/plain")
    site.redirect("/loop", "/loop2")
    site.redirect("/loop2", "/loop")
    for number in range(1, 9):
        site.redirect(f"/chain{number}", f"/chain{number + 1}")
    site.redirect("/moved", to)
    found = problem(site, "/moved", None)
    assert said in found
    assert "secret" not in found
    assert site.asked["/private/x"] == 0


@pytest.mark.parametrize(
    ("crawl", "said"),
    [
        ({"allow": ["http://wiki"]}, "expected HOST, HOST:PORT or an IPv6 address"),
        ({"allow": ["Wiki.internal"]}, "in lower case"),
        ({"allow": ["*"]}, "expected HOST"),
        ({"delay_seconds": -1}, "found -1"),
        ({"delay_seconds": 60}, "found 60"),
        ({"max_pages": 0}, "found 0"),
        ({"robots": False}, "unknown key"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused_by_its_path(crawl, said):
    with pytest.raises(Refused, match=r"rollouts\.yaml: crawl\.") as refused:
        validate_as(IndexFile, {"crawl": crawl}, "rollouts.yaml")
    assert said in str(refused.value)


# --- robots.txt -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("", "/a", True),
        ("User-agent: *\nDisallow: /", "/a", False),
        ("User-agent: *\nDisallow: /", "/robots.txt", True),
        ("User-agent: *\nDisallow:", "/a", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: qdrant-rollouts\nDisallow: /b", "/a", True),
        ("user-AGENT: Qdrant-Rollouts/2.0\nDISALLOW: /a # why\n", "/ab", False),
        ("User-agent: other\nUser-agent: qdrant-rollouts\nDisallow: /a", "/a", False),
        (
            "User-agent: qdrant-rollouts\nDisallow: /a\nUser-agent: qdrant-rollouts\nDisallow: /b",
            "/a",
            False,
        ),
        ("User-agent: qdrant\nDisallow: /", "/a", True),
        ("User-agent: *\nAllow: /a/b\nDisallow: /a", "/a/b/c", True),
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/c", False),
        ("User-agent: *\nDisallow: /a\nAllow: /a", "/a", True),
        ("User-agent: *\nDisallow: /*.pdf$", "/x/y.pdf", False),
        ("User-agent: *\nDisallow: /*.pdf$", "/x/y.pdf?z", True),
        ("User-agent: *\nDisallow: /*?session=", "/a?b&session=1", True),
        ("User-agent: *\nDisallow: /*?*session=", "/a?b&session=1", False),
        ("User-agent: *\nDisallow: /größe", "/gr%C3%B6%C3%9Fe/x", False),
        ("User-agent: *\nDisallow: /%7ejoe", "/~joe/", False),
        ("User-agent: *\nDisallow: /a%2fb", "/a/b", True),
        ("Disallow: /a", "/a", True),
        ("User-agent: *\nSitemap: /x\nDisallow: /a$", "/a", False),
        ("User-agent: *\nDisallow: /a$", "/ab", True),
        # forms that many write
        ("\ufeffUser-agent: *\nDisallow: /a", "/a", False),
        ("User-agent : *\r\nDisallow : /a\r\n", "/a", False),
        ("User-agent: *\rDisallow: /a\r", "/a", False),
        ("User agent *\nDisallow /a", "/a", False),
        ("User-agent: *\nDissallow: /a", "/a", False),
        ("User-agent: *\n\nDisallow: /a", "/a", False),
        ("User-agent: qdrant*\nDisallow: /", "/a", True),
        ("User-agent: my-qdrant-rollouts\nDisallow: /", "/a", True),
        ("User-agent: QDRANT-ROLLOUTS # us\nDisallow: /a", "/a", False),
        ("User-agent: *\nDisallow: /a", "//a", True),
        ("User-agent: *\nDisallow: /a?b=c", "/a?b=c&d", False),
    ],
)
def test_robots_are_read_as_rfc_9309_says(text, path, allowed):
    assert robots.parse_robots(text, "qdrant-rollouts").allows(path) is allowed


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("User-agent: *\nCrawl-delay: 10", 10.0),
        ("User-agent: *\nCrawl-delay: 0.5", 0.5),
        ("User-agent: *\nCrawl-delay: .5", 0.5),
        ("User-agent: *\ncrawl-DELAY:2 # seconds", 2.0),
        ("User-agent: *\nCrawl-delay: 1.0\nUser-agent: qdrant-rollouts\nCrawl-delay: 3", 3.0),
        ("User-agent: *\nCrawl-delay: 4\nUser-agent: qdrant-rollouts\nDisallow:", 0.0),
        ("User-agent: *\nCrawl-delay: soon", 0.0),
        ("User-agent: *\nCrawl-delay: -1", 0.0),
        ("User-agent: *\nCrawl-delay: inf", 0.0),
        ("User-agent: *\nCrawl-delay: nan", 0.0),
        ("User-agent: other\nCrawl-delay: 9", 0.0),
        ("", 0.0),
    ],
)
def test_a_crawl_delay_is_read_however_it_is_written(text, delay):
    assert robots.parse_robots(text, "qdrant-rollouts").delay == delay


def test_a_pattern_of_many_stars_is_answered_at_once():
    rules = robots.parse_robots("User-agent: *\nDisallow: /" + "*a" * 200 + "$", "qdrant-rollouts")
    began = time.process_time()
    assert rules.allows("/" + "a" * 5000 + "b")
    assert time.process_time() - began < 5


def test_what_robots_disallow_is_never_asked_for_and_is_a_bad_record(site):
    site.pages["/robots.txt"] = Page(
        "User-agent: qdrant-rollouts\nDisallow: /private\n", type="text/plain"
    )
    found = problem(site, "/private/a", html("A", "secret"))
    assert found == "is not for qdrant-rollouts: robots.txt of 127.0.0.1 disallows /private/a"
    assert site.asked["/private/a"] == 0
    assert all(agent.startswith("qdrant-rollouts/") for agent in site.agents)


def test_a_crawl_delay_is_kept_between_any_two_requests(site):
    site.pages["/robots.txt"] = Page("User-agent: *\nCrawl-delay: 0.2\n", type="text/plain")
    source = site.sitemap("/a", "/b", "/c")
    began = time.monotonic()
    assert len(rows(site, source)) == 3
    assert time.monotonic() - began >= 3 * 0.2  # of the sitemap and three pages


def test_a_site_that_asks_for_more_patience_than_there_is_is_refused(site):
    site.pages["/robots.txt"] = Page("User-agent: *\nCrawl-delay: 60\n", type="text/plain")
    with pytest.raises(
        Refused, match="asks for 60 s between two pages; more than 10 are not waited for"
    ) as refused:
        opened(site, site.sitemap("/a")).check()
    assert "write a group there, 'User-agent: qdrant-rollouts' with 'Crawl-delay: 10'" in str(
        refused.value
    )


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Page(status=500), Unavailable, "answered 500; without it nothing is read"),
        (
            Page(status=302, headers={"location": "http://other.test/robots.txt"}),
            Refused,
            "leads to other.test",
        ),
        (
            Page(status=302, headers={"location": "/robots.txt"}),
            Refused,
            "redirects more than 5 times",
        ),
        (
            Page("User-agent: *\nDisallow: /sitemap.xml"),
            Refused,
            "robots.txt of 127.0.0.1 disallows /sitemap.xml",
        ),
    ],
)
def test_without_leave_nothing_is_read(site, answer, error, said):
    site.pages["/robots.txt"] = answer
    with pytest.raises(error, match=said):
        opened(site, site.sitemap("/a")).check()


# --- sitemaps -------------------------------------------------------------------------------------


def test_an_index_of_sitemaps_packed_ones_among_them_is_read_whole_and_each_page_once(site):
    site.pages["/1.xml.gz"] = packed(urlset([f"{site.url}/a", f"{site.url}/b"]))
    site.pages["/2.xml"] = Page(urlset([f"{site.url}/b", f"{site.url}/c#part"]))
    site.pages["/index.xml"] = Page(
        urlset([f"{site.url}/1.xml.gz", f"{site.url}/2.xml"], "sitemapindex", "sitemap")
    )
    site.pages |= {path: html(path, "text") for path in ("/a", "/b", "/c")}
    found = rows(site, f"sitemap:{site.url}/index.xml")
    assert [row.fields["title"] for row in found] == ["/a", "/b", "/c"]
    assert [row.fields["url"] for row in found] == [f"{site.url}/{name}" for name in "abc"]


@pytest.mark.parametrize(
    "written",
    [
        lambda sitemap: "\n" + sitemap,
        lambda sitemap: "\r\n \t\n" * 50_000 + sitemap,
        lambda sitemap: "\ufeff" + sitemap,
        lambda sitemap: "\ufeff\n" + sitemap,
        lambda sitemap: "\n\ufeff" + sitemap,
        lambda sitemap: "\ufeff\ufeff\n\ufeff" + sitemap,
        lambda sitemap: sitemap.encode("utf-16"),
        lambda sitemap: sitemap.replace("?>", "?>\n<!DOCTYPE urlset>", 1),
        lambda sitemap: sitemap.replace(
            "?>", '?><!DOCTYPE urlset SYSTEM "http://127.0.0.1:9/s.dtd">', 1
        ),
        lambda sitemap: sitemap.replace(
            "?>", "?><?xml-stylesheet href='s.xsl'?><!-- made by -->", 1
        ),
        lambda sitemap: sitemap.partition("?>")[2],
        lambda sitemap: sitemap.replace(' xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"', ""),
        lambda sitemap: packed("\n" + sitemap).content,
    ],
)
def test_a_sitemap_is_read_as_many_write_it(site, written):
    source = site.sitemap("/a", "/b?c=1&d=2")
    site.pages["/sitemap.xml"] = Page(written(site.pages["/sitemap.xml"].content))
    site.pages |= {path: html(path, "text") for path in ("/a", "/b?c=1&d=2")}
    assert [row.fields["title"] for row in rows(site, source)] == ["/a", "/b?c=1&d=2"]
    assert sum(site.asked.values()) == 4


@pytest.mark.parametrize("characters", ["GB2312", "Shift_JIS", "idna", "base64", "nonsense"])
def test_a_sitemap_in_characters_that_are_not_read_says_what_to_write(site, characters):
    source = site.sitemap("/a")
    urls = site.pages["/sitemap.xml"].content.partition("?>")[2]
    site.pages["/sitemap.xml"] = Page(f'<?xml version="1.0" encoding="{characters}"?>{urls}')
    with pytest.raises(Refused, match=r"characters that are not read here .* write it in UTF-8"):
        opened(site, source).check()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff", "\n"])
def test_a_sitemap_may_be_text_with_an_address_in_each_line(site, end, mark):
    content = mark + end.join(f"{site.url}/{name}" for name in ("a", "ö", "c")) + end
    for name, page in {
        "/s.txt": Page(content, type="text/plain"),
        "/s.txt.gz": packed(content),
    }.items():
        site.pages[name] = page
        site.pages |= {path: html(path, "text") for path in ("/a", "/%C3%B6", "/c")}
        found = rows(site, f"sitemap:{site.url}{name}")
        assert [row.fields["title"] for row in found] == ["/a", "/c", "/%C3%B6"]


ENTITIES = '<!DOCTYPE urlset [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {after} "{f"&{before};" * 10}">' for before, after in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    "doctype",
    [
        ENTITIES + "]>",
        '<!DOCTYPE urlset [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE urlset [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x">%a;]>',
        '<!DOCTYPE urlset SYSTEM "http://127.0.0.1:9/s.dtd">',
    ],
)
def test_no_entity_of_a_sitemap_is_followed_or_left_out(site, doctype):
    site.pages["/s.xml"] = Page(
        f"{doctype}<urlset><url><loc>{site.url}/&j;&a;</loc></url></urlset>"
    )
    with pytest.raises(Refused, match=r"has a document type with entities, .* write & as &amp;"):
        opened(site, f"sitemap:{site.url}/s.xml").check()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not a sitemap: no element found"),
        (" \n", "is not a sitemap: no element found"),
        (
            "Sorry, no sitemap\n",
            "it is not XML, and its line 1 is not an address; expected <urlset>",
        ),
        ("http://127.0.0.1/a\n/b\n", "its line 2 is not an address"),
        ("http://127.0.0.1/" + "a" * 9000, "an address of more than 8,192 characters"),
        (b"http://127.0.0.1/\xff\n", "neither XML nor UTF-8"),
        ("http://127.0.0.1/a\n" * 21, "lists more than 20 pages"),
        (
            '<rss version="2.0"><channel/></rss>',
            r"is a feed \(<rss>\), which lists the newest pages alone; name the",
        ),
        ('<feed xmlns="http://www.w3.org/2005/Atom"/>', "is a feed"),
        ("<html><body>Sorry</body></html>", "is not a sitemap: it begins with <html>"),
        ('<!DOCTYPE x [<!ENTITY a "aa">]><urlset>&a;</urlset>', "has a document type"),
        (
            "<!DOCTYPE html><html><body>Sorry</body></html>",
            "is not a sitemap: it begins with <html>",
        ),
        ("<urlset><url><loc>x</loc></url>", "is not a sitemap: no element found"),
        ("<urlset>" + "<a>" * 99, "nested deeper than 16"),
        (urlset(["x" * 9000]), "an address of more than 8,192 characters"),
        (urlset([]), "lists no page"),
        (urlset([f"/{number}" for number in range(21)]), "lists more than 20 pages"),
        (b"\x1f\x8b" + b"\0" * 20, "is damaged"),
    ],
)
def test_what_is_no_sitemap_is_refused_and_never_taken_for_an_empty_one(site, content, said):
    site.pages["/s.xml"] = Page(content)
    with pytest.raises(Refused, match=said):
        opened(site, f"sitemap:{site.url}/s.xml", max_pages=20).check()


@pytest.mark.parametrize(
    ("page", "error", "said"),
    [
        (None, Refused, "answered 404; expected a sitemap"),
        (Page(status=500), Unavailable, "answered 500"),
        (
            Page(urlset(["/x.xml"], "sitemapindex", "sitemap")),
            Refused,
            "an index of sitemaps within another",
        ),
    ],
)
def test_a_sitemap_that_is_missing_from_its_index_is_no_deletion_of_its_pages(
    site, page, error, said
):
    site.pages["/index.xml"] = Page(
        urlset([f"{site.url}/1.xml", f"{site.url}/2.xml"], "sitemapindex", "sitemap")
    )
    site.pages["/1.xml"] = Page(urlset([f"{site.url}/a"]))
    if page:
        site.pages["/2.xml"] = page
    with pytest.raises(error, match=said):
        opened(site, f"sitemap:{site.url}/index.xml").check()


def test_a_few_bytes_that_unpack_to_gigabytes_are_bounded(site):
    site.pages["/s.xml"] = packed("<urlset>" + " " * 60_000_000)
    tracemalloc.start()
    with pytest.raises(Refused, match="is longer than 52,428,800 bytes"):
        opened(site, f"sitemap:{site.url}/s.xml").check()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (Page("größer", type="text/plain"), "größer"),
        (Page("größer".encode("latin-1"), type="text/html; charset=ISO-8859-1"), "größer"),
        (Page('<meta charset="windows-1251">Привет'.encode("cp1251"), type="text/html"), "Привет"),
        (
 Page(packed("packed").content, type="text/plain", headers={"content-encoding": "gzip"}),
 "packed",
),
        (Page("# Title\ntext", type="text/markdown"), "# Title\ntext"),
        (Page("late", type="text/plain", busy=1), "late"),
    ],
)  # fmt: skip
def test_a_page_is_read_as_it_says_it_is_written(site, page, text):
    site.pages["/a"] = page
    (row,) = rows(site, site.sitemap("/a"))
    assert row.fields["text"] == text


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (Page("x", type="application/pdf"), "is application/pdf; expected one of text/html"),
        (Page("x", type=""), "is of no declared type"),
        (Page("no", 403), "answered 403"),
        (Page(b"\xff", type="text/plain"), "is not utf-8"),
        (
            Page("x", type="text/plain; charset=punycode"),
            "is written in punycode, which is not known",
        ),
        (Page("x" * (5 * 2**20 + 1), type="text/plain"), "is longer than 5,242,880 bytes"),
        (Page(packed("x").content[:-4], headers={"content-encoding": "gzip"}), "is damaged"),
        (Page("x", headers={"content-encoding": "br"}), "is packed as br"),
    ],
)
def test_a_page_that_cannot_be_read_is_a_bad_record(site, page, said):
    assert said in problem(site, "/bad", page)


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_that_is_gone_is_neither_a_record_nor_a_fault(site, status):
    assert problem(site, "/gone", Page("gone", status)) == ""


def test_a_page_that_leads_to_a_listed_one_is_that_one(site):
    site.redirect("/old", "/new", 301)
    site.pages["/new"] = html("New", "text")
    site.redirect("/short", "/long/", 308)
    site.pages["/long/"] = html("Long", "text")
    found = {
        row.where.removeprefix(site.url): row
        for row in rows(site, site.sitemap("/old", "/new", "/short"))
    }
    assert found["/old"].gone
    assert found["/short"].fields["url"] == f"{site.url}/long/"
    assert found["/short"].fields["id"] == f"{site.url}/short"


def test_another_site_in_the_sitemap_is_not_asked_and_no_password_is_shown(site):
    found = rows(site, site.sitemap("http://other.test/a", "http://anna:secret@127.0.0.1/b"))
    said = {row.where: row.problem for row in found}
    assert "another site" in said["http://other.test/a"]
    assert "a user or a password" in said["http://***@127.0.0.1/b"]
    assert not any("secret" in problem for problem in said.values())


def test_a_page_that_does_not_come_is_a_fault_while_the_site_answers(site):
    assert problem(site, "/broken", Page(status=500)) == "answered 500, 3 times"
    assert site.asked["/broken"] == 3


def test_a_site_that_does_not_answer_is_waited_for_and_loses_no_page(site):
    source = opened(site, site.sitemap("/a", "/b"))
    source.check()
    site.pages |= {path: Page(status=503) for path in ("/a", "/robots.txt")}
    with pytest.raises(
        Unavailable, match=r"127\.0\.0\.1 does not answer: robots\.txt answered 503"
    ):
        next(source.read(None))


def test_more_than_one_page_in_twenty_that_does_not_come_ends_it(site):
    paths = [f"/{number:02}" for number in range(20)]
    site.pages |= {path: html(path, "text") for path in paths}
    site.pages |= {path: Page(status=500) for path in ("/03", "/07")}
    found = opened(site, site.sitemap(*paths)).read(None)
    assert [next(found).problem for _ in range(7)].count("answered 500, 3 times") == 1
    with pytest.raises(
        Refused, match=r"2 of the 20 pages of .* did not come, at most one in 20 may be left out"
    ):
        next(found)


# --- parts ----------------------------------------------------------------------------------------


def test_a_site_without_a_pace_is_cut_and_no_page_is_fetched_twice(site):
    paths = [f"/{number:03}" for number in range(310)]
    site.pages |= {path: html(path, "text") for path in paths}
    source = site.sitemap(*paths)
    bounds = [None, *find_cuts(opened(site, source), 3), None]
    parts = [
        [row.fields["id"] for row in open_part(opened(site, source), *part).read(None)]
        for part in pairwise(bounds)
    ]
    assert [len(part) for part in parts] == [103, 103, 104]
    assert list(chain(*parts)) == [site.url + path for path in paths]
    assert {site.asked[path] for path in paths} == {1}


@pytest.mark.parametrize("robots", ["", "User-agent: *\nCrawl-delay: 0.1\n"])
def test_a_site_with_a_pace_is_read_in_one_part(site, robots):
    source = site.sitemap(*(f"/{number}" for number in range(500)))
    without = opened(site, source, delay_seconds=0)
    assert limit_parts(without, 4) == 4
    if robots:
        site.pages["/robots.txt"] = Page(robots, type="text/plain")
        assert find_cuts(opened(site, source), 4) == []
        return
    site.asked.clear()
    paced = opened(site, source, delay_seconds=0.1)
    assert (find_cuts(paced, 4), limit_parts(paced, 4)) == ([], 1)
    assert not site.asked


def test_of_the_pages_of_a_part_one_in_twenty_may_not_come(site):
    paths = [f"/{number:03}" for number in range(200)]
    site.pages |= {path: html(path, "text") for path in paths}
    site.pages |= {path: Page(status=500) for path in paths[10:16]}
    source = site.sitemap(*paths)
    (cut,) = find_cuts(opened(site, source), 8)
    assert len(list(open_part(opened(site, source), cut, None).read(None))) == 100
    with pytest.raises(Refused, match="6 of the 100 pages"):
        list(open_part(opened(site, source), None, cut).read(None))


def test_a_small_site_is_not_cut_into_parts_of_which_no_page_may_be_missing(site):
    source = site.sitemap(*(f"/{number:02}" for number in range(60)))
    assert find_cuts(opened(site, source), 4) == []


# --- deployments ----------------------------------------------------------------------------------


def crawling(world: World, site) -> None:
    source = partial(
        open_source, roots=(world.folder,), store=world.store, crawl=lambda: site.crawl
    )
    world.change_services(source=source)


def live(world: World, deployment: str) -> dict:
    world.run(turns=1000)
    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    return status


def test_a_plan_asks_a_site_once_for_its_list_of_pages(world: World, site) -> None:
    crawling(world, site)
    site.pages |= {f"/{number}": html(f"Page {number}", f"text {number}") for number in range(5)}
    world.declare("docs", source=site.sitemap(*site.pages))
    told = plan_deployment(world.services, "docs")
    assert (told["records"]["value"], told["texts"]["value"]) == (5, 5)
    assert site.asked["/sitemap.xml"] == 1
    assert max(site.asked.values()) == 1


def test_a_site_of_500_pages_with_everything_that_sites_have_becomes_a_collection(
    world: World, site
):
    """Redirects, circles, what robots.txt disallows, what is gone, what is broken, and what
    stammers."""
    crawling(world, site)
    site.pages["/robots.txt"] = Page("User-agent: *\nDisallow: /private/\n", type="text/plain")
    good = {
        f"/page/{number:03}": html(f"Page {number}", f"text {number} about python")
        for number in range(460)
    }
    moved = [f"/moved/{number:02}" for number in range(10)]
    circles = [f"/circle/{number}" for number in range(5)]
    private = [f"/private/{number}" for number in range(5)]
    gone = [f"/gone/{number}" for number in range(10)]
    files = [f"/file/{number}.pdf" for number in range(9)]
    site.pages |= good | {path: Page("%PDF", type="application/pdf") for path in files}
    site.pages["/page/007"] = Page(good["/page/007"].content, busy=2)
    site.pages["/broken"] = Page(status=500)
    for number, path in enumerate(moved):
        site.redirect(path, f"/page/{number:03}" if number % 2 else f"/to/{number}")
        site.pages[f"/to/{number}"] = html(f"To {number}", f"moved text {number}")
    for path in circles:
        site.redirect(path, path)
    listed = [*good, *moved, *circles, *private, *gone, *files, "/broken"]
    assert len(listed) == 500
    site.pages["/1.xml.gz"] = packed(urlset([site.url + path for path in listed[:250]]))
    site.pages["/2.xml"] = Page(urlset([site.url + path for path in listed[250:]]))
    site.pages["/sitemap.xml"] = Page(
        urlset([f"{site.url}/1.xml.gz", f"{site.url}/2.xml"], "sitemapindex", "sitemap")
    )

    world.declare("docs", on_bad_record="skip")
    status = live(world, world.deploy("docs", source=f"sitemap:{site.url}/sitemap.xml"))
    output = next(step["output"] for step in status["steps"] if step["name"] == "populate")
    assert world.store.count(status["green"]) == 465
    assert (output["written"], output["bad"], output["gone"]) == (465, 20, 15)
    assert not any(site.asked[path] for path in private)


def test_slices_of_a_site_make_the_points_that_one_worker_makes(world: World, site):
    crawling(world, site)
    paths = [f"/{number:02}" for number in range(40)]
    site.pages |= {path: html(path, f"text of {path}") for path in paths[:38]}
    site.redirect("/38", "/02")  # to a page of another slice
    made = {}
    for parallel in (1, 3):
        world.declare("docs", source=site.sitemap(*paths), populate={"parallel": parallel})
        status = live(world, world.deploy("docs"))
        points, _ = world.store.scroll(status["green"], None, 100)
        made[parallel] = {point.id: point.payload["text"] for point in points}
        output = next(step["output"] for step in status["steps"] if step["name"] == "populate")
        assert (output["written"], output["gone"]) == (38, 2)
    assert made[3] == made[1]


def test_a_slow_site_takes_more_turns_and_none_of_them_longer(world: World, site):
    """Each turn reads the sitemap once; what it has got when its time is over is written, and the
    next goes on."""
    paths = [f"/{number}" for number in range(8)]
    site.pages |= {path: html(path, f"text of {path}") for path in paths}
    world.declare("docs", source=site.sitemap(*paths))
    world.change_services(times=replace(world.services.times, turn_time=0.05))
    turns = {}
    for delay in (0.0, 0.03):
        site.asked.clear()
        site.crawl = site.crawl.model_copy(update={"delay_seconds": delay})
        crawling(world, site)
        assert world.store.count(live(world, world.deploy("docs"))["green"]) == 8
        turns[delay] = site.asked["/sitemap.xml"]
    assert turns[0.03] > turns[0.0]


def test_a_page_that_is_gone_disappears_and_one_that_fails_keeps_the_old_version_live(
    world: World, site
):
    crawling(world, site)
    paths = [f"/{number:02}" for number in range(40)]
    site.pages |= {path: html(path, f"text of {path}") for path in paths}
    source = site.sitemap(*paths)
    world.declare("docs", source=source)
    first = live(world, world.deploy("docs"))
    del site.pages["/05"]
    second = live(world, world.deploy("docs"))
    assert world.store.count(second["green"]) == 39
    output = next(step["output"] for step in second["steps"] if step["name"] == "populate")
    assert (output["reused"], output["gone"]) == (39, 1)
    assert first["green"] != second["green"]
    site.pages |= {path: Page(status=500) for path in paths[10:14]}
    for bad in ("fail", "skip"):
        world.declare("docs", source=source, on_bad_record=bad)
        third = world.deploy("docs")
        world.run(turns=1000)
        assert world.status(third)["status"] == "rolled_back"
        assert world.store.aliases()["docs"] == second["green"]
    assert "did not come, at most one in 20 may be left out" in world.status(third)["message"]


def test_a_site_that_asks_for_ten_seconds_between_two_pages_is_read(site):
    """The last of the file, because the next request to the same address would wait, too."""
    site.pages["/robots.txt"] = Page("User-agent: *\nCrawl-delay: 10\n", type="text/plain")
    source = opened(site, site.sitemap("/a"))
    source.check()
    site.pages["/a"] = html("A", "text")
    began = time.monotonic()
    assert [row.fields["title"] for row in source.read(None)] == ["A"]
    assert time.monotonic() - began > 8
