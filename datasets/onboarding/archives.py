"""Unpacking zip and tar archives that nobody trusts.

Everything is judged by the list of members before a byte is written: how many there are, how large they say they are,
where they would go, and what they are. While unpacking, a member may not grow beyond what it said.
"""

import lzma
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from terralab.catalog.errors import InvalidInput, TooLarge
from terralab.catalog.store import disk_full_as_error
from terralab.datasets.onboarding.file_list import is_ignored
from terralab.datasets.onboarding.limits import Limits

_CHUNK = 1 << 20
_UTF8_FLAG, _ENCRYPTED_FLAG = 0x800, 0x1
_TAR_MAGIC_AT = 257
_LONGEST_PART = 255
# What zipfile and tarfile raise for methods and header fields that they cannot read.
_UNREADABLE = (NotImplementedError, ValueError)


@dataclass(frozen=True)
class Member:
    """One file of an archive.

    Attributes:
        path: where it is to go, relative to the target.
        size: unpacked bytes, as the archive says.
    """

    path: PurePosixPath
    size: int


def archive_kind(path: Path) -> str | None:
    """Return `zip` or `tar` by a file's first bytes, None where it is neither."""
    with path.open("rb") as stream:
        start = stream.read(_TAR_MAGIC_AT + 5)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    packed = start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"))
    return "tar" if packed or start[_TAR_MAGIC_AT:] == b"ustar" else None


def unpack(archive: Path, target: Path, limits: Limits) -> Path:
    """Unpack an archive into an empty folder and return the folder that holds its files.

    That is `target`, or the one folder in it where all files are in one, as in most archives.

    Raises:
        InvalidInput: it is no archive, is damaged, or a member may not be unpacked.
        TooLarge: it is a bomb, or larger than the lab takes.
        OutOfSpace: the disk is full.
    """
    kind = archive_kind(archive)
    if kind is None:
        raise InvalidInput(f"{archive.name}: neither a zip nor a tar archive, whatever its name says")
    target.mkdir(parents=True, exist_ok=True)
    with disk_full_as_error(target), _damage_as_error(archive):
        (_unpack_zip if kind == "zip" else _unpack_tar)(archive, target, limits)
    return only_folder(target)


def only_folder(target: Path) -> Path:
    """Return the folder in which everything lies: `target`, or the only folder in it."""
    entries = [entry for entry in target.iterdir() if not is_ignored([entry.name])]
    return only_folder(entries[0]) if len(entries) == 1 and entries[0].is_dir() else target


def zip_members(archive: zipfile.ZipFile, name: str, size: int, limits: Limits) -> list[tuple[zipfile.ZipInfo, Member]]:
    """Return the files of an open zip archive, after all of them were judged.

    Args:
        archive: the archive.
        name: for messages.
        size: bytes of the archive.
        limits: how much it may be.

    Raises:
        InvalidInput: a member is a link or special, encrypted, leads outside, or shares its bytes with another.
        TooLarge: they are too many or too large.
    """
    infos = archive.infolist()
    if len(infos) > limits.files:
        raise TooLarge(f"{name}: {len(infos)} files; at most {limits.files} are taken (TERRALAB_ONBOARD_MAX_FILES)")
    found = []
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InvalidInput(f"{name}: {info.filename!r} is a link or a special file; pack files and folders alone")
        if info.flag_bits & _ENCRYPTED_FLAG:
            raise InvalidInput(f"{name}: {info.filename!r} is encrypted; pack it without a password")
        path = _checked_path(_zip_name(info), name)
        if not info.is_dir() and not is_ignored(path.parts):
            found.append((info, Member(path, info.file_size)))
    _check_overlap(infos, name)
    _check_total((member for _, member in found), name, size, limits)
    return found


def _unpack_zip(path: Path, target: Path, limits: Limits) -> None:
    with zipfile.ZipFile(path) as archive:
        for info, member in zip_members(archive, path.name, path.stat().st_size, limits):
            with archive.open(info) as source:
                _write(source, target / member.path, member, path.name)


def _unpack_tar(path: Path, target: Path, limits: Limits) -> None:
    size, total, seen = path.stat().st_size, 0, []
    # As a stream: the list of a packed tar is known only when it was unpacked, so each member is judged as it comes.
    with tarfile.open(path, "r|*") as archive:
        for entry in archive:
            if not (entry.isfile() or entry.isdir()) or entry.issparse():
                raise InvalidInput(
                    f"{path.name}: {entry.name!r} is a link or a special file; pack files and folders alone"
                )
            member = Member(_checked_path(entry.name, path.name), entry.size)
            total += entry.size
            seen.append(Member(member.path, 0))
            _check_size(len(seen), total, path.name, size, limits)
            if entry.isfile() and not is_ignored(member.path.parts):
                source = archive.extractfile(entry)
                assert source is not None  # it is a file
                _write(source, target / member.path, member, path.name)


def _write(source: Any, path: Path, member: Member, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    try:
        stream = path.open("xb")
    except FileExistsError:
        raise InvalidInput(f"{name}: {str(member.path)!r} is in it twice; pack it anew") from None
    with stream:
        while chunk := source.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise TooLarge(f"{name}: {str(member.path)!r} is larger than the archive says; pack it anew")
            stream.write(chunk)
    if left:
        raise InvalidInput(f"{name}: {str(member.path)!r} is truncated; copy the archive again")


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; old programs write UTF-8 without saying so."""
    if info.flag_bits & _UTF8_FLAG or info.orig_filename.isascii():
        return info.orig_filename
    try:
        return info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.orig_filename


def _checked_path(written: str, name: str) -> PurePosixPath:
    parts = PurePosixPath(written).parts
    escapes = written.startswith("/") or ".." in parts or "\\" in written or (len(written) > 1 and written[1] == ":")
    if escapes:
        raise InvalidInput(f"{name}: {written!r} would be unpacked outside its folder; pack it with relative paths")
    odd = any(ord(letter) < ord(" ") for letter in written) or any(len(p.encode()) > _LONGEST_PART for p in parts)
    if odd:
        raise InvalidInput(f"{name}: {written!r} is no usable file name; rename the file")
    return PurePosixPath(unicodedata.normalize("NFC", written))


def _check_overlap(infos: Iterable[zipfile.ZipInfo], name: str) -> None:
    """Refuse members that share bytes: a bomb of a few kilobytes unpacks to petabytes that way."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise InvalidInput(f"{name}: {info.filename!r} shares its bytes with another file; pack it anew")
        end = info.header_offset + info.compress_size


def _check_total(members: Iterable[Member], name: str, size: int, limits: Limits) -> None:
    total, places = 0, set()
    for member in members:
        total += member.size
        place = str(member.path).casefold()
        if place in places:
            raise InvalidInput(f"{name}: {str(member.path)!r} is in it twice; pack it anew")
        places.add(place)
    _check_size(len(places), total, name, size, limits)


def _check_size(count: int, total: int, name: str, size: int, limits: Limits) -> None:
    if count > limits.files:
        raise TooLarge(f"{name}: more than {limits.files} files (TERRALAB_ONBOARD_MAX_FILES)")
    if total > limits.unpacked:
        raise TooLarge(
            f"{name}: unpacks to more than {limits.unpacked / 1e9:.0f} GB; divide it, or raise"
            " TERRALAB_ONBOARD_MAX_UNPACKED_GB"
        )
    if total > limits.free and total > limits.ratio * max(size, 1):
        raise TooLarge(
            f"{name}: unpacks to {total / max(size, 1):.0f} times its size, as a zip bomb does; unpack it yourself and"
            " give the folder"
        )


@contextmanager
def _damage_as_error(archive: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, *_UNREADABLE) as error:
        raise InvalidInput(f"{archive.name}: a damaged archive ({error}); copy or pack it again") from error
    except OSError as error:
        if error.errno is not None and not isinstance(error, FileExistsError | NotADirectoryError):
            raise
        raise InvalidInput(f"{archive.name}: a damaged archive ({error}); copy or pack it again") from error
