"""How much one dataset may be, so that a small file cannot fill the disk or the memory."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from terralab.catalog.settings import OnboardSettings

_MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Limits of one dataset.

    Attributes:
        files: files in a folder or an archive.
        unpacked: bytes of an archive's files together.
        ratio: unpacked bytes for each byte of an archive, above `free`.
        text: bytes of one GeoJSON, table or other file that is read into memory.
        free: unpacked bytes for which the ratio does not matter: empty masks shrink a thousand times.
    """

    files: int = 200_000
    unpacked: int = 50_000 * _MB
    ratio: float = 200.0
    text: int = 200 * _MB
    free: int = 500 * _MB

    @classmethod
    def of_settings(cls, settings: "OnboardSettings") -> "Limits":
        """Return the limits that the lab's settings give."""
        return cls(
            settings.max_files,
            int(settings.max_unpacked_gb * 1000 * _MB),
            settings.max_ratio,
            settings.max_text_mb * _MB,
        )
