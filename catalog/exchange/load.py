"""Bulk load: items and collections from files into the catalog, checked, by several processes, and to be gone on with.

A source is divided into pieces; each is stored in one transaction, which also says so in a journal. A load that is
broken off, by Ctrl-C, a crash or a bad document, leaves whole pieces; the same command again passes over them. What is
in the catalog already in the same form is left alone.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from terralab.catalog.audit import note_written
from terralab.catalog.errors import InvalidItem, UnknownName
from terralab.catalog.exchange.chunks import Chunk
from terralab.catalog.exchange.journal import Journal
from terralab.catalog.exchange.made_collections import plain_collection
from terralab.catalog.exchange.prepared import BatchOptions
from terralab.catalog.exchange.results import SHOWN_BAD, ChunkResult, LoadReport
from terralab.catalog.exchange.sources import Source, open_source
from terralab.catalog.exchange.stored_documents import FormChoice
from terralab.catalog.exchange.workers import Task, Workers, WorkerSetup, open_workers
from terralab.catalog.extents import union_of_extents
from terralab.catalog.stac_files import STDIN
from terralab.catalog.validation import refuse_invalid
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing_collections import write_collections

Tell = Callable[[int, int | None, str], None]
_MOST_WORKERS = 4
_ANALYZED = 5_000
WRITER = "terralab catalog load"


@dataclass(frozen=True)
class LoadOptions:
    """How a load is done.

    Attributes:
        validate: whether documents are checked.
        skip_invalid: whether documents that are not valid are left out; else they end the load.
        create_collections: whether collections that items name and nobody describes are made.
        copy_assets: whether files beside a static catalog go into the asset store.
        workers: processes; by default two for each four cores, and at least two.
        writer: who the audit log says did it.
    """

    validate: bool = True
    skip_invalid: bool = False
    create_collections: bool = False
    copy_assets: bool = False
    workers: int | None = None
    writer: str = WRITER


def load(workspace: Workspace, place: str, options: LoadOptions | None = None, tell: Tell | None = None) -> LoadReport:
    """Load a file or folder.

    Args:
        workspace: the lab.
        place: ndjson, JSON, stac-geoparquet, the folder of a static catalog, or `-` for standard input.
        options: how.
        tell: is told how much is done, of how much (None: not known), and of what unit.

    Returns:
        What was done; `interrupted` after Ctrl-C.

    Raises:
        InvalidItem: documents are not valid; the error has the load's report, with them as its member `problems`.
        UnknownName: items name collections that are not there.
        ServiceUnavailable: the database went away.
    """
    options = options or LoadOptions()
    source = open_source(place)
    form = FormChoice((workspace.settings.web.url,), source.folder, options.copy_assets)
    return load_source(workspace, source, form, place if place == STDIN else str(Path(place).absolute()), options, tell)


def load_source(
    workspace: Workspace, source: Source, form: FormChoice, name: str, options: LoadOptions, tell: Tell | None = None
) -> LoadReport:
    """Load a source; see `load`.

    Args:
        workspace: the lab.
        source: what to load.
        form: which form its documents have.
        name: by which the same load is known again, to go on with it.
        options: how.
        tell: is told how much is done.
    """
    begun = time.monotonic()
    _write_described(workspace, source.collections, options.writer)
    journal = Journal([name], repr(options))
    batch_options = BatchOptions(options.validate, options.skip_invalid, options.create_collections, options.writer)
    setup = WorkerSetup(workspace.settings, workspace.catalog.url, journal, batch_options, form)
    chunks = source.chunks()
    first = list(islice(chunks, 2))
    count = 1 if len(first) < 2 else options.workers or _default_workers()
    with open_workers(setup, count) as workers:
        work = _Load(workspace, source, options, workers, tell or (lambda done, total, unit: None))
        report = work.run(_chain(first, chunks))
    report.seconds = time.monotonic() - begun
    if not report.interrupted:
        _finish(workspace, journal, report)
    return report


class _Load:
    """Hands pieces to the workers and gathers what they did."""

    def __init__(
        self, workspace: Workspace, source: Source, options: LoadOptions, workers: Workers, tell: Tell
    ) -> None:
        self._workspace, self._source, self._options = workspace, source, options
        self._workers, self._tell = workers, tell
        self._report, self._done = LoadReport(), 0
        self._bad: list[tuple[int, ChunkResult]] = []
        self._under_way: dict[int, Task] = {}
        self._waiting: dict[int, tuple[Task, dict[str, dict[str, Any] | None]]] = {}

    def run(self, chunks: Iterator[Chunk]) -> LoadReport:
        """Load all pieces."""
        tasks = (Task(number, chunk, True) for number, chunk in enumerate(chunks))
        try:
            self._run(tasks)
            while self._waiting and not self._refused:
                self._run(iter(self._retried()))
        except KeyboardInterrupt:
            self._report.interrupted = True
            with suppress(KeyboardInterrupt):  # a second one does not wait
                while self._under_way:
                    self._gather()
        return self._finished()

    @property
    def _refused(self) -> bool:
        return bool(self._bad) and not self._options.skip_invalid

    def _run(self, tasks: Iterator[Task]) -> None:
        for task in tasks:
            while not self._workers.free:
                self._gather()
            if self._refused and sum(len(result.bad) for _, result in self._bad) >= SHOWN_BAD:
                break
            # What follows a bad document is only checked, so that all bad ones are told at once.
            task = Task(task.number, task.chunk, not self._refused)
            self._workers.submit(task)
            self._under_way[task.number] = task  # afterwards: what this process did itself is over if it was broken off
        while self._under_way:
            self._gather()

    def _gather(self) -> None:
        for result in self._workers.results():
            task = self._under_way.pop(result.number)
            if result.missing and task.store:
                self._waiting[task.number] = task, result.missing
                continue
            self._waiting.pop(task.number, None)
            self._report.counts += result.counts
            if result.bad:
                self._bad.append((result.number, result))
            self._done += result.weight
            self._tell(self._done, self._source.total, self._source.unit)

    def _retried(self) -> list[Task]:
        """Return the pieces that waited for collections, once no other piece can bring those."""
        tasks = [task for task, _ in self._waiting.values()]
        missing: dict[str, dict[str, Any] | None] = {}
        for _, wanted in self._waiting.values():
            for name, extent in wanted.items():
                known = missing.get(name)
                missing[name] = union_of_extents(known, extent) if known and extent else extent
        self._waiting = {}
        if self._options.create_collections:
            made = [plain_collection(name, extent) for name, extent in missing.items()]
            _write_described(self._workspace, made, self._options.writer)
        elif lacking := _not_there(self._workspace, missing):
            raise UnknownName(
                f"the catalog has no collection {', '.join(map(repr, lacking[:8]))}; load the collections first, or let"
                " --create-collections make them"
            )
        return tasks

    def _finished(self) -> LoadReport:
        self._report.bad = [bad for _, result in sorted(self._bad, key=lambda pair: pair[0]) for bad in result.bad]
        del self._report.bad[SHOWN_BAD:]
        if self._refused and not self._report.interrupted:
            raise InvalidItem(_refusal(self._report), **self._report.to_dict())
        return self._report


def _refusal(report: LoadReport) -> str:
    count = report.counts["invalid"]
    shown = "; ".join(str(document) for document in report.bad)
    return (
        f"{count} {'document is' if count == 1 else 'documents are'} not valid, and nothing of their batches is stored"
        f" ({report.stored} items of others are): {shown}. Repair them and repeat the command, or use --skip-invalid"
    )


def _write_described(workspace: Workspace, collections: Sequence[dict[str, Any]], writer: str) -> None:
    """Write those collections that the catalog has not."""
    lacking = _not_there(workspace, [collection["id"] for collection in collections])
    new = [collection for collection in collections if collection["id"] in lacking]
    for collection in new:
        refuse_invalid(workspace, collection)
    if new:
        with workspace.catalog.connection() as connection:
            note_written(connection, writer, write_collections(connection, new))


def _not_there(workspace: Workspace, names: Iterable[str]) -> list[str]:
    with workspace.catalog.connection() as connection:
        rows = connection.execute("SELECT id FROM collections WHERE id = ANY(%s)", (list(names),)).fetchall()
    return sorted(set(names) - {row[0] for row in rows})


def _finish(workspace: Workspace, journal: Journal, report: LoadReport) -> None:
    with workspace.catalog.connection() as connection:
        journal.forget(connection)
    if report.stored >= _ANALYZED:
        analyze(workspace)


def analyze(workspace: Workspace) -> None:
    """Let the database count what is in its tables anew, so that its plans fit."""
    with workspace.catalog.connection() as connection:
        connection.execute("ANALYZE lab.items, lab.links, lab.files, items")


def _default_workers() -> int:
    return max(2, min(_MOST_WORKERS, (os.cpu_count() or 2) // 2))


def _chain(first: Sequence[Chunk], rest: Iterator[Chunk]) -> Iterator[Chunk]:
    yield from first
    yield from rest
