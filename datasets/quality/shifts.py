"""Labels that are shifted against the image, for the dataset as a whole and for each scene.

One chip has few edges; the surfaces of many chips added up tell a shift of one pixel.
"""

from typing import Any

import numpy as np

from terralab.datasets.quality.collected import Collected
from terralab.datasets.quality.edges import SIDE, fit_of

_FEWEST_EDGES = 400
_SHOWN = 50


def label_shifts(chips: Collected) -> dict[str, Any]:
    """Return `dataset` and `scenes`: for each, the edges, the agreement and the offset where it is certain.

    `scenes` has only those with a certain offset.
    """
    total, edges = np.zeros((SIDE, SIDE)), 0
    shifted = []
    for scene, (surface, count) in sorted(chips.surfaces.items()):
        total, edges = total + surface, edges + count
        judged = _judged(surface, count)
        if judged and judged["certain"]:
            shifted.append({"scene": scene, **judged})
    return {"dataset": _judged(total, edges), "scenes": shifted[:_SHOWN]}


def _judged(surface: Any, edges: int) -> dict[str, Any] | None:
    if edges < _FEWEST_EDGES:
        return None
    fit = fit_of(surface / edges, least=1.0)
    return {
        "edges": edges,
        "agreement": round(fit.agreement, 4),
        "rows": fit.rows if fit.certain else 0,
        "columns": fit.columns if fit.certain else 0,
        "certain": fit.certain,
    }
