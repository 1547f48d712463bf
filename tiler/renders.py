"""Which preset an asset is shown with, and what a request changes of it.

A preset is an object of the STAC render extension, of the item or its collection. An asset that none names still has a
`default`, made from its classes or its bands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from terralab.catalog.errors import UnknownName
from terralab.extensions.imagery import TRUE_COLOR
from terralab.extensions.labels import class_renders
from terralab.extensions.raster import classes_of_stac
from terralab.tiler.lookup import CatalogAsset

DEFAULT_RENDER = "default"
Colormap = dict[int, tuple[int, int, int, int]]
Stretch = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class View:
    """How an image is made.

    Attributes:
        title: for people.
        indexes: bands, counted from 1; None for all.
        rescale: (low, high) of each band, shown as 0 … 255; None to leave values as they are.
        colormap: value → RGBA, 0 … 255 each.
        nodata: value that is transparent; None for the raster's own.
        resampling: GDAL's name of the method.
        add_mask: whether the image has transparency.
        name: the preset's name.
    """

    title: str
    indexes: tuple[int, ...] | None = None
    rescale: Stretch | None = None
    colormap: Colormap | None = None
    nodata: float | None = None
    resampling: str = "nearest"
    add_mask: bool = True
    name: str = DEFAULT_RENDER

    def with_bands(self, indexes: Sequence[int], bands: Sequence[dict[str, Any]]) -> "View":
        """Return the view of other bands, stretched by their own statistics."""
        chosen = tuple(indexes)
        if chosen == self.indexes:
            return self
        return replace(self, indexes=chosen, rescale=_stretch(chosen, bands), colormap=None)

    def with_rescale(self, rescale: Stretch) -> "View":
        """Return the view with another stretch; class colours no longer fit stretched values."""
        return replace(self, rescale=rescale, colormap=None)


def preset_names(asset: CatalogAsset) -> list[str]:
    """Return the names of the presets of an asset, the default first."""
    return sorted(_presets(asset), key=lambda name: (name != DEFAULT_RENDER, name))


def preset(asset: CatalogAsset, name: str | None = None) -> View:
    """Return a preset of an asset; without a name its `default`, else its first.

    Raises:
        UnknownName: the asset has no preset of that name.
    """
    presets = _presets(asset)
    chosen = preset_names(asset)[0] if name is None else name
    if chosen not in presets:
        raise UnknownName(
            f"render: asset {asset.key!r} of {asset.entry.item['id']} has no preset {chosen!r};"
            f" its presets are {', '.join(preset_names(asset))}"
        )
    return _view(chosen, presets[chosen])


def _presets(asset: CatalogAsset) -> dict[str, dict[str, Any]]:
    named = {name: render for name, render in asset.renders.items() if asset.key in (render.get("assets") or [])}
    return named or {DEFAULT_RENDER: _made_from(asset)}


def _made_from(asset: CatalogAsset) -> dict[str, Any]:
    document = asset.document
    if classes := document.get("classification:classes"):
        return dict(class_renders(classes_of_stac(classes), asset.key)[DEFAULT_RENDER])
    bands = document.get("bands") or []
    names = [band.get("name") for band in bands]
    shown = [names.index(name) + 1 for name in TRUE_COLOR] if set(TRUE_COLOR) <= set(names) else [1]
    title = "True color" if len(shown) > 1 else (names or ["Band 1"])[0]
    return {"title": title, "bidx": shown, "rescale": _stretch(shown, bands)}


def _view(name: str, render: dict[str, Any]) -> View:
    colormap = {
        int(value): (int(rgba[0]), int(rgba[1]), int(rgba[2]), int(rgba[3]) if len(rgba) > 3 else 255)
        for value, rgba in (render.get("colormap") or {}).items()
    }
    nodata = render.get("nodata")
    return View(
        title=str(render.get("title") or name),
        indexes=tuple(int(index) for index in render["bidx"]) if render.get("bidx") else None,
        rescale=tuple((float(low), float(high)) for low, high in render.get("rescale") or ()) or None,
        colormap=colormap or None,
        nodata=None if nodata is None else float(nodata),
        resampling=str(render.get("resampling") or "nearest"),
        name=name,
    )


def _stretch(indexes: Sequence[int], bands: Sequence[dict[str, Any]]) -> Stretch | None:
    """Return mean ± 2 σ within minimum … maximum of each band, None where one has no statistics."""
    found = [bands[index - 1].get("statistics") if index <= len(bands) else None for index in indexes]
    stretches = []
    for statistics in found:
        if not statistics or statistics.get("minimum") is None or statistics.get("maximum") is None:
            return None
        low, high = float(statistics["minimum"]), float(statistics["maximum"])
        if statistics.get("mean") is not None and statistics.get("stddev") is not None:
            mean, spread = float(statistics["mean"]), 2 * float(statistics["stddev"])
            low, high = max(low, mean - spread), min(high, mean + spread)
        stretches.append((low, high) if high > low else (low, low + 1))
    return tuple(stretches)
