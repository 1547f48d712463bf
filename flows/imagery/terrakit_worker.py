"""The process in which TerraKit runs: one request from standard input, one answer on standard output, then it ends.

TerraKit replaces the log handlers, sets GDAL's variables and reads `.env` files when it is imported; here that harms
nobody. It is asked for one day at a time: over a range it answers with the same pixels for every date.
"""

import json
import os
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from terralab.flows.warm_process import die_with_parent

_LATITUDES, _LONGITUDES = ("y", "latitude", "lat"), ("x", "longitude", "lon")
_EVEN = 1e-3  # of a pixel
_CORNERS = "sentinel_aws"  # stackstac names pixels by their upper left corners, all others by their centres
_WHOLE_CLOUDS = {"sentinelhub": 101, "stac": 100}
_NO_CLOUD_LIMIT = 0
_DEM_METRES = 30


def main() -> None:
    """Do one request."""
    die_with_parent()
    job = json.load(sys.stdin)
    answer = os.dup(1)
    os.dup2(2, 1)  # TerraKit writes progress bars to standard output
    try:
        result = {"find": find, "get": get, "collections": collections}[job["action"]](job)
    except Exception as error:  # whatever TerraKit and its libraries raise
        result = {"error": type(error).__name__, "message": str(error)}
    with os.fdopen(answer, "w") as stream:
        json.dump(result, stream, default=str)


def collections(job: dict[str, Any]) -> dict[str, Any]:
    """Return the collections of a connector."""
    return {"collections": list(connected(job).list_collections())}


def find(job: dict[str, Any]) -> dict[str, Any]:
    """Return what a connector finds: id, time and cloud cover of each scene."""
    dates, items = connected(job).find_data(
        data_collection_name=job["collection"],
        date_start=job["start"],
        date_end=_end(job),
        bbox=job["bbox"],
        bands=job["bands"],
        maxcc=_WHOLE_CLOUDS.get(job["connector"], _NO_CLOUD_LIMIT),
    )
    found = [
        {
            "id": str(item.get("id", "")),
            "datetime": item["properties"].get("datetime") or item["properties"].get("start_datetime"),
            "cloud_cover": item["properties"].get("eo:cloud_cover"),
        }
        for item in items
    ]
    return {"dates": [str(day) for day in dates], "items": found}


def get(job: dict[str, Any]) -> dict[str, Any]:
    """Write one day's pixels into the file that the request names."""
    if job["static"] and job["connector"] == "sentinelhub":
        found = _terrain(job)
    else:
        found = connected(job).get_data(
            data_collection_name=job["collection"],
            date_start=job["start"],
            date_end=_end(job),
            bbox=job["bbox"],
            bands=job["bands"],
            maxcc=_WHOLE_CLOUDS.get(job["connector"], _NO_CLOUD_LIMIT),
            working_dir=job["folder"],
        )
    pixels, facts = plain(found, job["connector"], job["degrees"])
    with Path(job["output"]).open("wb") as stream:
        np.savez(stream, pixels=pixels)
    return facts


def connected(job: dict[str, Any]) -> Any:
    """Return TerraKit's connector, at the address that the request names where it can have another."""
    from terrakit import DataConnector

    from terralab.flows.imagery.terrakit_connector import register

    register()
    keep_to_provider(job["endpoint"], job["folder"])
    connector = DataConnector(job["connector"]).connector
    if hasattr(connector, "modality"):
        connector.modality = job["modality"]
    if job["endpoint"] and hasattr(connector, "stac_url"):
        connector.stac_url = job["endpoint"]
    for details in getattr(connector, "collections_details", ()):
        if isinstance(details, dict) and job["connector"] == _CORNERS:
            # Servers that honour `fields` leave out what TerraKit's reader of the answer needs.
            details.pop("search", None)
    return connector


def plain(found: Any, connector: str, degrees: float | None) -> tuple[Any, dict[str, Any]]:
    """Return (bands, rows, columns) with north up, and the grid of TerraKit's array.

    Raises:
        ValueError: its pixels do not lie on an even grid.
    """
    rows, columns = (next(name for name in names if name in found.dims) for names in (_LATITUDES, _LONGITUDES))
    bands = next(name for name in ("band", "bands") if name in found.dims)
    if "time" in found.dims:
        found = found.isel(time=0)
    pixels = found.transpose(bands, rows, columns)
    ys, xs = (np.asarray(found[name].values, float) for name in (rows, columns))
    if len(ys) > 1 and ys[1] > ys[0]:
        pixels, ys = pixels.isel({rows: slice(None, None, -1)}), ys[::-1]
    high, wide = _step(-ys, degrees), _step(xs, degrees)
    shift = 0.0 if connector == _CORNERS else 0.5
    crs = found.rio.crs.to_string() if found.rio.crs else "EPSG:4326"
    nodata = found.rio.nodata if found.rio.nodata is not None else found.attrs.get("_FillValue")
    return np.asarray(pixels.values, np.float32), {
        "crs": crs,
        "transform": [wide, 0.0, float(xs[0]) - shift * wide, 0.0, -high, float(ys[0]) + shift * high],
        "nodata": None if nodata is None else str(float(nodata)),
    }


def keep_to_provider(endpoint: str, folder: str) -> None:
    """Keep TerraKit from opening files of this machine that a provider's item names.

    Args:
        endpoint: address of the provider, whose host may be without TLS; empty for TerraKit's own.
        folder: of this request, where TerraKit keeps what it downloads.
    """
    import rasterio
    from terrakit.download.raster_file_reader import NetCDFFileReader

    host = "{0.scheme}://{0.netloc}/".format(urlsplit(endpoint)) if endpoint else "https://"
    open_raster, load_netcdf = rasterio.open, NetCDFFileReader._load_xarray

    def check(path: Any) -> None:
        if isinstance(path, str | os.PathLike):
            text = os.fspath(path)
            inside = "://" not in text and Path(text).resolve().is_relative_to(Path(folder).resolve())
            if not (text.startswith(("https://", host)) or inside):
                raise ValueError(f"{text[:200]!r} is no https address")

    def opened(path: Any, *arguments: Any, **named: Any) -> Any:
        check(path)
        return open_raster(path, *arguments, **named)

    def loaded(self: Any, path_or_url: str) -> Any:
        check(path_or_url)
        return load_netcdf(self, path_or_url)

    rasterio.open, NetCDFFileReader._load_xarray = opened, loaded


def _step(places: Any, degrees: float | None) -> float:
    if len(places) == 1:
        if degrees is None:
            raise ValueError("one row or column of pixels alone does not tell their size; ask for a larger area")
        return degrees
    steps = np.diff(places)
    if steps.min() <= 0 or np.ptp(steps) > _EVEN * steps.mean():
        raise ValueError("the pixels do not lie on an even grid")
    return float((places[-1] - places[0]) / (len(places) - 1))


def _terrain(job: dict[str, Any]) -> Any:
    """Return heights: TerraKit's search does not know collections without dates, its request does."""
    from terrakit.download.data_connectors.sentinelhub import sh_get_data

    connector = connected(job)
    details = next(entry for entry in connector.collections_details if entry["collection_name"] == job["collection"])
    details = {**details, "resolution_m": details["resolution_m"] or _DEM_METRES}
    return sh_get_data(
        connector.sh_config, details, job["bbox"], job["start"], job["bands"], None, f"{job['folder']}/sh_data"
    )


def _end(job: dict[str, Any]) -> str:
    end = date.fromisoformat(job["end"])
    return (end + timedelta(days=1)).isoformat() if job["day_after"] else end.isoformat()


if __name__ == "__main__":
    main()
