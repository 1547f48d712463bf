"""Where and when a dataset was seen: how its chips lie in clusters, and which months are missing."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.quality.collected import Collected

_EARTH_KM = 6371.0
_CLUSTER_KM = 50.0


def spatial_coverage(chips: Collected) -> dict[str, Any]:
    """Return bounds, number of clusters, and how even the chips lie.

    Chips less than 50 km apart belong to one cluster. `effective_clusters` is the number of equally large clusters
    that would be as diverse (the exponential of Shannon's entropy): much lower than `clusters` where most chips come
    from a few places.
    """
    if not len(chips):
        return {}
    boxes = np.array([place.bounds for place in chips.places])
    labels = _clusters(chips)
    sizes = np.bincount(labels)
    shares = sizes / sizes.sum()
    cells = {(int(np.floor(box[1])), int(np.floor(box[0]))) for box in boxes}
    return {
        "bounds": [
            float(boxes[:, 0].min()),
            float(boxes[:, 1].min()),
            float(boxes[:, 2].max()),
            float(boxes[:, 3].max()),
        ],
        "clusters": len(sizes),
        "effective_clusters": round(float(np.exp(-(shares * np.log(shares)).sum())), 2),
        "largest_cluster_share": round(float(shares.max()), 4),
        "degree_cells": len(cells),
        "scenes": len({place.scene for place in chips.places}),
    }


def temporal_coverage(chips: Collected) -> dict[str, Any]:
    """Return first and last day, chips by month and by year, and months of the year without a chip."""
    if not len(chips):
        return {}
    moments = [place.moment for place in chips.places]
    months = Counter(f"{moment:%Y-%m}" for moment in moments)
    seen = {moment.month for moment in moments}
    return {
        "first": f"{min(moments):%Y-%m-%d}",
        "last": f"{max(moments):%Y-%m-%d}",
        "days": len({moment.date() for moment in moments}),
        "months": dict(sorted(months.items())),
        "years": dict(sorted(Counter(str(moment.year) for moment in moments).items())),
        "missing_months": [month for month in range(1, 13) if month not in seen],
    }


def _clusters(chips: Collected) -> NDArray[np.int64]:
    """Return the cluster of each chip: cells of a grid of 50 km that touch are one cluster."""
    boxes = np.array([place.bounds for place in chips.places])
    longitude, latitude = np.radians(boxes[:, ::2].mean(axis=1)), np.radians(boxes[:, 1::2].mean(axis=1))
    # Positions on the sphere in space, so that 180° and the poles are no borders.
    points = _EARTH_KM * np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )
    cells, members = np.unique(np.floor(points / _CLUSTER_KM).astype(np.int64), axis=0, return_inverse=True)
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    pairs = cKDTree(cells).query_pairs(1.8, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(cells), len(cells)))
    found: NDArray[np.int64] = connected_components(graph, directed=False)[1][members.ravel()].astype(np.int64)
    return found
