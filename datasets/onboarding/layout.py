"""Finding out from names alone what the files of a folder are: modalities, labels, splits, and what belongs together.

A file's place is cut into parts. Words such as `train` or `val` say the split. What remains is a role, which many
samples share (a folder such as `S2L2A`, or the end of the name such as `_S2Hand`), and a key, which is the sample.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

RASTER_SUFFIXES = (".tif", ".tiff", ".gtiff")
VECTOR_SUFFIXES = (".geojson", ".gpkg", ".geoparquet", ".shp")
SHAPEFILE_PARTS = (".shx", ".dbf", ".prj", ".cpg", ".sbn", ".sbx", ".qix")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".jp2", ".webp", ".gif", ".bmp", ".npy", ".nc", ".h5", ".hdf5", ".zarr")
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "validate"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_LABEL_WORD = re.compile(
    r"(?:^|[^a-z])(?:labels?|masks?|annotations?|gt|ground_?truth|targets?|lulc|landcover|land_cover|seg(?:mentation)?"
    r"|truth|classes|y)(?:$|[^a-z])|labelhand",
)
_IMAGE_WORD = re.compile(r"^(?:images?|imgs?|imagery|scenes?|data|inputs?|features?|training_data|x)$")
_FIRST_WORD = re.compile(r"(images?|img|masks?|labels?|annotations?|gt)[_\-. ](?=.)", re.IGNORECASE)
_SEPARATOR = re.compile(r"[_\-. ]")


@dataclass(frozen=True)
class Placed:
    """One file and what its name says.

    Attributes:
        path: relative to the dataset's folder.
        key: of the sample.
        role: modality or label set.
        split: `train`, `validate` or `test`; None where its place says none.
    """

    path: PurePosixPath
    key: str
    role: str
    split: str | None


def split_of_word(word: str) -> str | None:
    """Return the split that a word such as `val` means."""
    return SPLIT_WORDS.get(word.lower())


def is_label_role(role: str) -> bool:
    """Say whether a role's name is one that labels have."""
    return bool(_LABEL_WORD.search(role.lower()))


def place_files(paths: Iterable[PurePosixPath]) -> list[Placed]:
    """Return what the names of raster or vector files say.

    Args:
        paths: relative to the dataset's folder.
    """
    files = sorted(paths)
    folders = {path: _without_split(path.parent.parts) for path in files}
    endings = _endings([(folders[path], path) for path in files])
    placed = []
    for path in files:
        split = next(filter(None, map(split_of_word, path.parent.parts)), None)
        stem, ending = _cut(path, endings[folders[path]])
        first, stem = _cut_first(stem)
        meaning = [part for part in folders[path] if not _IMAGE_WORD.match(part.lower())]
        role = "/".join([*meaning, *filter(None, (first, ending))])
        placed.append(Placed(path, same_letters(stem), role or _kind(path), split))
    return placed


def same_letters(text: str) -> str:
    """Return a name with its accents written in one way: a Mac's `é` is two letters, elsewhere it is one."""
    return unicodedata.normalize("NFC", text)


def by_role(placed: Sequence[Placed]) -> dict[str, dict[str, list[Placed]]]:
    """Return the files by role, then by key."""
    found: dict[str, dict[str, list[Placed]]] = defaultdict(lambda: defaultdict(list))
    for entry in placed:
        found[entry.role][entry.key].append(entry)
    return {role: dict(files) for role, files in sorted(found.items())}


def split_lines(text: str) -> list[str]:
    """Return the sample names of a split file: one a line, or the first cell of a table."""
    names = [re.split(r"[,;\t]", line.strip(), maxsplit=1)[0].strip().strip('"') for line in text.splitlines()]
    return [name for name in names if name and not name.startswith("#")]


def split_of_file(name: str) -> str | None:
    """Return which split a file such as `train.txt`, `val_data.txt` or `flood_test.csv` lists."""
    words = _SEPARATOR.split(PurePosixPath(name).stem.lower())
    return next(filter(None, map(split_of_word, words)), None)


def match_names(names: Sequence[str], keys: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return key → line of the split file for the keys that a line names, and the lines that name none.

    A line names a key where it is the key, the file name of one of its files, or where it begins with the key and a
    separator (or the other way round), as TerraTorch reads split files.
    """
    known = set(keys)
    longest = sorted(known, key=len, reverse=True)
    found, unknown = {}, []
    for name in names:
        stem = same_letters(PurePosixPath(name.replace("\\", "/")).name)
        key = (
            stem if stem in known else next((key for key in longest if _begins(stem, key) or _begins(key, stem)), None)
        )
        if key is None:
            unknown.append(name)
        else:
            found[key] = name
    return found, unknown


def _begins(text: str, start: str) -> bool:
    return text.startswith(start) and bool(_SEPARATOR.match(text[len(start) :]))


def _without_split(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for part in parts if split_of_word(part) is None)


def _endings(files: Sequence[tuple[tuple[str, ...], PurePosixPath]]) -> Mapping[tuple[str, ...], frozenset[str]]:
    """Return for each folder the last words of names that say a role: shared by files, or beside a name without one."""
    names: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for folder, path in files:
        names[folder].append(same_letters(path.stem))
    return {folder: frozenset(_shared_endings(stems)) for folder, stems in names.items()}


def _shared_endings(stems: Sequence[str]) -> set[str]:
    whole = set(stems)
    starts: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for stem in stems:
        start, ending = _last_word(stem)
        if ending and not ending.isdigit():
            starts[start].add(ending)
            counts[ending] += 1
    several = {ending for start, found in starts.items() if len(found) > 1 or start in whole for ending in found}
    everywhere = {ending for ending, count in counts.items() if count == len(stems) and len(stems) > 1}
    return several | everywhere


def _last_word(stem: str) -> tuple[str, str]:
    cuts = [match.start() for match in _SEPARATOR.finditer(stem)]
    return (stem[: cuts[-1]], stem[cuts[-1] + 1 :]) if cuts and cuts[-1] else (stem, "")


def _cut(path: PurePosixPath, endings: frozenset[str]) -> tuple[str, str]:
    start, ending = _last_word(same_letters(path.stem))
    return (start, ending) if ending in endings else (path.stem, "")


def _cut_first(stem: str) -> tuple[str, str]:
    """Cut a first word that says what a file is, as in `mask_01` beside `image_01`; an image needs no role."""
    match = _FIRST_WORD.match(stem)
    if match is None:
        return "", stem
    word = match[1]
    return ("" if _IMAGE_WORD.match(word.lower()) else word), stem[match.end() :]


def _kind(path: PurePosixPath) -> str:
    return "labels" if path.suffix.lower() in VECTOR_SUFFIXES else "image"
