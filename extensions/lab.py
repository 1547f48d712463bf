"""The `lab:` extension: what no published STAC extension says about runs, versions, splits and quality.

Documented in `docs/lab-extension.md`; its JSON Schema is `schemas/lab.json`, packaged with this module.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib.resources import files
from typing import Any, Literal, cast

import pystac
from pystac.extensions.base import ExtensionManagementMixin, PropertiesExtension, SummariesExtension
from pystac.extensions.hooks import ExtensionHooks
from pystac.utils import datetime_to_str, str_to_datetime

from terralab.extensions.lab_field import LabField, as_it_is

SCHEMA_URI = "https://terralab.github.io/stac-lab/v1.0.0/schema.json"
PREFIX = "lab:"

KIND_PROP = PREFIX + "kind"
RUN_TYPE_PROP = PREFIX + "run_type"
STATUS_PROP = PREFIX + "status"
STARTED_PROP = PREFIX + "started"
FINISHED_PROP = PREFIX + "finished"
PARAMS_PROP = PREFIX + "params"
METRICS_PROP = PREFIX + "metrics"
BASELINE_PROP = PREFIX + "baseline"
SEED_PROP = PREFIX + "seed"
GIT_SHA_PROP = PREFIX + "git_sha"
FLOW_RUN_PROP = PREFIX + "flow_run"
ERROR_PROP = PREFIX + "error"
DATASET_PROP = PREFIX + "dataset"
DATASET_VERSION_PROP = PREFIX + "dataset_version"
DVC_REV_PROP = PREFIX + "dvc_rev"
DVC_TREE_PROP = PREFIX + "dvc_tree"
SPLIT_PROP = "ml-aoi:split"
SPLIT_GROUP_PROP = PREFIX + "split_group"
CLASS_COUNTS_PROP = PREFIX + "class_counts"
VALID_SHARE_PROP = PREFIX + "valid_share"
TASK_PROP = PREFIX + "task"
LABELS_PROP = PREFIX + "labels"
MODALITY_FIELD = PREFIX + "modality"
TIMES_FIELD = PREFIX + "times"
SPLIT_REPORT_PROP = PREFIX + "split_report"
LEAKS_PROP = PREFIX + "leaks"
FOLD_PROP = PREFIX + "fold"
QA_PROP = PREFIX + "qa"
QUALITY_PROP = PREFIX + "quality"
ALIASES_PROP = PREFIX + "aliases"
OWNER_PROP = PREFIX + "owner"
VISIBILITY_PROP = PREFIX + "visibility"
PROJECT_PROP = PREFIX + "project"

PRODUCED_REL = "lab:produced"
EXECUTION_REL = "processing-execution"


class Kind(StrEnum):
    """The kinds of objects in the catalog."""

    IMAGERY = "imagery"
    CHIPS = "chips"
    LABELS = "labels"
    DATASET = "dataset"
    MODEL = "model"
    RUN = "run"
    PREDICTION = "prediction"


class RunType(StrEnum):
    """What a run did."""

    INGEST = "ingest"
    ONBOARD = "onboard"
    CHIP = "chip"
    QUALITY = "quality"
    REVIEW = "review"
    FEATURES = "features"
    SPLIT = "split"
    VERSION = "version"
    TUNE = "tune"
    PREDICT = "predict"
    VALIDATE = "validate"


class RunStatus(StrEnum):
    """Where a run stands; `crashed` means that its process ended without a word."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CRASHED = "crashed"
    CANCELLED = "cancelled"


class Visibility(StrEnum):
    """Who may read an object: its owner, the members of its project, or everybody who may read its collection."""

    PRIVATE = "private"
    PROJECT = "project"
    PUBLIC = "public"


class QualityLevel(StrEnum):
    """How good a dataset is known to be.

    Q0 has files and a description; Q1 is valid STAC with checksums; Q2 also has labels, splits and measures without a
    blocking fault; Q3 is also frozen, reviewed by a person and has the score of a baseline.
    """

    Q0 = "Q0"
    Q1 = "Q1"
    Q2 = "Q2"
    Q3 = "Q3"


def load_schema() -> dict[str, Any]:
    """Return the JSON Schema of the extension."""
    text = files("terralab.extensions").joinpath("schemas/lab.json").read_text(encoding="utf-8")
    return cast(dict[str, Any], json.loads(text))


@dataclass(frozen=True)
class Quality:
    """The quality level of a dataset, and when it was computed."""

    level: QualityLevel
    computed: datetime | None = None

    @classmethod
    def of_stac(cls, entry: dict[str, Any]) -> "Quality":
        """Read `lab:quality`."""
        computed = entry.get("computed")
        return cls(QualityLevel(entry["level"]), str_to_datetime(computed) if computed else None)

    def to_stac(self) -> dict[str, Any]:
        """Return `lab:quality`."""
        computed = {"computed": datetime_to_str(self.computed)} if self.computed else {}
        return {"level": self.level.value, **computed}


class LabExtension(PropertiesExtension, ExtensionManagementMixin[pystac.Item | pystac.Collection]):
    """Typed access to the `lab:` fields of a pystac item or collection: `LabExtension.ext(item).kind`.

    Each attribute is one field: None where it is absent, removed by setting None. `docs/lab-extension.md` says what
    the fields mean and which kinds have them.
    """

    name: Literal["lab"] = "lab"

    kind = LabField(KIND_PROP, Kind, "What the object is.", str)
    run_type = LabField(RUN_TYPE_PROP, str, "What a run did, such as `tune`.")
    status = LabField(STATUS_PROP, RunStatus, "Where a run stands.", str)
    started = LabField(STARTED_PROP, str_to_datetime, "When a run started.", datetime_to_str)
    finished = LabField(FINISHED_PROP, str_to_datetime, "When a run ended.", datetime_to_str)
    params = LabField(PARAMS_PROP, as_it_is(dict[str, Any]), "The parameters that the object was made with.")
    metrics = LabField(METRICS_PROP, as_it_is(dict[str, float]), "Flat metrics, such as `test_miou`.")
    baseline = LabField(BASELINE_PROP, as_it_is(dict[str, float]), "The metrics of the cheap baseline.")
    seed = LabField(SEED_PROP, int, "Seed of all random choices.")
    git_sha = LabField(GIT_SHA_PROP, str, "Commit of the code that made the object.")
    flow_run = LabField(FLOW_RUN_PROP, str, "Prefect flow run id.")
    error = LabField(ERROR_PROP, as_it_is(dict[str, str]), "`code` and `message` of a run's failure.")
    dataset = LabField(DATASET_PROP, str, "Dataset name, or chips collection of a model.")
    dataset_version = LabField(DATASET_VERSION_PROP, str, "Version of the dataset.")
    dvc_rev = LabField(DVC_REV_PROP, str, "Git commit that holds the version's `.dvc` file.")
    dvc_tree = LabField(DVC_TREE_PROP, str, "DVC's hash of the version's files.")
    split_group = LabField(SPLIT_GROUP_PROP, str, "Group of chips that no split divides.")
    fold = LabField(FOLD_PROP, int, "Fold of the chip in a cross validation, from 0.")
    split_report = LabField(
        SPLIT_REPORT_PROP, as_it_is(dict[str, Any]), "Distances and touching pairs between the splits."
    )
    leaks = LabField(LEAKS_PROP, bool, "Whether chips of different splits share ground or pixels.")
    class_counts = LabField(CLASS_COUNTS_PROP, as_it_is(dict[str, int]), "Pixels by class name.")
    task = LabField(TASK_PROP, str, "What the dataset teaches, such as `regression`; `segmentation` where absent.")
    labels = LabField(LABELS_PROP, as_it_is(list[str]), "Classes of the chip as a whole.")
    valid_share = LabField(VALID_SHARE_PROP, float, "Share (0 … 1) of pixels with data in every band.")
    qa = LabField(QA_PROP, as_it_is(dict[str, Any]), "Flat measures of one chip's quality.")
    quality = LabField(QUALITY_PROP, Quality.of_stac, "Quality level of a dataset.", Quality.to_stac)
    aliases = LabField(ALIASES_PROP, as_it_is(list[str]), "Names of a model version, such as `production`.")
    owner = LabField(OWNER_PROP, str, "Name of the user that the object belongs to.")
    visibility = LabField(VISIBILITY_PROP, Visibility, "Who may read the object.", str)
    project = LabField(PROJECT_PROP, str, "Project whose members may read it where the visibility is `project`.")

    def __init__(self, obj: pystac.Item | pystac.Collection) -> None:
        self.obj = obj
        self.properties = obj.properties if isinstance(obj, pystac.Item) else obj.extra_fields

    def apply(self, kind: Kind, **fields: Any) -> None:
        """Set the kind and any further attributes by name.

        Raises:
            AttributeError: there is no such attribute.
        """
        self.kind = kind
        for name, value in fields.items():
            if not isinstance(getattr(type(self), name), LabField):
                raise AttributeError(f"{name} is not a field of the lab extension")
            setattr(self, name, value)

    @classmethod
    def get_schema_uri(cls) -> str:
        """Return the URI that `stac_extensions` carries."""
        return SCHEMA_URI

    @classmethod
    def ext(cls, obj: pystac.Item | pystac.Collection, add_if_missing: bool = False) -> "LabExtension":
        """Extend an item or a collection.

        Raises:
            pystac.ExtensionTypeError: it is neither.
            pystac.ExtensionNotImplemented: it does not declare the extension and `add_if_missing` is False.
        """
        if not isinstance(obj, pystac.Item | pystac.Collection):
            raise pystac.ExtensionTypeError(cls._ext_error_message(obj))
        cls.ensure_has_extension(obj, add_if_missing)
        return cls(obj)

    @classmethod
    def summaries(cls, obj: pystac.Collection, add_if_missing: bool = False) -> "SummariesLabExtension":
        """Return typed access to the `lab:` fields in a collection's summaries."""
        cls.ensure_has_extension(obj, add_if_missing)
        return SummariesLabExtension(obj)


class SummariesLabExtension(SummariesExtension):
    """The `lab:` fields in the summaries of a collection: which values its items have."""

    def values(self, field: str) -> list[Any] | None:
        """Return the values that items have in a field such as `lab:dataset_version`."""
        return self.summaries.get_list(field)

    def set_values(self, field: str, values: list[Any] | None) -> None:
        """Set the values that items have in a field; None removes them.

        Raises:
            ValueError: it is not a field of the extension.
        """
        if not field.startswith(PREFIX):
            raise ValueError(f"{field!r} is not a field of the lab extension; those start with {PREFIX}")
        self._set_summary(field, values)


class LabExtensionHooks(ExtensionHooks):
    """Tells pystac of the extension."""

    schema_uri: str = SCHEMA_URI
    prev_extension_ids: set[str] = set()  # noqa: RUF012  # pystac declares the attribute so
    stac_object_types = {pystac.STACObjectType.ITEM, pystac.STACObjectType.COLLECTION}  # noqa: RUF012


LAB_EXTENSION_HOOKS: ExtensionHooks = LabExtensionHooks()
