"""Spectral indices by their names, with the formulas of Awesome Spectral Indices (spyndex)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.datasets.recipes.recipe import Block, Parameters, Plan, Recipe, Source, Values
from terralab.extensions.bands import BY_NAME

# What spyndex calls the bands, by their common names in STAC.
_SYMBOLS = {
    "coastal": "A",
    "blue": "B",
    "green": "G",
    "red": "R",
    "rededge071": "RE1",
    "rededge075": "RE2",
    "rededge078": "RE3",
    "nir": "N",
    "nir08": "N2",
    "nir09": "WV",
    "swir16": "S1",
    "swir22": "S2",
}
_RADAR = ("VV", "VH", "HH", "HV")
# spyndex has one constant of a name for all indices; these differ from it where they were published.
_PUBLISHED = {"SAVI": {"L": 0.5}}
_PROBES, _PROBE_SCALE = 64, 10_000.0


class IndexParameters(Parameters):
    """Which indices."""

    indices: tuple[str, ...] = Field(default=("NDVI",), min_length=1, description="Names, such as NDVI or MNDWI.")
    scale: float | None = Field(
        default=None, gt=0, description="Reflectance of one unit, such as 0.0001; for indices that are no mere ratios."
    )
    constants: dict[str, float] = Field(default={}, description="Constants of the formulas, where not the usual ones.")


def plan_indices(sources: Sequence[Source], parameters: IndexParameters) -> Plan:
    """Plan the indices of one scene.

    Raises:
        UnknownName: there is no index of that name.
        InvalidInput: the scene lacks a band, or an index needs reflectances and nobody says the scale.
    """
    import spyndex

    source = sources[0]
    places = band_symbols(source)
    for name in parameters.indices:
        _check(name, places, source, parameters)
    constants = {name: _constants(name, parameters) for name in parameters.indices}
    formulas = {name: str(spyndex.indices[name].formula) for name in parameters.indices}
    factor = np.float32(parameters.scale or 1.0)

    def compute(block: Block) -> Values:
        bands = {symbol: block.values[0][place, block.inner] * factor for symbol, place in places.items()}
        results = [_computed(name, {**bands, **constants[name]}) for name in parameters.indices]
        return np.stack([np.where(np.isfinite(found), found, np.nan).astype(np.float32) for found in results])

    needed = {symbol for name in parameters.indices for symbol in spyndex.indices[name].bands}
    used = {symbol: source.bands[place].name for symbol, place in places.items() if symbol in needed}
    formula = {"indices": formulas, "bands": used, "constants": constants, "scale": parameters.scale}
    return Plan(parameters.indices, formula, compute, software={"spyndex": str(spyndex.__version__)})


def band_symbols(source: Source) -> dict[str, int]:
    """Return the place of each band that spyndex has a letter for; `N` may be the narrow near infrared."""
    found: dict[str, int] = {}
    for place, band in enumerate(source.bands):
        described = BY_NAME.get(band.name)
        symbol = band.name if band.name in _RADAR else _SYMBOLS.get(str(described and described.common_name), "")
        if symbol:
            found.setdefault(symbol, place)
    if "N" not in found and "N2" in found:
        found["N"] = found["N2"]
    return found


def _check(name: str, places: Mapping[str, int], source: Source, parameters: IndexParameters) -> None:
    import spyndex

    if name not in spyndex.indices:
        raise UnknownName.of("spectral index", name, list(spyndex.indices))
    wanted = list(spyndex.indices[name].bands)
    known = _constants(name, parameters)
    lacking = [symbol for symbol in wanted if symbol not in places and symbol not in known]
    if lacking:
        have = ", ".join(band.name for band in source.bands)
        raise InvalidInput(f"{name} needs {', '.join(lacking)} (spyndex's letters); {source.name} has the bands {have}")
    if parameters.scale is None and not _scale_free(name, known):
        raise InvalidInput(
            f"{name} needs reflectances and not what is stored; say the reflectance of one unit by `scale`, such as "
            "0.0001, or 1 where reflectances are stored"
        )


def _scale_free(name: str, known: Mapping[str, float]) -> bool:
    """Say whether an index is the same for bands that are all multiplied by one number."""
    import spyndex

    random = np.random.default_rng(0)
    probes = {
        symbol: random.uniform(0.05, 0.6, _PROBES) for symbol in spyndex.indices[name].bands if symbol not in known
    }
    scaled = {symbol: values * _PROBE_SCALE for symbol, values in probes.items()}
    one, other = (_computed(name, {**values, **known}) for values in (probes, scaled))
    return bool(np.allclose(one, other, equal_nan=True))


def _computed(name: str, values: Mapping[str, Any]) -> Any:
    import spyndex

    wanted = {symbol: values[symbol] for symbol in spyndex.indices[name].bands}
    with np.errstate(all="ignore"):
        return spyndex.computeIndex(name, wanted)


def _constants(name: str, parameters: IndexParameters) -> dict[str, float]:
    """Return the constants of an index's formula: those given, else the published ones, else spyndex's."""
    import spyndex

    usual = {key: float(one.default) for key, one in spyndex.constants.items() if isinstance(one.default, int | float)}
    for key in parameters.constants:
        if key not in usual:
            raise UnknownName.of("constant", key, list(usual))
    known = {**usual, **_PUBLISHED.get(name, {}), **parameters.constants}
    return {key: value for key, value in known.items() if key in spyndex.indices[name].bands}


RECIPE = Recipe("indices", "Spectral indices", IndexParameters, plan_indices)
