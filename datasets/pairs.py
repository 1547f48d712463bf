"""Pairing images with their labels by file name.

A stem is cut into tokens at `_`, `-`, `.` and blanks. Tokens that every image has and no label has (such as `S2Hand`),
and those of the labels alone (`LabelHand`, `mask`), say what a file is, not which; the rest is the key, and the files
with the same key belong together. Tokens of digits alone always belong to the key.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_SEPARATORS = re.compile(r"[_\-. ]+")


def pair_files(images: Sequence[Path], labels: Sequence[Path]) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Return (image, label) pairs in the order of the images, and what could not be paired, one line a file.

    Args:
        images: at least one file.
        labels: at least one file.
    """
    image_keys, label_keys = _keys(images, labels), _keys(labels, images)
    problems = [*_ambiguous(images, image_keys, "images"), *_ambiguous(labels, label_keys, "labels")]
    problems += _partnerless(images, image_keys, set(label_keys), "image", "label")
    problems += _partnerless(labels, label_keys, set(image_keys), "label", "image")
    label_of = dict(zip(label_keys, labels, strict=True))
    return [
        (path, label_of[key]) for path, key in zip(images, image_keys, strict=True) if key and key in label_of
    ], problems


def _keys(files: Sequence[Path], others: Sequence[Path]) -> list[tuple[str, ...]]:
    tokens = [_tokens(path) for path in files]
    elsewhere = {token for path in others for token in _tokens(path)}
    role = {token for token in set.intersection(*map(set, tokens)) if token not in elsewhere and not token.isdigit()}
    return [tuple(token for token in own if token not in role) for own in tokens]


def _tokens(path: Path) -> tuple[str, ...]:
    return tuple(token for token in _SEPARATORS.split(path.stem) if token)


def _ambiguous(files: Sequence[Path], keys: Sequence[tuple[str, ...]], what: str) -> list[str]:
    twice = [key for key, count in Counter(keys).items() if count > 1 and key]
    return [
        f"{', '.join(path.name for path, own in zip(files, keys, strict=True) if own == key)}: these {what} have the"
        f" same key '{'_'.join(key)}', so their partner is ambiguous; rename them"
        for key in twice
    ]


def _partnerless(
    files: Sequence[Path], keys: Sequence[tuple[str, ...]], others: set[tuple[str, ...]], what: str, other: str
) -> list[str]:
    return [
        f"{path.name}: no {other} belongs to this {what}; name both alike but for a word such as `mask`"
        for path, key in zip(files, keys, strict=True)
        if not key or key not in others
    ]
