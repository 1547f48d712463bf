"""Folders of files: modalities, labels and splits by folder and by name, as TerraTorch and most people lay them out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from terralab.catalog.errors import InvalidInput
from terralab.datasets.onboarding.file_list import read_text
from terralab.datasets.onboarding.findings import Finding, error, note, warning
from terralab.datasets.onboarding.hints import Hints, Pattern
from terralab.datasets.onboarding.layout import (
    PICTURE_SUFFIXES,
    RASTER_SUFFIXES,
    SHAPEFILE_PARTS,
    VECTOR_SUFFIXES,
    Placed,
    by_role,
    is_label_role,
    match_names,
    place_files,
    split_lines,
    split_of_file,
    split_of_word,
)
from terralab.datasets.onboarding.samples import SOLE, Label, Modality, RasterLabel, Sample, SampleTable, VectorLabel
from terralab.extensions.chips import Task

FORM = "folder"
WITH_SPLITS = "terratorch"
_LISTS = (".txt", ".csv")
_SHOWN = 5
_FIRST = ("s2l2a", "s2l1c", "s2", "s2hand", "hls_l30", "hls_s30", "s1rtc", "s1grd", "s1", "s1hand")
_Files = Mapping[str, dict[str, list[Placed]]]


@dataclass(frozen=True)
class Arrangement:
    """What the names of a folder's files say.

    Attributes:
        images: files by modality, then by sample.
        labels: label files by sample; None where there are no labels.
        everywhere: files of outlines that belong to all samples.
        unused: files that are neither.
        findings: what was noticed.
    """

    images: _Files
    labels: dict[str, list[Placed]] | None
    everywhere: tuple[PurePosixPath, ...]
    unused: tuple[PurePosixPath, ...]
    findings: tuple[Finding, ...]


def read(root: Path, files: Sequence[PurePosixPath], hints: Hints) -> SampleTable:
    """Read a folder of images and labels.

    Args:
        root: the folder.
        files: what is in it, relative to it.
        hints: what the user says of the files.
    """
    found = arrange(files, hints)
    findings = list(found.findings)
    names = _sample_names(found)
    samples = _samples(root, found, names, findings)
    samples, listed = _with_split_files(root, files, samples, hints, findings)
    modalities = tuple(Modality(name) for name in found.images)
    form = WITH_SPLITS if listed else FORM
    table = SampleTable(
        form, root, tuple(samples), modalities, hints.task or Task.SEGMENTATION, findings=tuple(findings)
    )
    return table


def arrange(files: Sequence[PurePosixPath], hints: Hints) -> Arrangement:
    """Return what the names of files say; nothing is opened."""
    findings: list[Finding] = []
    usable = [path for path in files if path.suffix.lower() in (*RASTER_SUFFIXES, *VECTOR_SUFFIXES)]
    placed = _by_patterns(files, hints) if hints.modalities else by_role(place_files(usable))
    label_role = _label_role(placed, hints, findings)
    labels = placed.get(label_role) if label_role else None
    images = {
        role: entries for role, entries in placed.items() if role != label_role and not _is_vector(entries)
    }  # fmt: skip
    if labels and images and not hints.modalities:
        # A role that shares no sample with the labels is something else: a preview, a manual, a map of the area.
        related = {
            role: entries for role, entries in images.items() if _is_vector(labels) or set(entries) & set(labels)
        }
        images = related or images
    everywhere: tuple[PurePosixPath, ...] = ()
    if (
        labels
        and _is_vector(labels)
        and images
        and not set(labels) & {key for entries in images.values() for key in entries}
    ):
        everywhere = tuple(entry.path for entries in labels.values() for entry in entries)
        labels = {}
    named = _named(images)
    used = {entry.path for group in (*named.values(), labels or {}) for entries in group.values() for entry in entries}
    unused = tuple(path for path in files if path not in used and path not in everywhere)
    _tell_unused(unused, findings)
    return Arrangement(named, labels, everywhere, unused, tuple(findings))


def _by_patterns(files: Sequence[PurePosixPath], hints: Hints) -> _Files:
    patterns = {**hints.modalities, **({"labels": hints.labels} if hints.labels else {})}
    found: dict[str, dict[str, list[Placed]]] = {}
    taken: set[PurePosixPath] = set()
    # Labels first: `*.tif` for the images may well match `x_mask.tif` too.
    for name in sorted(patterns, key=lambda name: name != "labels"):
        pattern = Pattern(patterns[name])
        entries: dict[str, list[Placed]] = defaultdict(list)
        for path in files:
            key = None if path in taken else pattern.key(path)
            if key is not None:
                split = next(filter(None, map(split_of_word, path.parent.parts)), None)
                entries[key].append(Placed(path, key, name, split))
                taken.add(path)
        if not entries:
            raise InvalidInput(f"no file matches the pattern {pattern.text!r} of {name}")
        found[name] = dict(entries)
    return {name: found[name] for name in patterns}


def _label_role(placed: _Files, hints: Hints, findings: list[Finding]) -> str | None:
    """Return which role is the labels."""
    if hints.labels:
        if hints.modalities:
            return "labels"
        wanted = hints.labels.lower().strip("/*_. ")
        roles = [role for role in placed if wanted in (role.lower(), *role.lower().split("/"))]
        if len(roles) != 1:
            raise InvalidInput(
                f"--labels {hints.labels!r} is none of what the files are: {', '.join(placed) or 'nothing'}"
            )
        return roles[0]
    likely = [role for role in placed if is_label_role(role) or _is_vector(placed[role])]
    if len(likely) > 1:
        findings.append(
            error("labels", f"several files may be the labels: {', '.join(likely)}; say which with --labels")
        )
    return likely[0] if likely else None


def _is_vector(entries: Mapping[str, list[Placed]]) -> bool:
    return all(entry.path.suffix.lower() in VECTOR_SUFFIXES for found in entries.values() for entry in found)


def _named(images: _Files) -> dict[str, dict[str, list[Placed]]]:
    """Return the roles under short names, the reference first."""
    short = {role: role.split("/")[0] for role in images}
    if len(set(short.values())) < len(short):
        short = {role: role.split("/")[-1] for role in images}
    if len(set(short.values())) < len(short):
        short = {role: role.replace("/", "_") for role in images}
    if len(images) == 1:
        role = next(iter(images))
        short = {role: short[role] if short[role].lower() in _FIRST else SOLE}
    rank = {name: place for place, name in enumerate(_FIRST)}
    ordered = sorted(images, key=lambda role: (rank.get(short[role].lower(), len(rank)), short[role]))
    return {short[role]: dict(images[role]) for role in ordered}


def _sample_names(found: Arrangement) -> dict[tuple[str, str | None], str]:
    """Return the sample's name by key and split: where two splits have a file of one name, they are two samples."""
    groups = [*found.images.values(), *([found.labels] if found.labels else [])]
    places = {(entry.key, entry.split) for group in groups for entries in group.values() for entry in entries}
    several = len({key for key, _ in places}) < len(places)
    return {
        (key, split): f"{split}_{key}" if several and split else key
        for key, split in sorted(places, key=lambda place: (place[0], place[1] or ""))
    }


def _samples(
    root: Path, found: Arrangement, names: Mapping[tuple[str, str | None], str], findings: list[Finding]
) -> list[Sample]:
    images: dict[str, dict[str, Path]] = defaultdict(dict)
    splits: dict[str, str | None] = {}
    for modality, group in found.images.items():
        for entry in _each_once(group, names, findings):
            name = names[entry.key, entry.split]
            images[name][modality], splits[name] = root / entry.path, entry.split
    labels: dict[str, Label] = {}
    for entry in _each_once(found.labels or {}, names, findings):
        path = root / entry.path
        is_raster = entry.path.suffix.lower() in RASTER_SUFFIXES
        labels[names[entry.key, entry.split]] = RasterLabel(path) if is_raster else VectorLabel((path,))
    if found.everywhere:
        shared = VectorLabel(tuple(root / path for path in found.everywhere))
        labels = dict.fromkeys(images, shared)
    _tell_partnerless(found, images, labels, findings)
    return [
        Sample(name, images[name], labels.get(name), split=splits[name])
        for name in sorted(images)
        if name in labels or not labels
    ]


def _each_once(
    group: Mapping[str, list[Placed]], names: Mapping[tuple[str, str | None], str], findings: list[Finding]
) -> list[Placed]:
    """Return one file for each sample; two are an error."""
    seen: dict[str, Placed] = {}
    for entry in (entry for entries in group.values() for entry in entries):
        other = seen.setdefault(names[entry.key, entry.split], entry)
        if other is not entry:
            findings.append(error("ambiguous", f"{other.path}, {entry.path}: both are {entry.role} of {entry.key!r};"
                                  " rename or remove one"))  # fmt: skip
    return list(seen.values())


def _tell_partnerless(
    found: Arrangement, images: Mapping[str, Mapping[str, Path]], labels: Mapping[str, Label], findings: list[Finding]
) -> None:
    for name, own in images.items():
        missing = [modality for modality in found.images if modality not in own]
        shown = next(iter(own.values())).name
        if missing:
            findings.append(error("no_partner", f"{shown}: {name!r} has no {', '.join(missing)}; add it, or remove"
                                  " the sample's other files"))  # fmt: skip
        if labels and name not in labels:
            findings.append(error("no_partner", f"{shown}: no label belongs to this image; name both alike but for"
                                  " a word such as `mask`"))  # fmt: skip
    for name, label in labels.items():
        if name not in images and isinstance(label, RasterLabel):
            findings.append(error("no_partner", f"{label.path.name}: no image belongs to this label; name both alike"
                                  " but for a word such as `mask`"))  # fmt: skip
        if name not in images and isinstance(label, VectorLabel):
            findings.append(
                error("no_partner", f"{label.paths[0].name}: no image belongs to this label; name both alike")
            )


def _with_split_files(
    root: Path, files: Sequence[PurePosixPath], samples: Sequence[Sample], hints: Hints, findings: list[Finding]
) -> tuple[list[Sample], bool]:
    """Return the samples with the splits that lists such as `train.txt` give, and whether there is such a list."""
    lists = [path for path in files if path.suffix.lower() in _LISTS and split_of_file(path.name)]
    assigned: dict[str, tuple[str, str]] = {}
    for path in lists:
        split = split_of_file(path.name)
        assert split is not None  # selected above
        found, unknown = match_names(
            split_lines(read_text(root / path, hints.limits)), [sample.name for sample in samples]
        )
        if unknown and not found:
            continue  # a list of something else
        if unknown:
            shown = ", ".join(unknown[:_SHOWN])
            findings.append(warning("split", f"{path}: names {len(unknown)} samples that are not there: {shown}"))
        for name in found:
            other, where = assigned.setdefault(name, (split, str(path)))
            if other != split:
                findings.append(
                    error("split", f"{name}: is in {other} by {where} and in {split} by {path}; a sample has one split")
                )
    if not assigned:
        return list(samples), False
    return [replace(s, split=assigned[s.name][0] if s.name in assigned else None) for s in samples], True


def _tell_unused(unused: Sequence[PurePosixPath], findings: list[Finding]) -> None:
    pictures = [path for path in unused if path.suffix.lower() in PICTURE_SUFFIXES]
    if pictures:
        findings.append(warning("no_georeference", f"{len(pictures)} files are no GeoTIFFs and are left out, such as"
                                f" {pictures[0]}; the lab needs georeferenced GeoTIFFs"))  # fmt: skip
    rest = [str(path) for path in unused if not _is_beside_the_data(path)]
    if rest:
        more = " …" if len(rest) > _SHOWN else ""
        findings.append(note("unused", f"{len(rest)} files are not used: {', '.join(rest[:_SHOWN])}{more}"))


def _is_beside_the_data(path: PurePosixPath) -> bool:
    suffix = path.suffix.lower()
    is_list = suffix in _LISTS and split_of_file(path.name) is not None
    return is_list or path.name == "README.md" or suffix in (*PICTURE_SUFFIXES, *SHAPEFILE_PARTS)
