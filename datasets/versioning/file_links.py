"""Files of a checkout without a second copy of their bytes, where the disk can do that.

A reflink shares blocks until one side is written to; a hard link is the very file, which the store keeps read-only; a
copy is always possible.
"""

import errno
import fcntl
import os
from enum import StrEnum
from pathlib import Path

_FICLONE = 0x40049409
_READ_ONLY = 0o444
_WRITABLE = 0o644
_NOT_HERE = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EMLINK}


class Link(StrEnum):
    """How a file gets into a checkout."""

    REFLINK = "reflink"
    HARDLINK = "hardlink"
    COPY = "copy"


def best_link(source: str, folder: Path) -> Link:
    """Return the cheapest way from a file to a folder; it is tried with that file."""
    probe = f"{folder}/.probe.{os.getpid()}"
    for link in (Link.REFLINK, Link.HARDLINK):
        try:
            make_link(source, probe, link)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            continue
        finally:
            Path(probe).unlink(missing_ok=True)
        return link
    return Link.COPY


def make_link(source: str, target: str, link: Link) -> None:
    """Make a file that is not there yet."""
    if link is Link.HARDLINK:
        os.link(source, target)
        return
    try:
        with open(source, "rb", buffering=0) as of, open(target, "xb", buffering=0) as to:
            if link is Link.REFLINK:
                fcntl.ioctl(to.fileno(), _FICLONE, of.fileno())
            else:
                _copy(of.fileno(), to.fileno())
    except OSError:
        Path(target).unlink(missing_ok=True)
        raise


def _copy(source: int, target: int) -> None:
    left = os.fstat(source).st_size
    while left:
        copied = os.sendfile(target, source, None, left)
        if not copied:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        left -= copied
