"""Feature recipes as runs: imagery that is computed from imagery of the catalog, with its formula and its sources."""

import json
from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel, Field

from terralab.catalog.errors import AlreadyExists, InvalidInput
from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import raster_software
from terralab.datasets.recipes.all_recipes import checked_parameters, find_recipe
from terralab.datasets.recipes.derive import derive
from terralab.datasets.recipes.recipe import Plan, Recipe, Source
from terralab.extensions.ids import derived_id
from terralab.extensions.imagery import imagery_collection, scene_item
from terralab.extensions.item import EXTENSION_URIS, Footprint, asset, derived_from
from terralab.extensions.lab import KIND_PROP, PARAMS_PROP, Kind, RunType
from terralab.extensions.raster import BandRecord
from terralab.extensions.record import InvalidRecord, ItemReader
from terralab.flows.in_lab import in_lab
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome, RecordedRun, finished_run, recorded_run

TABLE_ASSET = "table"
_KINDS = (Kind.IMAGERY, Kind.LABELS, Kind.PREDICTION)
_PIXEL_ROLES = {Kind.IMAGERY: "data", Kind.LABELS: "labels-raster", Kind.PREDICTION: "data"}
_CLASS_BAND = BandRecord("class", "uint8", 255)
_COPIED = ("gsd", "platform", "constellation", "instruments")
_LEVEL = "L3"


class FeaturesRequest(BaseModel):
    """Which recipe to do, and on what."""

    recipe: str = Field(description="Name of the recipe.")
    items: list[str] = Field(min_length=1, description="Items to work on, each as `collection/item`.")
    parameters: dict[str, Any] = Field(default={}, description="Of the recipe.")
    collection: str | None = Field(default=None, description="Collection of the results.")


@flow(name="features", description="Compute indices, composites, texture, terrain or zonal statistics from imagery.")
def features(
    recipe: str, items: list[str], parameters: dict[str, Any] | None = None, collection: str | None = None
) -> State[Any]:
    """Do a recipe in the lab that the environment names.

    Args:
        recipe: indices, composite, texture, terrain or zonal.
        items: Items to work on, each as collection/item.
        parameters: Of the recipe; see `terralab features list`.
        collection: Collection of the results; empty for <collection>-<recipe>.
    """
    return in_lab(
        make_features,
        FeaturesRequest,
        recipe=recipe,
        items=items,
        parameters=parameters or {},
        collection=collection,
    )


def make_features(workspace: Workspace, request: FeaturesRequest, progress: Progress) -> Outcome:
    """Compute a recipe's results and publish them as imagery.

    Raises:
        UnknownName: there is no such recipe, item or band.
        InvalidInput: a parameter is wrong, or an item is not what the recipe needs.
        AlreadyExists: the collection holds something else than imagery.
        AssetCorrupt: a file differs from its checksum.
        OutOfSpace: the disk is full.
    """
    recipe = find_recipe(request.recipe)
    told = checked_parameters(recipe, request.parameters)
    items = [_item(workspace, name) for name in dict.fromkeys(request.items)]
    target = request.collection or f"{items[0]['collection']}-{recipe.name}"
    known = workspace.catalog.find_collection(target)
    if known is not None and known.get(KIND_PROP) != Kind.IMAGERY:
        raise AlreadyExists(f"the collection {target} holds no imagery; name another for the results")
    parameters = {**request.model_dump(mode="json"), "parameters": told.model_dump(mode="json"), "collection": target}
    checksums = {f"{item['collection']}/{item['id']}": _pixels(item)[1]["file:checksum"] for item in items}
    run_id = derived_id(f"features-{recipe.name}", checksums, parameters)
    done = finished_run(workspace, run_id)
    if done:
        return done
    groups = [items] if recipe.several else [[item] for item in items]
    with recorded_run(
        workspace,
        RunType.FEATURES,
        run_id,
        footprint=Footprint.union(Footprint.of_item(item) for item in items),
        params=parameters,
        inputs=[derived_from(item) for item in items],
        software=raster_software(),
    ) as run:
        work = _Work(workspace, run, recipe, told, target, progress)
        made = [work.make(group) for group in groups]
        return run.succeed(
            collections=[] if known else [_collection(target, recipe, made)],
            items=made,
            produced=[(target, item["id"]) for item in made],
            metrics={"items": len(made)},
            details={"collection": target},
        )


class _Work:
    """One doing of a recipe."""

    def __init__(
        self, workspace: Workspace, run: RecordedRun, recipe: Recipe, told: Any, target: str, progress: Progress
    ) -> None:
        self._workspace, self._run, self._recipe, self._told = workspace, run, recipe, told
        self._target, self._progress = target, progress

    def make(self, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Compute one result, store it, and return its item."""
        sources = [source_of(self._workspace, item) for item in items]
        plan = self._recipe.plan(sources, self._told)
        inputs = {source.name: _pixels(item)[1]["file:checksum"] for source, item in zip(sources, items, strict=True)}
        told = {"recipe": self._recipe.name, "parameters": self._told.model_dump(mode="json")}
        id = derived_id(f"{self._recipe.name}-{items[0]['id']}", inputs, told)
        self._progress.step(f"{self._recipe.name} {items[0]['id']}")
        with self._workspace.store.scratch() as folder:
            path = folder / f"{id}.tif"
            bands = derive(sources, plan, path, self._progress.advance)
            image = self._workspace.store.put(path)
        item = scene_item(
            id=id,
            collection_id=self._target,
            footprint=Footprint.union(Footprint.of_item(item) for item in items),
            grid=sources[0].grid,
            image=image,
            bands=bands,
            properties=self._properties(items, plan, told),
            links=[*(derived_from(item) for item in items), self._run.link],
        )
        item["stac_extensions"] = sorted({*item["stac_extensions"], EXTENSION_URIS["processing"]})
        if plan.table is not None:
            item["assets"][TABLE_ASSET] = self._table(plan.table())
        return item

    def _properties(self, items: Sequence[dict[str, Any]], plan: Plan, told: dict[str, Any]) -> dict[str, Any]:
        first = items[0]["properties"]
        names = ", ".join(f"{item['collection']}/{item['id']}" for item in items)
        return {
            "title": f"{self._recipe.title}: {items[0]['properties'].get('title') or items[0]['id']}",
            **{name: first[name] for name in _COPIED if name in first},
            "processing:level": _LEVEL,
            "processing:lineage": f"{self._recipe.title} of {names}",
            "processing:software": {**raster_software(), **plan.software},
            PARAMS_PROP: {**told, "formula": dict(plan.formula)},
        }

    def _table(self, table: dict[str, Any]) -> dict[str, Any]:
        content = (json.dumps(table, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
        stored = self._workspace.store.put_bytes(content, f"{TABLE_ASSET}.json")
        return asset(stored, "application/json", ["metadata"], "Statistics by zone")


def source_of(workspace: Workspace, item: dict[str, Any]) -> Source:
    """Return what a recipe sees of an item, its bytes compared with their checksum.

    Raises:
        InvalidInput: the item has no pixels in the lab, or does not say where they lie.
        AssetCorrupt: they are missing or differ.
    """
    kind, entry = _pixels(item)
    name = f"{item['collection']}/{item['id']}"
    try:
        grid = ItemReader(item, kind).own_grid()
    except InvalidRecord as error:
        raise InvalidInput(f"{name}: {error}") from error
    bands = tuple(BandRecord.of_stac(band) for band in entry.get("bands") or ())
    return Source(name, workspace.store.verify(entry["href"]), grid, bands or (_CLASS_BAND,))


def _item(workspace: Workspace, name: str) -> dict[str, Any]:
    collection, slash, id = name.partition("/")
    if not slash or not id:
        raise InvalidInput(f"{name!r} is no item; give each as collection/item")
    return workspace.catalog.item(collection, id)


def _pixels(item: dict[str, Any]) -> tuple[Kind, dict[str, Any]]:
    """Return the item's kind and the asset with its pixels."""
    name = f"{item['collection']}/{item['id']}"
    kind = next((kind for kind in _KINDS if item["properties"].get(KIND_PROP) == kind), None)
    if kind is None:
        raise InvalidInput(f"{name} is neither imagery nor a raster of labels or predictions")
    found = [entry for entry in item["assets"].values() if _PIXEL_ROLES[kind] in (entry.get("roles") or ())]
    if len(found) != 1:
        raise InvalidInput(f"{name} has {len(found)} assets of pixels; recipes work on items that have one")
    if not str(found[0]["href"]).startswith("asset://") or "file:checksum" not in found[0]:
        raise InvalidInput(f"{name}: the pixels are not in the lab; fetch them with `terralab imagery fetch` first")
    return kind, found[0]


def _collection(id: str, recipe: Recipe, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    bands = [BandRecord.of_stac(entry) for entry in items[0]["assets"]["image"]["bands"]]
    return imagery_collection(
        id=id,
        title=f"{recipe.title}: {id}",
        description=f"{recipe.title}, computed from imagery of the lab by `terralab features run {recipe.name}`.",
        footprint=Footprint.union(Footprint.of_item(item) for item in items),
        bands=bands,
    )
