"""The databases of a benchmark: the same corpus for each system, loaded by its own loader."""

import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from terralab.catalog.migration import PGSTAC_VERSION, migrate
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from tests.benchmarks.catalog.cluster import Cluster
from tests.benchmarks.catalog.corpus import CorpusFiles, read_lines
from tests.conftest import official_schemas

OURS, STOCK, TUNED = "ours", "stock", "tuned"
TUNED_QUERYABLES = {
    "eo:cloud_cover": {"title": "Cloud cover", "type": "number"},
    "ml-aoi:split": {"title": "Split", "type": "string"},
    "lab:dataset_version": {"title": "Dataset version", "type": "string"},
    "mlm:name": {"title": "Model", "type": "string"},
    "lab:metrics.iou": {"title": "IoU", "type": "number"},
}
_LOG = logging.getLogger(__name__)


def prepare(
    cluster: Cluster, files: CorpusFiles, *, reuse: bool = False, systems: Sequence[str] = (OURS, STOCK, TUNED)
) -> dict[str, str]:
    """Load a corpus once for each system and return the databases' names by system.

    Args:
        cluster: where to.
        files: the corpus.
        reuse: whether databases of an earlier run with the same corpus are taken as they are.
        systems: which; the tuned one is made from stock.
    """
    names = {system: f"{system}_{files.sha256[:12]}" for system in systems}
    makers: dict[str, Callable[[str], object]] = {
        OURS: lambda name: load_ours(create_ours(cluster, name), files.collections, files.items),
        STOCK: lambda name: load_stock(create_stock(cluster, name), files),
        TUNED: lambda name: tune(cluster, names[STOCK], name),
    }
    return _made(cluster, names, makers, files.count, reuse)


def prepare_gate(cluster: Cluster, files: CorpusFiles) -> dict[str, str]:
    """Load a corpus for ours and for stock, which is told of our queryables, and return the databases' names.

    Without them pgstac takes a field for text: it would put a cloud cover of 9 after one of 80.
    """

    def make_stock(name: str) -> None:
        url = create_stock(cluster, name)
        load_stock(url, files)
        known = json.loads(resources.files("terralab.catalog").joinpath("queryables.json").read_text())
        for field, definition in known.items():
            cluster.execute_with("SELECT pgstac.upsert_queryable(%s, %s::jsonb)", (field, json.dumps(definition)), name)

    names = {OURS: "ours_gate", STOCK: "stock_gate"}
    makers: dict[str, Callable[[str], object]] = {
        OURS: lambda name: load_ours(create_ours(cluster, name), files.collections, files.items),
        STOCK: make_stock,
    }
    return _made(cluster, names, makers, files.count, False)


def _made(
    cluster: Cluster,
    names: dict[str, str],
    makers: dict[str, Callable[[str], object]],
    count: int,
    reuse: bool,
) -> dict[str, str]:
    for system, make in ((system, makers[system]) for system in names):
        if names[system] in cluster.filled or (reuse and cluster.has(names[system])):
            continue
        _LOG.info("loading %s items into %s", count, names[system])
        unfinished = f"{system}_unfinished"
        make(unfinished)
        cluster.execute("VACUUM ANALYZE", unfinished)
        cluster.drop(names[system])
        cluster.execute(f"ALTER DATABASE {unfinished} RENAME TO {names[system]}")
        cluster.filled.add(names[system])
    if reuse and OURS in names:
        migrate(cluster.url(names[OURS]))
    return names


def create_stock(cluster: Cluster, name: str) -> str:
    """Make a database with pgstac as it ships, and return its address."""
    # These import boto3, which takes half a second.
    from pypgstac.db import PgstacDB
    from pypgstac.migrate import Migrate

    url = cluster.create(name)
    cluster.execute("CREATE EXTENSION postgis", name)
    with PgstacDB(dsn=url) as database:
        Migrate(database).run_migration(PGSTAC_VERSION)
    return url


def load_stock(url: str, files: CorpusFiles) -> None:
    """Load a corpus by pypgstac's loader.

    It is given parsed items: from a file it would take every two backslashes of the JSON text for one.
    """
    from pypgstac.db import PgstacDB
    from pypgstac.load import Loader, Methods

    with PgstacDB(dsn=url) as database:
        loader = Loader(database)
        loader.load_collections(read_lines(files.collections), Methods.insert)
        loader.load_items(read_lines(files.items), Methods.insert)


def tune(cluster: Cluster, stock: str, name: str) -> str:
    """Copy a stock database and give it the best settings that are documented, and return its address.

    No write for each search, B-tree indexes on every property that the workload filters by, no parallel plans for
    queries of milliseconds, no compilation of them.
    """
    url = cluster.create(name, template=stock)
    cluster.execute(
        "INSERT INTO pgstac.pgstac_settings VALUES ('readonly', 'true')"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        name,
    )
    for field, definition in TUNED_QUERYABLES.items():
        statement = "SELECT pgstac.upsert_queryable(%s, %s::jsonb, NULL, 'BTREE')"
        cluster.execute_with(statement, (field, json.dumps(definition)), name)
    cluster.execute(f"ALTER DATABASE {name} SET max_parallel_workers_per_gather = 0")
    cluster.execute(f"ALTER DATABASE {name} SET jit = off")
    return url


def create_ours(cluster: Cluster, name: str) -> str:
    """Make a database of the lab and return its address."""
    url = cluster.create(name)
    migrate(url)
    return url


def load_ours(url: str, collections: Path, items: Path) -> None:
    """Load a corpus as `terralab catalog load` does, every document checked by all schemas that are here."""
    from terralab.catalog.exchange.load import load

    with tempfile.TemporaryDirectory(prefix="lab-home-") as home:
        os.environ["TERRALAB_HOME"] = home
        if schemas := official_schemas():
            os.environ["TERRALAB_SCHEMAS"] = str(schemas)
        workspace = Workspace(Settings(), database_url=url)
        for path in (collections, items):
            load(workspace, str(path))


def sizes(cluster: Cluster, names: dict[str, str]) -> dict[str, int]:
    """Return the bytes on disk of each system's database."""
    return {system: cluster.size(name) for system, name in names.items()}


def make_reachable(folder: Path) -> Path:
    """Let PostgreSQL's account into a folder of our own; its files below stay its own."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    return folder
