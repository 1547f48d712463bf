"""A class map against a label raster on the same grid, pixel by pixel; classes are matched by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from terralab.catalog.errors import InvalidInput
from terralab.catalog.store import Store
from terralab.datasets.raster_file import RasterFacts, open_raster, read_facts, strips
from terralab.datasets.same_grid import check_same_grid
from terralab.extensions.labels import LABEL_ASSET
from terralab.extensions.prediction import PREDICTION_ASSET
from terralab.extensions.raster import MASK_NODATA, ClassDefinition, classes_of_stac
from terralab.flows.tuning.measures import ConfusionMatrix

_PREFIX = "validation"


@dataclass
class Comparison:
    """What comparisons count.

    Attributes:
        classes: classes of the prediction; the order of the confusion matrix.
        matrix: pixels by true and predicted class.
        unpredicted: labelled pixels where the imagery has no data; they count nowhere else.
    """

    classes: Sequence[ClassDefinition]
    matrix: ConfusionMatrix = field(init=False)
    unpredicted: int = 0

    def __post_init__(self) -> None:
        self.matrix = ConfusionMatrix(range(len(self.classes)))

    @property
    def pixels(self) -> int:
        """Return the number of compared pixels."""
        return int(self.matrix.counts.sum())

    def metrics(self) -> dict[str, float]:
        """Return flat metrics, such as `miou` and `iou_water`; measures without a value are left out."""
        found = self.matrix.metrics(self.classes, _PREFIX)
        return {key.removeprefix(f"{_PREFIX}_"): value for key, value in found.items()}

    def add(self, store: Store, prediction: Mapping[str, Any], label: Mapping[str, Any]) -> None:
        """Count the pixels of a class map and a label raster with the same class names.

        Raises:
            GridMismatch: the rasters do not lie on the same grid.
            AssetCorrupt: bytes are missing or damaged.
        """
        predicted, truth = _facts(store, prediction, PREDICTION_ASSET), _facts(store, label, LABEL_ASSET)
        check_same_grid(predicted, truth)
        of_truth, of_prediction = _places(_label_classes(label), self.classes), _places(self.classes, self.classes)
        with open_raster(predicted.path) as map_file, open_raster(truth.path) as label_file:
            for row, found in strips(map_file, predicted.name):
                wanted = label_file.read(1, window=Window(0, row, found.shape[2], found.shape[1]))
                self._count(of_truth[wanted], of_prediction[found[0]])

    def _count(self, truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        labelled = truth != MASK_NODATA
        both = labelled & (predicted != MASK_NODATA)
        self.unpredicted += int((labelled & ~both).sum())
        self.matrix.add(truth[both], predicted[both])


def check_classes_match(model: Mapping[str, Any], classes: Sequence[ClassDefinition], label: Mapping[str, Any]) -> None:
    """Check that a label has the model's classes, by name.

    Raises:
        InvalidInput: it has others; the message lists both.
    """
    predicted = [entry.name for entry in classes]
    labelled = [entry.name for entry in _label_classes(label)]
    if set(predicted) != set(labelled):
        raise InvalidInput(
            f"models/{model['id']} has the classes {', '.join(predicted)}, {label['collection']}/{label['id']} has"
            f" {', '.join(labelled)}; compare a model with labels of the same class names"
        )


def _places(own: Sequence[ClassDefinition], order: Sequence[ClassDefinition]) -> NDArray[np.uint8]:
    """Return a table from class value to the place of the class of that name in `order`, 255 for all other values."""
    names = [entry.name for entry in order]
    table = np.full(MASK_NODATA + 1, MASK_NODATA, np.uint8)
    for entry in own:
        table[entry.value] = names.index(entry.name)
    return table


def _label_classes(label: Mapping[str, Any]) -> list[ClassDefinition]:
    if LABEL_ASSET not in label["assets"]:
        raise InvalidInput(f"{label['collection']}/{label['id']} is no label: it has no asset {LABEL_ASSET!r}")
    return classes_of_stac(label["assets"][LABEL_ASSET]["classification:classes"])


def _facts(store: Store, item: Mapping[str, Any], key: str) -> RasterFacts:
    facts = read_facts(store.verify(item["assets"][key]["href"]))
    return replace(facts, name=f"{item['collection']}/{item['id']}")
