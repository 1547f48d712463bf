"""What every part of the benchmark is given."""

from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.catalog.cluster import Cluster
from tests.benchmarks.catalog.corpus import CorpusFiles, write_corpus


@dataclass(frozen=True)
class Context:
    """One run at one size.

    Attributes:
        cluster: the running PostgreSQL.
        folder: for corpora, logs and homes.
        count: items of the corpus.
        rounds: how often everything is measured; medians are reported.
        seconds: of one measurement of load.
        requests: requests in each class of the workload.
        item_assets: whether collections describe their items' assets.
        reuse: whether databases of an earlier run are taken as they are.
    """

    cluster: Cluster
    folder: Path
    count: int
    rounds: int
    seconds: float
    requests: int
    item_assets: bool
    reuse: bool

    def corpus(self) -> CorpusFiles:
        """Write the corpus of this run."""
        return write_corpus(self.folder / "corpus", self.count, item_assets=self.item_assets)

    @property
    def logs(self) -> Path:
        """Return the folder of the servers' logs and homes."""
        return self.folder / "run"
