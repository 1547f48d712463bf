"""Legends: which colour means what, as JSON for maps and as a picture for reports."""

from io import BytesIO
from typing import Any

from fastapi import Response
from PIL import Image, ImageDraw, ImageFont
from rio_tiler.colormap import cmap
from titiler.core.factory import FactoryExtension

from terralab.extensions.raster import classes_of_stac
from terralab.tiler.factory import AssetTilerFactory
from terralab.tiler.lookup import CatalogAsset
from terralab.tiler.parameters import AssetDep, ViewDep
from terralab.tiler.renders import View
from terralab.tiler.requests import FRESH

_ROW, _SWATCH, _MARGIN, _FONT_SIZE = 24, 16, 10, 14
_RAMP_WIDTH, _RAMP_STEPS = 200, 9
_TEXT = (32, 32, 32)


class LegendExtension(FactoryExtension):
    """Adds `legend.json` and `legend.png`."""

    def register(self, factory: AssetTilerFactory) -> None:
        """Register the endpoints."""

        @factory.router.get("/legend.json", dependencies=FRESH, operation_id="legend")
        def legend_json(asset: AssetDep, view: ViewDep) -> dict[str, Any]:
            """Return the legend of an asset."""
            return legend(asset, view)

        @factory.router.get("/legend.png", dependencies=FRESH, response_class=Response, operation_id="legendPicture")
        def legend_png(asset: AssetDep, view: ViewDep) -> Response:
            """Return the legend of an asset as a picture."""
            return Response(picture(legend(asset, view)), media_type="image/png")


def legend(asset: CatalogAsset, view: View) -> dict[str, Any]:
    """Return the legend of a view of an asset.

    Returns:
        `title` and `type`: `classes` with `entries` (value, name, title, color `#RRGGBB`); `ramp` with `minimum`,
        `maximum` and `colors` from low to high; or `composite` with the `bands` shown as red, green and blue.
    """
    base = {"title": view.title, "render": view.name, "asset": asset.key}
    if classes := asset.document.get("classification:classes"):
        return {**base, "type": "classes", "entries": _class_entries(classes, view)}
    names = [str(band.get("name") or f"b{place}") for place, band in enumerate(asset.document.get("bands") or [], 1)]
    shown = [names[index - 1] if index <= len(names) else f"b{index}" for index in view.indexes or (1,)]
    ranges = view.rescale or ((0.0, 255.0),) * len(shown)
    if len(shown) == 1:
        low, high = ranges[0]
        return {**base, "type": "ramp", "band": shown[0], "minimum": low, "maximum": high, "colors": _ramp(view)}
    bands = [
        {"band": name, "channel": channel, "minimum": low, "maximum": high}
        for name, channel, (low, high) in zip(shown, ("red", "green", "blue"), ranges, strict=False)
    ]
    return {**base, "type": "composite", "bands": bands}


def picture(content: dict[str, Any]) -> bytes:
    """Draw a legend as a PNG."""
    font = ImageFont.load_default(_FONT_SIZE)
    lines = _lines(content)
    texts = [content["title"], *(text for _, text in lines)]
    width = int(max(font.getlength(text) for text in texts)) + _SWATCH + 4 * _MARGIN
    height = _ROW * (len(texts) + (1 if content["type"] == "ramp" else 0)) + 2 * _MARGIN
    image = Image.new("RGB", (max(width, _RAMP_WIDTH + 2 * _MARGIN), height), "white")
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, _MARGIN), content["title"], _TEXT, font)
    top = _MARGIN + _ROW
    if content["type"] == "ramp":
        _draw_ramp(draw, top, content["colors"])
        top += _ROW
    for colour, text in lines:
        if colour:
            draw.rectangle((_MARGIN, top, _MARGIN + _SWATCH, top + _SWATCH), colour, outline=(96, 96, 96))
        draw.text((_MARGIN + (_SWATCH + _MARGIN if colour else 0), top), text, _TEXT, font)
        top += _ROW
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _class_entries(classes: list[dict[str, Any]], view: View) -> list[dict[str, Any]]:
    entries = []
    for entry in classes_of_stac(classes):
        rgba = (view.colormap or {}).get(entry.value)
        colour = bytes(rgba[:3]).hex() if rgba else entry.color
        entries.append(
            {
                "value": entry.value,
                "name": entry.name,
                "title": entry.title or entry.name,
                "color": f"#{colour.upper()}",
            }
        )
    return entries


def _ramp(view: View) -> list[str]:
    colours = view.colormap or cmap.get("gray")
    places = [round(step * 255 / (_RAMP_STEPS - 1)) for step in range(_RAMP_STEPS)]
    return [f"#{bytes(colours.get(place, (0, 0, 0, 0))[:3]).hex().upper()}" for place in places]


def _lines(content: dict[str, Any]) -> list[tuple[str | None, str]]:
    if content["type"] == "classes":
        return [(entry["color"], entry["title"]) for entry in content["entries"]]
    if content["type"] == "ramp":
        return [(None, f"{content['band']}: {content['minimum']:g} … {content['maximum']:g}")]
    return [
        (band["channel"], f"{band['band']}: {band['minimum']:g} … {band['maximum']:g}") for band in content["bands"]
    ]


def _draw_ramp(draw: ImageDraw.ImageDraw, top: int, colours: list[str]) -> None:
    wide = _RAMP_WIDTH / len(colours)
    for place, colour in enumerate(colours):
        left = _MARGIN + place * wide
        draw.rectangle((left, top, left + wide, top + _SWATCH), colour)
