"""Reading a dataset in whatever form it is: which form that is, and its reader."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path, PurePosixPath

import orjson

from terralab.catalog.errors import InvalidInput
from terralab.datasets.onboarding.card import Card, read_card
from terralab.datasets.onboarding.file_list import list_files, read_text
from terralab.datasets.onboarding.forms import coco, eotdl, folder, geostudio, hugging_face, labels_only, static_stac
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.layout import RASTER_SUFFIXES, VECTOR_SUFFIXES
from terralab.datasets.onboarding.samples import About, SampleTable

_Reader = Callable[[Path, Sequence[PurePosixPath], Hints], SampleTable]
_OF_FOLDERS: dict[str, _Reader] = {
    folder.FORM: folder.read,
    folder.WITH_SPLITS: folder.read,
    static_stac.FORM: static_stac.read,
    hugging_face.FORM: hugging_face.read,
    coco.FORM: coco.read,
    labels_only.FORM: labels_only.read,
}
FORMS = (*_OF_FOLDERS, eotdl.FORM, geostudio.FORM, static_stac.GEOPARQUET)
"""Names of all forms."""

_PARQUET = (".parquet", ".geoparquet")


def read_table(path: Path, hints: Hints, form: str | None = None) -> SampleTable:
    """Read a dataset.

    Args:
        path: folder, or file such as a GeoJSON; archives are unpacked before.
        hints: what the user says of the files.
        form: name of the form; None to find it.

    Raises:
        InvalidInput: or one of its kinds: the form cannot be found, or it is not of the form that is named.
    """
    if form is not None and form not in FORMS:
        raise InvalidInput(f"there is no form {form!r}; the forms are {', '.join(FORMS)}")
    if path.is_file():
        return _read_file(path, hints, form)
    files = list_files(path, hints.limits)
    card = read_card(path, hints.limits)
    return _read_folder(path, files, card, hints, form)


def _read_file(path: Path, hints: Hints, form: str | None) -> SampleTable:
    suffix = path.suffix.lower()
    if form == geostudio.FORM or (suffix == ".json" and geostudio.is_payload(_document(path, hints))):
        return geostudio.read(path, hints)
    if form == static_stac.GEOPARQUET or (suffix in _PARQUET and form is None and _has_items(path)):
        return static_stac.read_geoparquet_items(path, hints)
    if form == static_stac.FORM or static_stac.root_of(path.parent) == path:
        return static_stac.read(path.parent, (), hints)
    if form in (None, labels_only.FORM) and suffix in (*VECTOR_SUFFIXES, *RASTER_SUFFIXES, ".json", ".parquet"):
        return labels_only.read(path, (), hints)
    raise InvalidInput(
        f"{path.name}: neither a folder nor an archive, GEOStudio's JSON, stac-geoparquet, or a file of labels"
    )


def _read_folder(
    path: Path, files: Sequence[PurePosixPath], card: Card | None, hints: Hints, form: str | None
) -> SampleTable:
    wanted = form or _form_of(path, files, card, hints)
    if wanted == eotdl.FORM:
        table = _read_folder(path, eotdl.own_files(files), card, hints, _form_of(path, files, None, hints))
        return eotdl.check(path, replace(table, form=eotdl.FORM), hints)
    if wanted not in _OF_FOLDERS:
        raise InvalidInput(f"{path.name}: the form {wanted} is that of a file; give the file and not its folder")
    table = _OF_FOLDERS[wanted](path, files, hints)
    if form == folder.WITH_SPLITS:
        table = replace(table, form=form)
    return table if card is None else replace(table, about=_filled(table.about, card.about()))


def _form_of(path: Path, files: Sequence[PurePosixPath], card: Card | None, hints: Hints) -> str:
    """Return the form of a folder: by what only that form has."""
    if hints.modalities:
        return folder.FORM
    if card is not None and card.is_eotdl:
        return eotdl.FORM
    if static_stac.root_of(path) is not None:
        return static_stac.FORM
    if coco.annotation_files(path, files, hints):
        return coco.FORM
    if not hints.labels and hugging_face.has_form(files):
        return hugging_face.FORM
    found = folder.arrange(files, hints)
    return folder.FORM if found.images or not (found.labels or found.everywhere) else labels_only.FORM


def _filled(about: About, card: About) -> About:
    """Return what the source says of itself, with what its card says where the source is silent."""
    values = {entry.name: getattr(about, entry.name) or getattr(card, entry.name) for entry in fields(About)}
    return About(**values)


def _document(path: Path, hints: Hints) -> object:
    try:
        return orjson.loads(read_text(path, hints.limits))
    except orjson.JSONDecodeError:
        return None  # the reader of labels says what is wrong with it


def _has_items(path: Path) -> bool:
    from pyarrow import ArrowException, parquet

    try:
        return {"assets", "stac_version", "id"} <= set(parquet.read_schema(path).names) | {"stac_version"}
    except (ArrowException, OSError):
        return False
