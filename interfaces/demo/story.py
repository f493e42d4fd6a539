"""The story of the demo, told while it happens. Its final claims are checked, not assumed."""

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, Group
from rich.text import Text

from qdrant_rollouts.adapters import private
from qdrant_rollouts.core.collections import aliases
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.step_traits import traits_of
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import Embedder
from qdrant_rollouts.core.routing import Router
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.cli import judgment, screen
from qdrant_rollouts.interfaces.cli.following import Seen, follow_deployment
from qdrant_rollouts.interfaces.demo import texts, versions
from qdrant_rollouts.interfaces.demo.crowd import THREADS, Crowd
from qdrant_rollouts.interfaces.demo.versions import ALIAS, QUERIES, Version
from qdrant_rollouts.interfaces.embedded import Embedded, running_elsewhere

FOLDER = Path(".rollouts-demo")
ALL_HELD = 0
SOMETHING_BROKE = 1
_QUESTION = "secret token for a password reset link"


def run_story(console: Console) -> int:
    """Returns 0 if everything that the demo claims was found to be true, else 1. Raises Refused
    while another one runs in FOLDER."""
    begun = time.monotonic()
    _clear_folder()
    with contextlib.chdir(FOLDER), _open_services() as services:
        story = Story(console, services)
        story.tell()
        return story.sum_up(time.monotonic() - begun)


def _clear_folder() -> None:
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    with contextlib.chdir(FOLDER):
        pid = running_elsewhere()
    if pid is not None:
        raise Refused(
            f"process {pid} works in {FOLDER} at this moment; end it, or run the demo in another "
            "folder"
        )
    shutil.rmtree(FOLDER)
    FOLDER.mkdir(mode=0o700)
    private.write_text(FOLDER / ".gitignore", "*\n")


@contextlib.contextmanager
def _open_services() -> Iterator[Services]:
    """Opens the embedded default without any setting; servers that this shell is configured for are
    not used."""
    runner = Embedded(Settings.model_construct())
    try:
        with runner:
            yield runner.services
    finally:
        runner.services.close()


class Story:
    """Collects facts: a sentence that says what was found, and whether it is as expected."""

    #: Models, each with the lowest score that its best answer to a query of the gate may have (see
    #: ``versions.QUERIES``).
    MINILM = ("sentence-transformers/all-MiniLM-L6-v2", 0.45)
    HASHING = ("hashing:384", 0.15)

    def __init__(self, console: Console, services: Services) -> None:
        self._console = console
        self._services = services
        self._facts: list[tuple[bool, str]] = []

    def tell(self) -> None:
        """Ends early if the next chapter lacks its basis."""
        known = texts.collect_texts()
        one = versions.first_version(known)
        two = versions.second_version(known)
        three = versions.damaged_version(known)
        embedder = self._prepare_versions(one, two, three)
        if not self._tell_first_version(one):
            return
        with Crowd(
            self._services.store, ALIAS, [embedder.query(query) for query in QUERIES]
        ) as crowd:
            if self._tell_replacement(one, two, crowd):
                self._tell_search(_QUESTION)
                self._tell_damage(three, crowd)
        self.note(
            crowd.served > 0 and not crowd.failed and not crowd.empty,
            f"searches by alias: {crowd.words()}",
        )
        self._check_rollback_kept()

    def note(self, held: bool, sentence: str) -> bool:
        self._facts.append((held, sentence))
        return held

    def sum_up(self, seconds: float) -> int:
        self._print_chapter(f"What was found, after {screen.format_span(seconds)}")
        for held, sentence in self._facts:
            self._console.print(
                Text.assemble(screen.status_symbol("pass" if held else "fail"), f" {sentence}")
            )
        if not self._facts or not all(held for held, _ in self._facts):
            self._print_sentence(
                f"That is not the expected end; {Path.cwd()} holds what is left of it."
            )
            return SOMETHING_BROKE
        self._console.print(_describe_next())
        return ALL_HELD

    def _prepare_versions(self, *all_versions: Version) -> Embedder:
        self._print_chapter("A search index, rebuilt while it is searched")
        self._print_sentence(
            f"{len(all_versions[1].pages):,} real texts: the documentation that comes with Python."
        )
        self._print_sentence(
            f"Qdrant, database and worker run inside this process and keep their files in {FOLDER}."
        )
        with self._console.status("loading the embedding model"):
            embedding, lowest_score = self._choose_model()
        for version in all_versions:
            version.write()
        versions.write_index_file(embedding, lowest_score, latest=all_versions[1])
        return self._services.embedder(embedding)

    def _tell_first_version(self, one: Version) -> bool:
        self._print_chapter(f"Version 1: {len(one.pages):,} texts")
        self._print_sentence(
            f"There is no alias {ALIAS} yet; it is created when its collection is filled and "
            "checked."
        )
        return self._check_serves(self._deploy_version(one), one)

    def _tell_replacement(self, one: Version, two: Version, crowd: Crowd) -> bool:
        kept = two.unchanged_since(one)
        new = two.new_since(one)
        changed = len(two.pages) - kept - new
        self._print_chapter(
            f"Version 2: {len(two.pages):,} texts, {new:,} of them new, {changed:,} changed"
        )
        self._print_sentence(f"From now on {THREADS} threads search {ALIAS} without a break.")
        seen = self._deploy_version(two, crowd)
        filled = next(
            step["output"] for step in seen["steps"] if traits_of(step["name"]).fills_green
        )
        reused = filled.get("reused", 0)
        embedded = filled.get("embedded", 0)
        words = f"its vectors: {reused:,} taken over from version 1, {embedded:,} made new"
        return self._check_serves(seen, two) and self.note(
            (reused, embedded) == (kept, new + changed), words
        )

    def _tell_search(self, question: str) -> None:
        self._print_chapter(f"Searching for: {question}")
        with Router(self._services) as router:
            found = router.search(ALIAS, question, limit=3).results
        rows = screen.make_table("SCORE", "NAME", "TEXT", cut=("TEXT",))
        for hit in found:
            screen.add_row(
                rows,
                (f"{hit.score:.2f}", hit.payload["title"], " ".join(hit.payload["text"].split())),
            )
        self._console.print(rows)
        by = sorted({hit.payload["version"] for hit in found})
        self.note(
            by == [2],
            f"a search of one's own was answered by version {' and '.join(map(str, by)) or 'none'}",
        )

    def _tell_damage(self, three: Version, crowd: Crowd) -> None:
        self._print_chapter("Version 3, damaged")
        self._print_sentence(
            f"The crawler was signed out: for each of {len(three.pages):,} pages it brought the "
            "login page."
        )
        self._print_sentence(
            "No record is missing and none is malformed, so only the answers can tell."
        )
        before = aliases.get_collection_for_alias(self._services, ALIAS)
        seen = self._deploy_version(three, crowd)
        report = seen["gate"] or {"verdict": "not asked", "checks": [], "warnings": []}
        self._console.print()
        self._console.print(judgment.render_gate({**report, "worst": []}))
        blocked = [row for row in report["checks"] if row["verdict"] == "block"]
        why = ", ".join(
            f"{row['name']} {row['value']!s:.6} against {row['bound']}" for row in blocked
        )
        words = (
            f"version {three.number} is {seen['status']}; the gate said {report['verdict']}: "
            f"{why or 'nothing'}"
        )
        self.note(seen["status"] == Status.ROLLED_BACK and bool(blocked), words)
        self._check_as_before(before, seen, crowd.answered[three.number])

    def _check_as_before(self, before: str, seen: Seen, answered: int) -> None:
        behind = aliases.get_collection_for_alias(self._services, ALIAS)
        switches = sum(event["event"] == "alias.switched" for event in seen["events"])
        left = sorted(self._services.store.collections() & {seen["green"]})
        words = (
            f"it moved the alias {switches} times, answered {answered} searches and left "
            f"{len(left)} collections"
        )
        self.note(behind == before and not switches and not answered and not left, words)

    def _check_rollback_kept(self) -> None:
        rows = [row for row in queries.list_deletions(self._services) if row["alias"] == ALIAS]
        told = "; ".join(row["text"] for row in rows)
        self.note(
            [row["status"] for row in rows] == ["scheduled"],
            f"kept for a rollback, until then: {told}",
        )

    def _choose_model(self) -> tuple[EmbeddingSpec, float]:
        try:
            return self._open_embedding(*self.MINILM)
        except (Refused, Unavailable) as error:
            self._print_sentence(
                f"Words instead of meaning: the model is not available here. {error}"
            )
            return self._open_embedding(*self.HASHING)

    def _open_embedding(self, name: str, lowest_score: float) -> tuple[EmbeddingSpec, float]:
        embedding = EmbeddingSpec(model=name, text=versions.TEMPLATE)
        self._print_sentence(
            f"Embedding model: {name}, {self._services.embedder(embedding).dimension} numbers for "
            "each text."
        )
        return embedding, lowest_score

    def _deploy_version(self, version: Version, crowd: Crowd | None = None) -> Seen:
        started = commands.start_deployment(
            self._services, ALIAS, source=version.source, actor="demo"
        )
        return follow_deployment(self._services, started, below=crowd.line if crowd else Group)

    def _check_serves(self, seen: Seen, version: Version) -> bool:
        behind = queries.list_aliases(self._services).get(ALIAS)
        found = 0
        if behind:
            found = self._services.store.count(behind)
        live = (seen["status"], behind, found) == (Status.LIVE, seen["green"], len(version.pages))
        words = f"version {version.number} is {seen['status']}: {ALIAS} → {behind}, {found:,} texts"
        return self.note(live, words)

    def _print_chapter(self, title: str) -> None:
        self._console.print()
        self._console.print(Text(title, style="bold"))

    def _print_sentence(self, sentence: str) -> None:
        self._console.print(Text(sentence))


def _describe_next() -> Text:
    program = "rollouts" if shutil.which("rollouts") else Path(sys.executable).with_name("rollouts")
    lines = (
        f"cd {FOLDER}",
        f"{program} list",
        f'{program} search {ALIAS} "{QUERIES[0]}"',
        f"{program} rollback {ALIAS}",
    )
    return Text("\n".join(["", "Go on from here:", *(f"  {line}" for line in lines)]))
