"""A small map of the splits as PNG bytes; equal splits give equal bytes."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from terralab.datasets.splitting.globe import to_degrees
from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.groups import cell_names
from terralab.datasets.splitting.recipe import Split
from terralab.extensions.chips import SPLITS

_DPI = 110
_COLOURS = ("#4477AA", "#CCBB44", "#EE6677")
_FOLD_COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#EE8866", "#44BB99", "#FFAABB")
_LEFT_OUT, _SEVERAL = "#BBBBBB", "#000000"
_WIDE = 150
"""From so many chips side by side on, chips are too small to be seen, and the densest places are drawn larger."""
_CLOSE_UP_CHIPS, _CLOSE_UPS = 40, 2
_OUTLINED = 5000
_AROUND_180 = 0.5


def split_map(plan: GroundPlan, split: Split, title: str) -> bytes | None:
    """Draw where the chips of each split, or of each fold, lie; None where no chip has a place.

    Ground that chips of several parts share is black.
    """
    if not len(plan.middles):
        return None
    names = [f"fold {number}" for number in range(split.fold_count)] if split.fold_count else list(SPLITS)
    palette = _FOLD_COLOURS if split.fold_count else _COLOURS
    colours = [*(palette[number % len(palette)] for number in range(len(names))), _SEVERAL, _LEFT_OUT]
    part_of = _parts_of_sites(plan, split, len(names))
    rings = _flat(plan)
    close_ups = _close_ups(plan, rings)
    figure = Figure(figsize=(6.4 + 3.4 * bool(close_ups), 5.4), layout="constrained")
    grid = figure.add_gridspec(max(len(close_ups), 1), 2 if close_ups else 1, width_ratios=[2, 1] if close_ups else [1])
    overview = figure.add_subplot(grid[:, 0])
    _draw(overview, rings, part_of, colours, bool(close_ups))
    overview.set(title=title, xlabel="longitude", ylabel="latitude")
    for number, members in enumerate(close_ups):
        _draw(figure.add_subplot(grid[number, 1]), rings[members], part_of[members], colours, False)
    present = set(part_of.tolist())
    labels = [*names, "several", "left out"]
    handles = [Patch(color=colours[part], label=labels[part]) for part in range(len(labels)) if part in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)
    target = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(target, format="png", dpi=_DPI, metadata={"Software": None})
    return target.getvalue()


def _parts_of_sites(plan: GroundPlan, split: Split, count: int) -> NDArray[np.int64]:
    """Return the part of each site; `count` where it has chips of several, and `count` + 1 where of none."""
    found = np.full(len(plan.middles), count + 1)
    for part in range(count):
        own = np.unique(plan.site_of[(split.parts == part) & plan.placed])
        found[own] = np.where(found[own] == count + 1, part, count)
    return found


def _flat(plan: GroundPlan) -> NDArray[np.float64]:
    """Return the outlines in degrees (sites, points, 2), on beyond 180° where the chips lie around that meridian."""
    lon, lat = to_degrees(plan.outlines)
    middles = np.sort(plan.degrees[:, 0])
    gaps = np.diff(np.append(middles, middles[0] + 360))
    crosses = bool((lon.max(axis=1) - lon.min(axis=1) > 180).any())
    if crosses or 360 - gaps.max() < _AROUND_180 * (middles[-1] - middles[0]):
        start = middles[(int(gaps.argmax()) + 1) % len(middles)] - gaps.max() / 2
        lon = (lon - start) % 360 + start
    return np.stack([lon, lat], axis=2)


def _meridian(lon: float, _: object = None) -> str:
    """Return the label of a meridian that may lie beyond 180°."""
    return f"{(lon + 180) % 360 - 180:.6g}"


def _close_ups(plan: GroundPlan, rings: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Return the sites of the densest places, none where the chips can be seen without."""
    extent = (rings.max(axis=(0, 1)) - rings.min(axis=(0, 1))).max()
    chip = float(np.median((rings.max(axis=1) - rings.min(axis=1)).max(axis=1)))
    if extent < _WIDE * chip:
        return []
    cells = cell_names(plan, _CLOSE_UP_CHIPS * float(np.median(plan.sides)))
    of_site = np.empty(len(plan.middles), object)
    of_site[plan.site_of[plan.placed]] = [name for name in cells if name is not None]
    names, counts = np.unique(of_site.astype(str), return_counts=True)
    densest = names[np.argsort(-counts, kind="stable")[:_CLOSE_UPS]]
    return [np.flatnonzero(of_site == name) for name in densest]


def _draw(axes: Axes, rings: NDArray[np.float64], part_of: NDArray[np.int64], colours: list[str], marked: bool) -> None:
    filled = PolyCollection(
        list(rings),
        facecolors=[colours[part] for part in part_of],
        edgecolors="white",
        linewidths=0.2 if len(rings) < _OUTLINED else 0.0,
    )
    axes.add_collection(filled)
    if marked:  # a few pixels at least, so that lonely chips are seen
        middles = rings.mean(axis=1)
        axes.scatter(middles[:, 0], middles[:, 1], s=8, c=[colours[part] for part in part_of], linewidths=0)
    low, high = rings.min(axis=(0, 1)), rings.max(axis=(0, 1))
    rim = 0.03 * float((high - low).max())
    axes.set(xlim=(low[0] - rim, high[0] + rim), ylim=(low[1] - rim, high[1] + rim))
    axes.set_aspect(1 / max(float(np.cos(np.radians((low[1] + high[1]) / 2))), 0.05))
    axes.tick_params(labelsize=7)
    axes.ticklabel_format(useOffset=False)
    if high[0] > 180:
        axes.xaxis.set_major_formatter(_meridian)
