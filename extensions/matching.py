"""Which models can look at which data: the bands that a model reads against those that an item has, with reasons.

A model is only matched where every band that it reads is there: by name, as people write names, or by common name. B05
of Sentinel-2 is not that of Landsat: where common names differ, or sensors do and there is no common name, equal names
mean nothing. Pixels more than four times as large or small as those that it learned from rule a model out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from shapely.geometry.base import BaseGeometry

from terralab.extensions.bands import canonical_band_name

MAX_GSD_RATIO = 4.0
WEIGHTS = {"bands": 0.30, "gsd": 0.20, "metric": 0.20, "area": 0.15, "sensor": 0.10, "production": 0.05}
"""What the score is made of; each part is 0 … 1, and 0.5 where nothing is known of it (0 for the metric)."""


@dataclass(frozen=True)
class OfferedBand:
    """A band that data has: its name, common name and the asset that it is in."""

    name: str
    common_name: str | None = None
    asset: str | None = None


@dataclass(frozen=True)
class Offer:
    """What data offers to a model.

    Attributes:
        bands: in the order of the file, or of the assets.
        gsd: size of a pixel, metres.
        sensor: such as `sentinel-2`.
        area: where it lies, longitude and latitude.
    """

    bands: tuple[OfferedBand, ...]
    gsd: float | None = None
    sensor: str | None = None
    area: BaseGeometry | None = None


@dataclass(frozen=True)
class Need:
    """What a model needs, and what speaks for it.

    Attributes:
        bands: that it reads, in channel order, with their common names.
        gsd: size of the pixels that it learned from, metres.
        sensor: that they came from.
        tasks: `mlm:tasks`.
        area: of its training data.
        metric: `test_miou`.
        aliases: such as `production`.
        deprecated: whether its version is.
    """

    bands: tuple[tuple[str, str | None], ...]
    gsd: float | None = None
    sensor: str | None = None
    tasks: tuple[str, ...] = ()
    area: BaseGeometry | None = None
    metric: float | None = None
    aliases: tuple[str, ...] = ()
    deprecated: bool = False


@dataclass(frozen=True)
class BandMatch:
    """Which offered band feeds which band of the model, and by what they are the same."""

    needed: str
    offered: str
    by: Literal["name", "common_name"]
    asset: str | None = None


@dataclass(frozen=True)
class Match:
    """How well a model and data fit.

    Attributes:
        bands: one for each band of the model, in its order.
        missing: bands of the model that the data lacks; then it cannot run, and `score` is 0.
        score: 0 … 1.
        reasons: why, for people.
        gsd_ratio: pixel size of the data over that of the model.
        overlap: share of the data's area in the area of the training data.
        one_asset: key of the asset that has all bands, so that `terralab predict` can run as it is.
    """

    bands: tuple[BandMatch, ...] = ()
    missing: tuple[str, ...] = ()
    score: float = 0.0
    reasons: tuple[str, ...] = ()
    gsd_ratio: float | None = None
    overlap: float | None = None
    one_asset: str | None = None

    @property
    def fits(self) -> bool:
        """Return whether the model can run on the data."""
        return not self.missing and self.score > 0


@dataclass
class _Parts:
    """The parts of a score, 0 … 1 each, and the reasons for them."""

    values: dict[str, float] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, reason: str | None = None) -> None:
        self.values[name] = value
        if reason is not None:
            self.reasons.append(reason)

    @property
    def score(self) -> float:
        return sum(WEIGHTS[name] * value for name, value in self.values.items())


def match(need: Need, offer: Offer) -> Match:
    """Return how well data fits a model; a model that reads no bands fits nothing."""
    pairs = _pairs(need, offer)
    found = {pair.needed for pair in pairs}
    missing = tuple(name for name, _ in need.bands if name not in found)
    if missing or not need.bands:
        reason = f"lacks {', '.join(missing)}" if missing else "the model does not say which bands it reads"
        return Match(tuple(pairs), missing, reasons=(reason,))
    ratio = offer.gsd / need.gsd if offer.gsd and need.gsd else None
    if ratio is not None and not 1 / MAX_GSD_RATIO <= ratio <= MAX_GSD_RATIO:
        size = f"pixels of {offer.gsd:g} m, the model learned from {need.gsd:g} m"
        return Match(tuple(pairs), gsd_ratio=ratio, reasons=(size,))
    parts, overlap = _Parts(), _overlap(need.area, offer.area)
    _add_bands(parts, pairs)
    _add_gsd(parts, ratio, need, offer)
    _add_sensor(parts, need.sensor, offer.sensor)
    _add_area(parts, overlap)
    _add_standing(parts, need)
    score = parts.score * (0.5 if need.deprecated else 1.0)
    assets = {pair.asset for pair in pairs}
    one = next(iter(assets)) if len(assets) == 1 else None
    return Match(tuple(pairs), (), round(score, 4), tuple(parts.reasons), ratio, overlap, one)


def _pairs(need: Need, offer: Offer) -> list[BandMatch]:
    """Pair each band of the model with one of the data, no band of the data twice; what has no partner is left out."""
    free = list(offer.bands)
    pairs: list[BandMatch] = []
    alike = need.sensor is None or offer.sensor is None or need.sensor == offer.sensor
    ways: tuple[Literal["name", "common_name"], ...] = ("name", "common_name")
    for by in ways:
        for name, common_name in need.bands:
            if any(pair.needed == name for pair in pairs):
                continue
            partner = next((band for band in free if _same(by, name, common_name, band, alike)), None)
            if partner is not None:
                free.remove(partner)
                pairs.append(BandMatch(name, partner.name, by, partner.asset))
    order = [name for name, _ in need.bands]
    return sorted(pairs, key=lambda pair: order.index(pair.needed))


def _same(by: str, name: str, common_name: str | None, band: OfferedBand, alike: bool) -> bool:
    """Say whether two bands are the same; `alike` says that names of both mean the same bands."""
    if by == "common_name":
        return common_name is not None and band.common_name == common_name
    if common_name is not None and band.common_name is not None:
        alike = common_name == band.common_name
    return alike and canonical_band_name(band.name) == canonical_band_name(name)


def _add_bands(parts: _Parts, pairs: Sequence[BandMatch]) -> None:
    by_name = sum(pair.by == "name" for pair in pairs)
    said = f"has all {len(pairs)} bands"
    others = [f"{pair.needed} as {pair.offered}" for pair in pairs if pair.by != "name"]
    parts.add("bands", (by_name + 0.5 * len(others)) / len(pairs), said + (f" ({', '.join(others)})" if others else ""))


def _add_gsd(parts: _Parts, ratio: float | None, need: Need, offer: Offer) -> None:
    if ratio is None:
        parts.add("gsd", 0.5)
        return
    nearness = 1 - abs(math.log(ratio)) / math.log(MAX_GSD_RATIO)
    parts.add("gsd", nearness, f"pixels of {offer.gsd:g} m, learned from {need.gsd:g} m")


def _add_sensor(parts: _Parts, needed: str | None, offered: str | None) -> None:
    if needed is None or offered is None:
        parts.add("sensor", 0.5)
    elif needed == offered:
        parts.add("sensor", 1.0, f"same sensor, {needed}")
    else:
        parts.add("sensor", 0.0, f"another sensor: {offered}, learned from {needed}")


def _add_area(parts: _Parts, overlap: float | None) -> None:
    if overlap is None:
        parts.add("area", 0.5)
    else:
        parts.add("area", overlap, f"{overlap:.0%} of the area is where it learned")


def _add_standing(parts: _Parts, need: Need) -> None:
    metric = None if need.metric is None else min(1.0, max(0.0, need.metric))
    parts.add("metric", metric or 0.0, None if metric is None else f"test mIoU {metric:.3f}")
    in_production = "production" in need.aliases
    parts.add("production", float(in_production), "in production" if in_production else None)
    if need.deprecated:
        parts.reasons.append("deprecated")


def _overlap(trained: BaseGeometry | None, offered: BaseGeometry | None) -> float | None:
    """Return which share of `offered` lies in `trained`; of a point, whether it does."""
    if trained is None or offered is None or offered.is_empty:
        return None
    if offered.area == 0:
        return float(trained.intersects(offered))
    return min(1.0, round(float(trained.intersection(offered).area / offered.area), 4))
