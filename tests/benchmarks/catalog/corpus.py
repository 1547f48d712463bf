"""The corpus of the catalog's benchmarks: items of our profile, the same ones for the same seed, as ndjson.

Of every ten items six are rich Sentinel-2 scenes, three are chips and one is a prediction, with times uniform over
2020 to 2024 and places uniform over the Earth's area. Item number `i` follows from the seed and `i` alone, so a corpus
of 1,000,000 items begins with the corpus of 100,000. A few further items give the lineage its depth: the scenes'
labels, the dataset versions frozen from them and the models tuned on those.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson

from tests.benchmarks.catalog.corpus_chips import chip
from tests.benchmarks.catalog.corpus_places import numbered
from tests.benchmarks.catalog.corpus_predictions import prediction
from tests.benchmarks.catalog.corpus_scenes import scene
from tests.benchmarks.catalog.corpus_support import collections, support_items, undescribed
from tests.benchmarks.catalog.corpus_variants import variant_collections, variants

SEED = 42
_MAKERS = {"scene": scene, "chip": chip, "prediction": prediction}


@dataclass(frozen=True)
class CorpusFiles:
    """A corpus on disk.

    Attributes:
        collections: ndjson of the collections.
        items: ndjson of the items.
        count: how many items.
        sha256: of both files.
        size: bytes of the file of items.
    """

    collections: Path
    items: Path
    count: int
    sha256: str
    size: int


def item(number: int, seed: int = SEED) -> dict[str, Any]:
    """Return the item of a number; its kind follows from the number's last digit."""
    made, _ = numbered(number)
    return _MAKERS[made](number, Random(seed * 1_000_003 + number))


def items(count: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """Yield the first `count` items, and before them those that give the lineage its depth."""
    yield from support_items()
    for number in range(count):
        yield item(number, seed)


def write_corpus(
    folder: Path, count: int, *, with_variants: bool = False, item_assets: bool = True, seed: int = SEED
) -> CorpusFiles:
    """Write a corpus as two ndjson files.

    Args:
        folder: where to; made where it is not there.
        count: items of the three main kinds.
        with_variants: whether the small hard sets of the equality gate are added.
        item_assets: whether collections describe the assets of their items, as our profile asks for. pgstac then stores
            less of each item and puts it together on reading, which is most of the time of a stock search.
        seed: of everything random.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"corpus-{count}-{seed}{'-variants' if with_variants else ''}{'' if item_assets else '-bare'}"
    places = folder / f"{name}.collections.ndjson", folder / f"{name}.items.ndjson"
    documents = [*collections(), *(variant_collections() if with_variants else [])]
    described = documents if item_assets else [undescribed(entry) for entry in documents]
    places[0].write_bytes(b"".join(orjson.dumps(entry) + b"\n" for entry in described))
    digest, size, lines = hashlib.sha256(places[0].read_bytes()), 0, 0
    with places[1].open("wb", buffering=1 << 20) as file:
        for line in _lines(count, seed, with_variants):
            file.write(line)
            digest.update(line)
            size, lines = size + len(line), lines + 1
    return CorpusFiles(*places, lines, digest.hexdigest(), size)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the documents of an ndjson file."""
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def _lines(count: int, seed: int, with_variants: bool) -> Iterator[bytes]:
    sources: list[Iterable[dict[str, Any]]] = [items(count, seed), variants() if with_variants else ()]
    return (orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for source in sources for entry in source)
