"""The `README.md` of an export: what the dataset is, what lies where, and what the form cannot say."""

from collections.abc import Sequence
from pathlib import Path

from terralab.datasets.exports.subject import Subject


def write_readme(subject: Subject, folder: Path, body: Sequence[str], notes: Sequence[str], front: str = "") -> None:
    """Write the file.

    Args:
        subject: what is exported.
        folder: of the export.
        body: paragraphs on the form: what lies where, how it is read.
        notes: what the form cannot say.
        front: what goes before the title, such as YAML.
    """
    paragraphs = [f"# {subject.dataset} {subject.number}", subject.description, *body, *facts(subject)]
    if notes:
        paragraphs.append("## What this form cannot say\n\n" + "\n".join(f"- {note}" for note in notes))
    (folder / "README.md").write_text(front + "\n\n".join(paragraphs) + "\n", encoding="utf-8")


def facts(subject: Subject) -> list[str]:
    """Return paragraphs on what the dataset holds."""
    counts = subject.split_counts()
    left_out = len(subject.chips) - sum(counts.values())
    rows = [
        ("task", subject.task.value),
        ("chips", f"{len(subject.chips)} of {subject.chip_size} × {subject.chip_size} pixels"),
        *((name, f"{count} chips") for name, count in counts.items()),
        *([("in no split", f"{left_out} chips")] if left_out else []),
        ("license", subject.license),
        ("DVC tree", f"`{subject.version.record.dvc_tree}`"),
        ("catalog", subject.page),
    ]
    paragraphs = ["## The dataset\n\n" + _table(("", ""), rows), "## Bands\n\n" + _bands(subject)]
    if subject.classes:
        classes = [(str(entry.value), entry.name, entry.title or "") for entry in subject.classes]
        paragraphs.append("## Classes\n\n" + _table(("value", "name", "title"), classes))
    report = subject.version.record.split_report
    if report.get("leaks"):
        paragraphs.append("**The split leaks**: chips of different splits show the same ground.")
    return paragraphs


def _bands(subject: Subject) -> str:
    rows = []
    for modality in subject.modalities:
        for place, band in enumerate(modality.bands, start=1):
            known = band.get("statistics") or {}
            mean, stddev = (f"{known[name]:.6g}" if name in known else "" for name in ("mean", "stddev"))
            nodata = "" if modality.nodata is None else str(modality.nodata)
            rows.append(
                (modality.name, str(place), str(band["name"]), str(band.get("data_type", "")), nodata, mean, stddev)
            )
    head = ("modality", "number", "band", "type", "nodata", "mean (train)", "deviation (train)")
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
