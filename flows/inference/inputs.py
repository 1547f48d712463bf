"""What a run predicts on: named scenes, the scenes of an area and time, or a user's file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from terralab.catalog.errors import InvalidInput
from terralab.catalog.workspace import Workspace
from terralab.extensions.item import Footprint
from terralab.flows.inference.models import named_item
from terralab.flows.inference.selection import scenes_in
from terralab.flows.inference.source import Source, band_indexes, source_of_item
from terralab.flows.inference.uploads import UPLOADS_COLLECTION, Upload, check_upload


@dataclass(frozen=True)
class Inputs:
    """Scenes of the catalog, or a file that becomes one.

    Attributes:
        sources: what is read; empty as long as the file is not stored.
        upload: the file, None for scenes of the catalog.
        new: items to publish with the prediction.
        collections: their collections.
    """

    sources: Sequence[Source]
    upload: Upload | None = None
    new: Sequence[dict[str, Any]] = ()
    collections: Sequence[dict[str, Any]] = ()

    def identities(self) -> list[str]:
        """Return what the inputs are, by content."""
        return [self.upload.id] if self.upload else [f"{source.name} {source.checksum}" for source in self.sources]

    def pixels(self) -> int:
        """Return the number of pixels to predict."""
        grids = [self.upload.facts.grid] if self.upload else [source.grid for source in self.sources]
        return sum(grid.shape[0] * grid.shape[1] for grid in grids)

    def footprint(self) -> Footprint:
        """Return the area and time of all inputs."""
        if self.upload:
            return self.upload.footprint
        return Footprint.union(Footprint.of_item(source.item) for source in self.sources)


def find_inputs(
    workspace: Workspace,
    bands: Sequence[str],
    *,
    items: Sequence[str],
    file: str | None,
    bbox: Sequence[float] | None,
    period: str | None,
    file_bands: Sequence[str] | None,
) -> Inputs:
    """Find and check what to predict on; nothing is stored yet.

    Args:
        workspace: the lab.
        bands: the model's bands.
        items: scenes, each as `<collection>/<item>`.
        file: pattern of a file.
        bbox: box in degrees.
        period: time of the scenes in the box, or of the file.
        file_bands: names of the file's bands.

    Raises:
        InvalidInput: or one of its kinds: nothing is found, bands are missing, or there are too many pixels.
    """
    if file:
        upload = check_upload(workspace.settings, file, file_bands, period)
        band_indexes(upload.facts.name, upload.bands, bands)
        inputs = Inputs([], upload)
    else:
        scenes = (
            scenes_in(workspace.catalog, bbox, period or "", bands)
            if bbox
            else [named_item(workspace.catalog, written) for written in dict.fromkeys(items)]
        )
        inputs = Inputs([source_of_item(workspace.store, scene, bands, bbox) for scene in scenes])
    _check_size(workspace, inputs)
    return inputs


def stored_upload(workspace: Workspace, upload: Upload, bands: Sequence[str], run_link: dict[str, Any]) -> Inputs:
    """Return a file as a scene: that of an earlier upload, or a new one that is to be published.

    Raises:
        InvalidRaster: a block of the file is damaged.
        OutOfSpace: the disk is full.
    """
    found = workspace.catalog.find_item(UPLOADS_COLLECTION, upload.id)
    item = found or upload.item(workspace.store, run_link)
    sources = [source_of_item(workspace.store, item, bands, None)]
    return Inputs(sources) if found else Inputs(sources, None, [item], [upload.collection()])


def _check_size(workspace: Workspace, inputs: Inputs) -> None:
    allowed = workspace.settings.inference.max_pixels
    if inputs.pixels() > allowed:
        raise InvalidInput(
            f"{inputs.pixels():,} pixels are more than TERRALAB_INFERENCE_MAX_PIXELS={allowed:,} allows;"
            " give a smaller box or fewer scenes, or raise the setting"
        )
