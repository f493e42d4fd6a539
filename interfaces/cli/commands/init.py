"""``rollouts init``."""

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click
from dotenv import dotenv_values
from rich.text import Text

from qdrant_rollouts.adapters.private import OWNER_ONLY, create_text
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import BadRecord, Record, parse_row
from qdrant_rollouts.core.collections.survey import (
    SAMPLE,
    FoundFields,
    find_fields,
    survey_collection,
)
from qdrant_rollouts.core.config.index_file import IndexFile, validate_as
from qdrant_rollouts.core.config.settings import Settings, load_settings
from qdrant_rollouts.core.errors import Busy, Misconfigured, Refused, Unavailable, Unknown
from qdrant_rollouts.core.ports import Row, Source, VectorStore
from qdrant_rollouts.core.ports.naming import check_found_name, free_alias, shell_word
from qdrant_rollouts.core.sanitize.bounded import read_yaml
from qdrant_rollouts.core.sanitize.quoting import quote_value, shorten_text
from qdrant_rollouts.core.sanitize.redaction import redact
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.first_files import (
    FILL_IN,
    QDRANT_KEY,
    Existing,
    New,
    list_qdrant_values,
    render_index_file,
    render_settings,
)
from qdrant_rollouts.interfaces.cli.running import DONE, verb
from qdrant_rollouts.wiring import (
    EMBEDDED_STORE,
    open_sources,
    open_store_for_reading,
    open_vector_store,
)

#: Where Qdrant is if no setting says it.
LOCAL_SERVER = "http://localhost:6333"
_SETTINGS_FILE = Path(".env")
#: Entries of one file; more are named in it.
_MOST_ENTRIES = 20
#: Seconds for reading the sample of a source: a site gives a page each second.
_SAMPLE_SECONDS = 10.0
_EXAMPLE = "jsonl:docs/*.jsonl"
_EXAMPLE_ALIAS = "documentation"
#: Of any index: only its declaration says which vectors and fields a record needs.
_ANY_RECORD = RecordRules(dense={}, vector_field=None)
#: The mode of the index file, which has no secrets, before the umask.
_OPEN_FILE = 0o666


@click.command()
@click.option(
    "--from", "origin", metavar="NAME", help="Only the index of this alias or collection."
)
@click.option(
    "--source",
    metavar="KIND:WHERE",
    help="Declare a new index of these records, such as jsonl:docs/*.jsonl.",
)
@verb
def write_first_files(origin: str | None, source: str | None) -> int:
    """Writes .env and rollouts.yaml from what is found on the Qdrant server.

    It looks at aliases, vectors, payload indexes and a sample of the records, asks nothing, and
    changes nothing on the server. Without ROLLOUTS_QDRANT_URL it looks for a server on this
    machine. It never writes over a file.
    """
    if origin is not None and source is not None:
        raise Refused("--from is for a collection that is there, --source for a new one: give one")
    settings = load_settings()
    _check_free(settings.config)
    settings = find_server(settings)
    with closing(open_store_for_reading(settings)) as store:
        address = _ask_address(store)
        aliases = store.aliases()
        entries, left_out = _choose_entries(settings, store, aliases, origin, source)
    text = render_index_file(entries, address, left_out)
    validate_as(IndexFile, read_yaml(text), str(settings.config))
    told = [_write_settings(settings), *_write_index_file(settings.config, text)]
    for line in (_describe_server(settings, address), *told, *_name_next_steps(entries)):
        screen.make_console().print(Text(screen.printable_text(line)), soft_wrap=True)
    return DONE


# --- what is there --------------------------------------------------------------------------------


def _check_free(config: Path) -> None:
    if os.path.lexists(config):
        raise Refused(
            f"{config} is there already, and nothing is written over it: move it away, or write "
            "another file with ROLLOUTS_CONFIG=other.yaml rollouts init and copy from it"
        )
    if not config.absolute().parent.is_dir():
        raise Refused(f"{config}: there is no folder {config.absolute().parent}; make it first")


def find_server(settings: Settings, local: str = LOCAL_SERVER) -> Settings:
    """Returns the settings with the server at ``local``, if they name none, there is no embedded
    Qdrant yet, and a server answers there."""
    if settings.qdrant_url or Path(EMBEDDED_STORE).exists():
        return settings
    found = settings.model_copy(update={"qdrant_url": local})
    with closing(open_vector_store(found)) as store:
        try:
            store.server()
        except Misconfigured:
            raise
        except Unavailable:
            return settings
    return found


def _ask_address(store: VectorStore) -> str:
    try:
        return store.server().address
    except (Busy, Misconfigured):
        raise
    except Unavailable as error:
        raise Unavailable(
            f"{error}. Nothing was written: start it, or correct ROLLOUTS_QDRANT_URL"
        ) from error


def _describe_server(settings: Settings, address: str) -> str:
    if settings.qdrant_url or Path(EMBEDDED_STORE).exists():
        return f"found Qdrant at {address}"
    return (
        f"no Qdrant answers at {LOCAL_SERVER}, so the embedded one in {EMBEDDED_STORE} is used; "
        f"for a server, name it in {_SETTINGS_FILE}"
    )


def _choose_entries(
    settings: Settings,
    store: VectorStore,
    aliases: Mapping[str, str],
    origin: str | None,
    source: str | None,
) -> tuple[list[Existing | New], list[str]]:
    """Returns the entries of the index file, and the names of what was found and has none."""
    collections = store.collections()
    if source is not None:
        return [_describe_source(settings, store, source, {*aliases, *collections})], []
    wanted = _choose_collections(aliases, collections, origin)
    chosen = [alias for alias in wanted if _can_be_declared(alias)][:_MOST_ENTRIES]
    if wanted and not chosen:
        check_found_name("alias", next(iter(wanted)))  # says which names an index may have
    if not wanted:
        example = New(_EXAMPLE_ALIAS, _EXAMPLE, FoundFields(SAMPLE, "title", "text"), read=False)
        return [example], []
    entries: list[Existing | New] = [
        Existing(alias, survey_collection(store, wanted[alias]), served=alias in aliases)
        for alias in chosen
    ]
    left_out = [alias for alias in wanted if alias not in chosen]
    if origin is None:
        left_out += sorted(collections - set(wanted.values()))
    return entries, left_out


def _choose_collections(
    aliases: Mapping[str, str], collections: set[str], origin: str | None
) -> dict[str, str]:
    """Returns collections by their aliases. If there is no alias, a collection is under a name that
    its alias may get."""
    if origin is not None:
        _check_known(origin, aliases, collections)
    served = {
        alias: collection
        for alias, collection in sorted(aliases.items())
        if origin in {None, alias, collection}
    }
    if served:
        return served
    made: dict[str, str] = {}
    for collection in sorted(collections) if origin is None else [origin]:
        made[free_alias(f"{collection}_live", {*aliases, *collections, *made})] = collection
    return made


def _check_known(name: str, aliases: Mapping[str, str], collections: Iterable[str]) -> None:
    if name in aliases or name in collections:
        return
    known = ", ".join(shorten_text(one) for one in sorted({*aliases, *collections})[:_MOST_ENTRIES])
    raise Unknown(
        f"there is no alias and no collection {shorten_text(name)}; known: {known or 'none'}. For "
        "a new index, say where its records are: rollouts init --source jsonl:docs/*.jsonl"
    )


def _can_be_declared(alias: str) -> bool:
    try:
        check_found_name("alias", alias)
    except Refused:
        return False
    return True


def _describe_source(settings: Settings, store: VectorStore, text: str, taken: set[str]) -> New:
    source = open_sources(settings, store)(text)
    source.check()
    rows = list(_read_sample(source))
    parsed = [parse_row(replace(row, vector=None), _ANY_RECORD) for row in rows]
    bad = [one for one in parsed if isinstance(one, BadRecord)]
    records = [
        row.fields
        for row, one in zip(rows, parsed, strict=True)
        if row.fields and isinstance(one, Record)
    ]
    if not records:
        first = f" ({bad[0]})" if bad else ""
        raise Refused(
            f"{quote_value(text)}: none of its first {SAMPLE} records can be deployed{first}; see "
            "what a record is in docs/sources.md of the repository of qdrant-rollouts"
        )
    alias = free_alias(_name_source(text), taken)
    brings = all(isinstance(record.get("vector"), list | dict) for record in records)
    return New(alias, text, find_fields(_without_id(records)), vectors=brings, bad=bad)


def _read_sample(source: Source) -> Iterator[Row]:
    """Yields the first rows, and stops when it takes too long."""
    until = time.monotonic() + _SAMPLE_SECONDS
    for number, row in enumerate(source.read(None), 1):
        yield row
        if number >= SAMPLE or time.monotonic() > until:
            return


def _without_id(records: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """An id is no title, tenant or text."""
    return [{name: value for name, value in one.items() if name != "id"} for one in records]


def _name_source(text: str) -> str:
    """Returns a word of the source, such as ``articles`` of ``jsonl:data/articles/*.jsonl``."""
    kind, _, where = text.partition(":")
    if kind in {"sql", "sitemap", "backup"}:
        return _EXAMPLE_ALIAS
    parts = re.split(r"[/:,]", where)
    words = (re.sub(r"\..*", "", part) for part in reversed(parts) if "*" not in part)
    return next((word for word in words if word.strip()), _EXAMPLE_ALIAS)


# --- what is written ------------------------------------------------------------------------------


def _write_settings(settings: Settings) -> str:
    """The settings come first: without them, a second call would find another Qdrant."""
    if not _create_file(_SETTINGS_FILE, render_settings(settings), OWNER_ONLY):
        return _describe_kept(settings)
    holds = " and its API key" * bool(settings.qdrant_api_key.get_secret_value())
    return f"wrote {_SETTINGS_FILE}, which only you can read: where Qdrant is{holds}"


def _create_file(path: Path, text: str, mode: int) -> bool:
    """Returns False, and changes nothing, if there is anything of this name."""
    try:
        create_text(path, text, mode)
    except FileExistsError:
        return False
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
    return True


def _describe_kept(settings: Settings) -> str:
    """Returns what the file lacks; no secret is shown."""
    there = dotenv_values(_SETTINGS_FILE)
    lacks = [
        f"{name}={'…' if name == QDRANT_KEY else redact(value)}"
        for name, value in list_qdrant_values(settings).items()
        if there.get(name) != value
    ]
    told = f"{_SETTINGS_FILE} is there already and stays as it is"
    if lacks:
        told += f"; add to it what led to this Qdrant: {' '.join(lacks)}"
    return told


def _write_index_file(config: Path, text: str) -> Iterator[str]:
    if not _create_file(config, text, _OPEN_FILE):
        _check_free(config)  # another process has just written it
    yield f"wrote {config}"
    for number, line in enumerate(text.splitlines(), 1):
        if FILL_IN in line:
            yield f"  {config}:{number}: {line.strip().lstrip('# ')}"


def _name_next_steps(entries: Iterable[Existing | New]) -> Iterator[str]:
    first = next(iter(entries), None)
    if isinstance(first, New) and first.bad:
        yield (
            f"{len(first.bad):,} of the first {SAMPLE} records cannot be deployed; correct them, "
            f"or leave them out with on_bad_record: skip; the first is {first.bad[0]}"
        )
    yield "next:"
    if isinstance(first, Existing) and not first.served:
        collection = shell_word(first.survey.collection)
        yield f"  rollouts alias create {shell_word(first.alias)} {collection}"
    yield "  rollouts doctor"
    if first is not None:
        yield f"  rollouts deploy {shell_word(first.alias)} --wait"
