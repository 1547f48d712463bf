"""Prediction: a catalogued model looks at scenes of the catalog, of an area and time, or at a user's file."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel, Field, model_validator

from terralab.catalog.errors import InvalidInput
from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import raster_software
from terralab.extensions.ids import derived_id
from terralab.extensions.item import Footprint, derived_from
from terralab.extensions.lab import CLASS_COUNTS_PROP, METRICS_PROP, RunType
from terralab.extensions.model import read_model_classes, read_model_input
from terralab.extensions.prediction import predictions_collection
from terralab.extensions.raster import ClassDefinition
from terralab.flows.in_lab import in_lab
from terralab.flows.inference.inputs import Inputs, find_inputs, stored_upload
from terralab.flows.inference.models import find_model, training_data
from terralab.flows.inference.network import NetworkLoader, load_torch_network, model_network
from terralab.flows.inference.prediction_job import Recipe, area_metric, predict_source
from terralab.flows.inference.resolution import pixel_metres
from terralab.flows.inference.source import Source
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome, RecordedRun, finished_run, recorded_run

_LARGEST_OVERLAP = 32  # pixels; more costs time and changes next to nothing
_RESOLUTION_TOLERANCE = 1.1


class PredictRequest(BaseModel):
    """Which model looks at what, and how."""

    model: str = Field(
        min_length=1, description="`models/<id>`, `<id>`, a name (its newest version) or `<name>@<alias>`."
    )
    items: list[str] = Field(default_factory=list, description="Scenes, each as `<collection>/<item>`.")
    file: str | None = Field(default=None, description="A GeoTIFF: pattern in the inbox, or path in a source folder.")
    bbox: list[float] | None = Field(default=None, description="West, south, east, north in degrees.")
    datetime: str | None = Field(default=None, description="Time of the scenes in `bbox`, or of the file.")
    overlap: float | None = Field(
        default=None,
        ge=0,
        description="Pixels that windows share; below 1 a share of the window; a quarter, at most 32.",
    )
    crop: int | None = Field(default=None, ge=16, le=4096, description="Rows of a window; the model's chip size.")
    batch_size: int = Field(default=8, ge=1, le=1024, description="Windows at once; it changes the speed only.")
    probability: bool = Field(default=False, description="Write the probability of the predicted class too.")
    bands: list[str] | None = Field(default=None, description="Names of the file's bands, in order.")

    @model_validator(mode="after")
    def _has_one_source(self) -> "PredictRequest":
        if sum(map(bool, (self.items, self.file, self.bbox))) != 1:
            raise ValueError("give one of items, file and bbox")
        if self.bands is not None and not self.file:
            raise ValueError("bands names the bands of a file; give file, or leave bands out")
        if self.bbox is None:
            return self
        if not self.datetime:
            raise ValueError("bbox needs a datetime: a day, a time, or a range with '/'")
        if len(self.bbox) != 4:
            raise ValueError(f"bbox {self.bbox} must have four numbers: west, south, east, north")
        west, south, east, north = self.bbox
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError(
                f"bbox {self.bbox} must be west < east and south < north in degrees; cut a box at 180° in two"
            )
        return self


@flow(name="predict", description="Model and imagery → a class map with its provenance.")
def predict(
    model: str,
    items: list[str] = [],  # noqa: B006  # Prefect reads the default for its form; nothing changes it
    file: str | None = None,
    bbox: list[float] | None = None,
    datetime: str | None = None,
    overlap: float | None = None,
    crop: int | None = None,
    batch_size: int = 8,
    probability: bool = False,
    bands: list[str] | None = None,
) -> State[Any]:
    """Predict in the lab that the environment names; give one of items, file and bbox.

    Args:
        model: `models/<id>`, `<id>`, a model's name (its newest version), or `<name>@<alias>`.
        items: scenes, each as `<collection>/<item>`.
        file: a GeoTIFF: pattern in the inbox, or path in a source folder.
        bbox: west, south, east, north in degrees.
        datetime: time of the scenes in the box, or of the file: a day, a time, or a range with `/`.
        overlap: pixels that windows share; below 1 a share of them; by default a quarter of a window, at most 32.
        crop: rows and columns of a window, pixels; by default the model's chip size.
        batch_size: windows that go through the network at once; it changes the speed only.
        probability: write the probability of the predicted class too.
        bands: names of the file's bands, in order; by default its band descriptions.
    """
    return in_lab(
        predict_scenes,
        PredictRequest,
        model=model,
        items=items,
        file=file,
        bbox=bbox,
        datetime=datetime,
        overlap=overlap,
        crop=crop,
        batch_size=batch_size,
        probability=probability,
        bands=bands,
    )


def predict_scenes(
    workspace: Workspace, request: PredictRequest, progress: Progress, load: NetworkLoader = load_torch_network
) -> Outcome:
    """Predict every scene that the request names; each becomes an item of `<model name>-predictions`.

    Args:
        workspace: the lab.
        request: what to do.
        progress: who watches.
        load: makes the network of a model's config and weights.

    Raises:
        InvalidInput: or one of its kinds: unknown model or item, missing bands, nothing to predict on, too many pixels.
        AssetCorrupt: weights or imagery differ from their checksums.
    """
    recipe = _recipe(find_model(workspace.catalog, request.model), request)
    inputs = find_inputs(
        workspace,
        recipe.model_input.bands,
        items=request.items,
        file=request.file,
        bbox=request.bbox,
        period=request.datetime,
        file_bands=request.bands,
    )
    params = request.model_dump(mode="json", exclude={"batch_size"}) | {"crop": recipe.crop, "overlap": recipe.overlap}
    run_id = derived_id(
        f"predict-{recipe.model['id'][:80]}", {**recipe.model_checksums, "sources": inputs.identities()}, params
    )
    if done := finished_run(workspace, run_id):
        return done
    with recorded_run(
        workspace,
        RunType.PREDICT,
        run_id,
        footprint=inputs.footprint(),
        params=params,
        inputs=[derived_from(recipe.model), *(derived_from(source.item) for source in inputs.sources)],
        software=inference_software(),
    ) as run:
        if inputs.upload is not None:
            progress.step("upload")
            inputs = stored_upload(workspace, inputs.upload, recipe.model_input.bands, run.link)
            run.record.inputs = [*run.record.inputs, *(derived_from(source.item) for source in inputs.sources)]
        predictions = _predictions(run, recipe, inputs.sources, progress, load)
        return _publish(run, recipe, inputs, predictions, progress)


def inference_software() -> dict[str, str]:
    """Return name and version of what predictions depend on."""
    return {**raster_software(), "torch": version("torch"), "terratorch": version("terratorch")}


def _recipe(model: dict[str, Any], request: PredictRequest) -> Recipe:
    model_input = read_model_input(model)
    crop = request.crop or model_input.size
    wanted = min(_LARGEST_OVERLAP, crop // 4) if request.overlap is None else request.overlap
    overlap = round(wanted * crop) if 0 < wanted < 1 else round(wanted)
    if overlap > crop // 2:
        raise InvalidInput(f"overlap {request.overlap}: at most half a window of {crop} pixels, {crop // 2}")
    return Recipe(model, model_input, read_model_classes(model), crop, overlap, request.probability, request.batch_size)


def _predictions(
    run: RecordedRun, recipe: Recipe, sources: Sequence[Source], progress: Progress, load: NetworkLoader
) -> list[tuple[dict[str, Any], bool]]:
    """Return the prediction of each source, and whether it was there before."""
    catalog, store = run.workspace.catalog, run.workspace.store
    known = [catalog.find_item(recipe.collection, recipe.id_for(source)) for source in sources]
    total = sum(source.grid.shape[0] for source, found in zip(sources, known, strict=True) if not found)
    if total:
        progress.step("load model")
        network = model_network(store, dict(recipe.model), load)
        progress.step("predict")
    predictions, done = [], 0
    for source, found in zip(sources, known, strict=True):
        item = found or predict_source(
            store,
            recipe,
            source,
            network,
            run_link=run.link,
            software=run.record.software,
            on_rows=lambda rows, before=done: progress.advance(before + rows, total),  # type: ignore[misc]
        )
        done += 0 if found else source.grid.shape[0]
        predictions.append((item, found is not None))
    return predictions


def _publish(
    run: RecordedRun,
    recipe: Recipe,
    inputs: Inputs,
    predictions: Sequence[tuple[dict[str, Any], bool]],
    progress: Progress,
) -> Outcome:
    progress.step("publish")
    items = [item for item, _ in predictions]
    rows = [row for item in items for row in _area_rows(item, recipe.classes)]
    progress.table("areas", "Area of the classes", rows)
    title = f"Predictions of {recipe.model['properties']['mlm:name']}"
    collection = predictions_collection(
        id=recipe.collection,
        title=title,
        description=f"{title}, one item per scene.",
        footprint=Footprint.union(Footprint.of_item(item) for item in items),
        classes=recipe.classes,
    )
    outcome = run.succeed(
        collections=[*inputs.collections, collection],
        items=[*inputs.new, *(item for item, reused in predictions if not reused)],
        produced=[(item["collection"], item["id"]) for item in items],
        metrics=_total(items),
        details=_details(run.workspace, recipe, inputs.sources, predictions),
    )
    for place, item in enumerate(items):
        progress.image(f"prediction-{place}", item["id"], item["assets"]["thumbnail"]["href"])
    return outcome


def _area_rows(item: dict[str, Any], classes: Sequence[ClassDefinition]) -> list[dict[str, Any]]:
    counts, metrics = item["properties"][CLASS_COUNTS_PROP], item["properties"][METRICS_PROP]
    total = sum(counts.values())
    return [
        {
            "prediction": item["id"],
            "class": entry.name,
            "pixels": counts[entry.name],
            "share": round(counts[entry.name] / total, 4),
            "km2": round(metrics[area_metric(entry)], 4),
            "ha": round(100 * metrics[area_metric(entry)], 2),
        }
        for entry in classes
    ]


def _total(items: Sequence[dict[str, Any]]) -> dict[str, float]:
    metrics = [item["properties"][METRICS_PROP] for item in items]
    return {name: sum(part[name] for part in metrics) for name in metrics[0]}


def _details(
    workspace: Workspace,
    recipe: Recipe,
    sources: Sequence[Source],
    predictions: Sequence[tuple[dict[str, Any], bool]],
) -> dict[str, Any]:
    return {
        "model": f"models/{recipe.model['id']}",
        "predictions": [f"{item['collection']}/{item['id']}" for item, _ in predictions],
        "scenes": [source.name for source in sources],
        "reused": [item["id"] for item, reused in predictions if reused],
        "crop": recipe.crop,
        "overlap": recipe.overlap,
        "warnings": _resolution_warnings(training_data(workspace, recipe.model).metres, sources),
    }


def _resolution_warnings(trained: float | None, sources: Sequence[Source]) -> list[str]:
    """Return a line for each scene whose pixels are of another size than those that the model has learnt from."""
    warnings = []
    for source in sources:
        seen = pixel_metres(source.item)
        if trained and seen and max(seen / trained, trained / seen) > _RESOLUTION_TOLERANCE:
            warnings.append(f"{source.name} has pixels of {seen:.3g} m, the model has learnt from {trained:.3g} m")
    return warnings
