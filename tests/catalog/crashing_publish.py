"""Publishes one item again and again in forked processes, each of which dies at another step.

A step is any call that changes a disk, a bucket or the database; a process dies right before one. The number of steps
is found by trying, so that none is forgotten when the code gains one.

    python crashing_publish.py [--port S3] [--many]

Prints one JSON object: for each place of death the step's name, and what was to be seen after the death and after
publishing once more.
"""

import argparse
import json
import os
import shutil
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import obstore
import psycopg

from terralab.catalog.garbage import delete_garbage, find_garbage
from terralab.catalog.publish import publish
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.extensions.item import StoredFile
from terralab.extensions.schema_store import SchemaStore
from tests.catalog.test_publish import imagery, scene

DIED = 9
FINISHED_ENOUGH = 4  # a folder that is there already saves three steps
STEPS: list[tuple[Any, str]] = [
    (os, "replace"),
    (os, "fsync"),
    (os, "utime"),
    (Path, "write_bytes"),
    (Path, "mkdir"),
    (Path, "chmod"),
    (Path, "unlink"),
    (shutil, "rmtree"),
    (psycopg.Connection, "execute"),
    (psycopg.Connection, "commit"),
    (psycopg.Connection, "close"),
    (psycopg.Cursor, "copy"),
    (obstore, "put"),
    (obstore, "head"),
]


def new_workspace(port: int | None, schemas: SchemaStore) -> Workspace:
    """Return the lab, over a bucket where there is a port; the schemas are those that were read already."""
    settings = Settings()
    if port is not None:
        settings.store.url, settings.store.s3_endpoint = "s3://lab-bucket/crash", f"http://127.0.0.1:{port}"
        settings.store.s3_access_key = settings.store.s3_secret_key = "x"
    workspace = Workspace(settings)
    workspace.__dict__["schemas"] = schemas
    _ = workspace.store
    return workspace


def put_and_publish(workspace: Workspace, number: int, many: bool) -> None:
    """Store bytes of their own, in one file or in several at once, and publish an item with them."""
    content = f"bytes {number}".encode()
    if not many:
        publish(workspace, [imagery()], [scene(workspace.store.put_bytes(content, "a.tif"), f"scene-{number}")])
        return
    with workspace.store.scratch() as folder:
        paths = [folder / f"{place}.tif" for place in range(3)]
        for place, path in enumerate(paths):
            path.write_bytes(content + b" again" * place)
        stored = workspace.store.put_many([(path, path.name) for path in paths])
    item = scene(stored[0], f"scene-{number}")
    (asset,) = item["assets"].values()
    for place, file in enumerate(stored[1:]):
        more = {"href": file.href, "file:checksum": file.checksum, "file:size": file.size, "title": f"More {place}"}
        item["assets"][f"more{place}"] = asset | more
    publish(workspace, [imagery()], [item])


def die_before(place: int, told: int) -> None:
    """Make this process die before the step of that number."""
    passed = 0
    counting = threading.Lock()

    def deadly(step: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(step)
        def taken(*arguments: Any, **options: Any) -> Any:
            nonlocal passed
            with counting:
                passed += 1
                if passed > place:
                    os.write(told, name.encode())
                    os._exit(DIED)
            return step(*arguments, **options)

        return taken

    for owner, name in STEPS:
        setattr(owner, name, deadly(getattr(owner, name), f"{getattr(owner, '__name__', owner)}.{name}"))


def in_child(work: Callable[[int], None]) -> tuple[int, str]:
    """Run work in a forked process and return its exit status and what it told."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            work(writer)
        except BaseException as error:
            os.write(writer, repr(error).encode())
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


def seen(workspace: Workspace, number: int) -> dict[str, Any]:
    """Return how often the item is visible, and whether all its bytes are there."""
    items = list(workspace.catalog.search(ids=[f"scene-{number}"]))
    hrefs = [asset["href"] for item in items for asset in item["assets"].values()]
    whole = all(
        b"".join(workspace.store.pieces(href.split("/")[2])).removesuffix(b" again").removesuffix(b" again")
        == f"bytes {number}".encode()
        for href in hrefs
        if workspace.store.size(href.split("/")[2]) is not None
    )
    there = all(workspace.store.size(href.split("/")[2]) is not None for href in hrefs)
    return {"items": len(items), "bytes": there and whole}


def aftermath(workspace: Workspace, number: int, many: bool) -> dict[str, Any]:
    """Look at what a dead process left, publish once more, collect garbage, and look again."""
    then = seen(workspace, number)
    put_and_publish(workspace, number, many)
    again = seen(workspace, number)
    garbage = find_garbage(workspace, timedelta(0), (), set())
    delete_garbage(workspace, garbage, timedelta(seconds=-1))
    clean = find_garbage(workspace, timedelta(0), (), set())
    return {
        "then": then,
        "again": again,
        "leftovers": len(garbage.leftovers),
        "orphans": len(clean.files) + len(clean.leftovers),
        "after": seen(workspace, number),
    }


def main(port: int | None, many: bool) -> None:
    """Die at every place, until a process has nowhere left to die."""
    schemas = Workspace(Settings()).schemas
    for document in (imagery(), scene(StoredFile(f"asset://1220{'0' * 64}/a.tif", 1, f"1220{'0' * 64}"))):
        schemas.problems(document)  # compiled once, before the processes are forked
    status, text = in_child(lambda told: put_and_publish(new_workspace(port, schemas), 0, many))
    assert status == 0, text
    deaths: list[dict[str, Any]] = []
    place = finished = 0
    while finished < FINISHED_ENOUGH:

        def work(told: int, place: int = place) -> None:
            workspace = new_workspace(port, schemas)
            die_before(place, told)
            put_and_publish(workspace, place + 1, many)

        def look(told: int, place: int = place) -> None:
            os.write(told, json.dumps(aftermath(new_workspace(port, schemas), place + 1, many)).encode())

        status, step = in_child(work)
        assert status in (0, DIED), step
        finished = 0 if status == DIED else finished + 1
        if status == DIED:
            status, text = in_child(look)
            assert status == 0, (step, text)
            deaths.append({"step": step, **json.loads(text)})
        place += 1
    print(json.dumps(deaths))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int)
    parser.add_argument("--many", action="store_true")
    options = parser.parse_args()
    main(options.port, options.many)
