"""Reading an item of any kind."""

from typing import Any

from terralab.extensions.chips import ChipRecord
from terralab.extensions.dataset import DatasetRecord
from terralab.extensions.imagery import SceneRecord
from terralab.extensions.lab import KIND_PROP, Kind
from terralab.extensions.labels import LabelRecord
from terralab.extensions.model import ModelRecord
from terralab.extensions.prediction import PredictionRecord
from terralab.extensions.problem import shown
from terralab.extensions.record import InvalidRecord
from terralab.extensions.run import RunRecord

Record = SceneRecord | LabelRecord | ChipRecord | DatasetRecord | ModelRecord | RunRecord | PredictionRecord

_READERS: dict[str, type[Record]] = {
    Kind.IMAGERY: SceneRecord,
    Kind.LABELS: LabelRecord,
    Kind.CHIPS: ChipRecord,
    Kind.DATASET: DatasetRecord,
    Kind.MODEL: ModelRecord,
    Kind.RUN: RunRecord,
    Kind.PREDICTION: PredictionRecord,
}


def read_record(item: dict[str, Any]) -> Record:
    """Read an item by the reader of its `lab:kind`.

    Raises:
        InvalidRecord: it has no kind of the lab, or lacks a field that its kind has.
    """
    kind = (item.get("properties") or {}).get(KIND_PROP)
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise InvalidRecord(
            f"{item.get('collection')}/{item.get('id')} has {KIND_PROP} {shown(kind)}, no kind of the lab"
        )
    return reader.of_item(item)
