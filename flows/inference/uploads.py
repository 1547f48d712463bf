"""A user's file as a scene of the catalog, so that what is predicted from it can be traced to its bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rasterio.windows import Window

from terralab.catalog.errors import InvalidInput
from terralab.catalog.inbox import resolve
from terralab.catalog.settings import Settings
from terralab.catalog.store import Store
from terralab.datasets.cog import cog_writer
from terralab.datasets.dates import date_of, parse_period
from terralab.datasets.raster_file import RasterFacts, open_raster, read_facts, strips
from terralab.extensions.bands import canonical_band_name
from terralab.extensions.checksum import multihash_of_file, split_multihash
from terralab.extensions.ids import derived_id, slug
from terralab.extensions.imagery import imagery_collection, scene_item
from terralab.extensions.item import Footprint
from terralab.extensions.lab import PARAMS_PROP
from terralab.extensions.raster import BandRecord

UPLOADS_COLLECTION = "uploads"


@dataclass(frozen=True)
class Upload:
    """A checked file that is not in the catalog yet.

    Attributes:
        id: item id, from the file's name, bytes, bands and time.
        facts: the file's header.
        bands: names of its bands.
        start: begin of the acquisition.
        end: end of it.
        checksum: multihash of the file.
    """

    id: str
    facts: RasterFacts
    bands: tuple[str, ...]
    start: datetime
    end: datetime
    checksum: str

    @property
    def footprint(self) -> Footprint:
        """Return ground outline and time."""
        return self.facts.grid.footprint(self.start, self.end)

    def item(self, store: Store, run_link: dict[str, Any]) -> dict[str, Any]:
        """Re-encode the file as a stored COG and return its scene item.

        Raises:
            InvalidRaster: a block of the file is damaged.
            OutOfSpace: the disk is full.
        """
        with store.scratch() as folder:
            image = store.put(self._cog(folder / f"{self.id}.tif"))
        source = {"file": self.facts.name, "sha256": split_multihash(self.checksum)[1]}
        return scene_item(
            id=self.id,
            collection_id=UPLOADS_COLLECTION,
            footprint=self.footprint,
            grid=self.facts.grid,
            image=image,
            bands=self.records,
            properties={PARAMS_PROP: {"source": source}},
            links=[run_link],
        )

    def collection(self) -> dict[str, Any]:
        """Return the collection of users' files."""
        return imagery_collection(
            id=UPLOADS_COLLECTION,
            title="Uploads",
            description="Files that users gave to predict on.",
            footprint=self.footprint,
            bands=self.records,
        )

    @property
    def records(self) -> list[BandRecord]:
        """Return the bands as items carry them."""
        return [BandRecord(name, self.facts.data_type, self.facts.nodata) for name in self.bands]

    def _cog(self, target: Path) -> Path:
        writer = cog_writer(
            target,
            count=self.facts.count,
            data_type=self.facts.data_type,
            grid=self.facts.grid,
            nodata=self.facts.nodata,
            names=self.bands,
            labels=False,
        )
        with open_raster(self.facts.path) as source, writer as cog:
            for row, pixels in strips(source, self.facts.name):
                cog.write(pixels, window=Window(0, row, pixels.shape[2], pixels.shape[1]))
        return target


def check_upload(settings: Settings, pattern: str, bands: Sequence[str] | None, period: str | None) -> Upload:
    """Find the one file that a pattern names, and check its header.

    Args:
        settings: the lab's; they say which folders may be read.
        pattern: relative to the inbox, or in a source folder.
        bands: names of the file's bands in order, None to take its band descriptions.
        period: acquisition time, None to take it from the file or its name.

    Raises:
        InvalidInput: or one of its kinds: no such file, several files, or a file that the lab cannot use.
    """
    files = resolve(settings, pattern)
    if len(files) > 1:
        raise InvalidInput(
            f"{pattern!r} names {len(files)} files, such as {files[0].name} and {files[1].name}; give one"
        )
    facts = read_facts(files[0])
    names = _band_names(facts, bands)
    start, end = parse_period(period) if period else date_of(facts)
    checksum = multihash_of_file(facts.path)
    choices = {"bands": list(names), "datetime": [start.isoformat(), end.isoformat()]}
    return Upload(derived_id(_stem(facts), {"file": checksum}, choices), facts, names, start, end, checksum)


def _band_names(facts: RasterFacts, given: Sequence[str] | None) -> tuple[str, ...]:
    if given is not None and len(given) != facts.count:
        raise InvalidInput(f"{facts.name} has {facts.count} bands, --bands names {len(given)}: {', '.join(given)}")
    names = tuple(canonical_band_name(name or "") for name in (given or facts.descriptions))
    if not all(names):
        raise InvalidInput(f"{facts.name}: its {facts.count} bands have no names; name them in order with --bands")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"{facts.name}: two bands are called {twice[0]}; give --bands with different names")
    return names


def _stem(facts: RasterFacts) -> str:
    try:
        return slug(facts.path.stem)[:80]
    except ValueError:
        return "upload"
