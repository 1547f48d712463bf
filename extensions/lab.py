"""The `lab:` extension: what no published STAC extension says about runs, versions, splits and quality.

Documented in `docs/lab-extension.md`; its JSON Schema is `schemas/lab.json`, packaged with this module.
"""

import json
from enum import StrEnum
from importlib.resources import files
from typing import Any, Literal, cast

import pystac
from pystac.extensions.base import ExtensionManagementMixin, PropertiesExtension
from pystac.extensions.hooks import ExtensionHooks

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
ALIASES_PROP = PREFIX + "aliases"

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

    ONBOARD = "onboard"
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


def load_schema() -> dict[str, Any]:
    """Return the JSON Schema of the extension."""
    text = files("terralab.extensions").joinpath("schemas/lab.json").read_text(encoding="utf-8")
    return cast(dict[str, Any], json.loads(text))


class LabExtension(PropertiesExtension, ExtensionManagementMixin[pystac.Item | pystac.Collection]):
    """Typed access to the `lab:` fields of a pystac item: `LabExtension.ext(item).kind`."""

    name: Literal["lab"] = "lab"

    def __init__(self, item: pystac.Item) -> None:
        self.item = item
        self.properties = item.properties

    @property
    def kind(self) -> Kind:
        """What the item is."""
        return Kind(self.properties[KIND_PROP])

    @property
    def status(self) -> RunStatus | None:
        """The status of a run; None for other kinds."""
        value = self.properties.get(STATUS_PROP)
        return RunStatus(value) if value else None

    @property
    def metrics(self) -> dict[str, float]:
        """Flat metrics, such as `test_miou`."""
        return cast(dict[str, float], self.properties.get(METRICS_PROP, {}))

    @property
    def params(self) -> dict[str, Any]:
        """The parameters that the object was made with."""
        return cast(dict[str, Any], self.properties.get(PARAMS_PROP, {}))

    @classmethod
    def get_schema_uri(cls) -> str:
        """Return the URI that `stac_extensions` carries."""
        return SCHEMA_URI

    @classmethod
    def ext(cls, obj: pystac.Item, add_if_missing: bool = False) -> "LabExtension":
        """Extend an item.

        Raises:
            pystac.ExtensionNotImplemented: the item does not declare the extension and `add_if_missing` is False.
        """
        cls.ensure_has_extension(obj, add_if_missing)
        return cls(obj)


class LabExtensionHooks(ExtensionHooks):
    """Tells pystac of the extension."""

    schema_uri: str = SCHEMA_URI
    prev_extension_ids: set[str] = set()  # noqa: RUF012  # pystac declares the attribute so
    stac_object_types = {pystac.STACObjectType.ITEM, pystac.STACObjectType.COLLECTION}  # noqa: RUF012


LAB_EXTENSION_HOOKS: ExtensionHooks = LabExtensionHooks()
