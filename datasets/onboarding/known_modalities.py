"""Band orders of modalities that datasets use without naming the bands in their files."""

from collections.abc import Sequence

from terralab.extensions.bands import BY_NAME, SENTINEL_2, canonical_band_name

_ALL_OF_SENTINEL_2 = tuple(band.name for band in SENTINEL_2)
_WITHOUT_CIRRUS = tuple(name for name in _ALL_OF_SENTINEL_2 if name != "B10")
_ORDERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "s2l1c": (_ALL_OF_SENTINEL_2,),
    "s2l2a": (_WITHOUT_CIRRUS,),
    "s2": (_ALL_OF_SENTINEL_2, _WITHOUT_CIRRUS),
    "s1rtc": (("VV", "VH"),),
    "s1grd": (("VV", "VH"),),
    "s1": (("VV", "VH"),),
    "dem": (("DEM",),),
    "ndvi": (("NDVI",),),
}
_SPELLINGS = {
    "s2hand": "s2", "s1hand": "s1", "sentinel2": "s2", "sentinel1": "s1", "s2_l2a": "s2l2a", "s2_l1c": "s2l1c",
    "sen2": "s2", "sen1": "s1", "elevation": "dem",
}  # fmt: skip


def known_bands(modality: str, count: int) -> tuple[str, ...] | None:
    """Return the usual bands of a modality such as `S2L2A` with that many bands; None where they are not known."""
    key = modality.lower().replace("-", "")
    return next((order for order in _ORDERS.get(_SPELLINGS.get(key, key), ()) if len(order) == count), None)


def say_something(descriptions: Sequence[str | None]) -> bool:
    """Say whether a file's band descriptions name its bands: there is one for each, and no two are alike."""
    written = [text.strip() for text in descriptions if text and text.strip()]
    names = [canonical_band_name(text) for text in written]
    return len(written) == len(descriptions) and len(set(names)) == len(names) and set(written) != {"bands"}


def is_known_band(name: str) -> bool:
    """Say whether a name is that of a band the lab knows."""
    return name in BY_NAME
