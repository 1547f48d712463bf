"""Plots as SVG text. Colours are variables of the page, so that they follow its light or dark scheme."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

SPLIT_COLOURS = {
    "train": "var(--train)",
    "validate": "var(--validate)",
    "test": "var(--test)",
    "no split": "var(--none)",
}


def histogram_plot(histograms: Mapping[str, Sequence[int]], limits: Sequence[float], title: str) -> str:
    """Return one band: a line for every split, each scaled to its own area, so that their shapes can be compared."""
    width, height, foot = 220, 92, 16
    lines, top = [], 0.0
    shares = {}
    for split, counts in histograms.items():
        total = sum(counts)
        if total:
            shares[split] = [count / total for count in counts]
            top = max(top, *shares[split])
    for split, values in shares.items():
        step = width / len(values)
        points = [
            f"{(place + 0.5) * step:.1f},{(height - foot) * (1 - value / top):.1f}"
            for place, value in enumerate(values)
        ]
        colour = SPLIT_COLOURS[split]
        area = f"0,{height - foot} {' '.join(points)} {width},{height - foot}"
        lines.append(f'<polygon points="{area}" fill="{colour}" opacity=".10"/>')
        lines.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    labels = (
        f'<text x="0" y="{height - 3}" class="tick">{number_text(limits[0])}</text>'
        f'<text x="{width}" y="{height - 3}" class="tick" text-anchor="end">{number_text(limits[1])}</text>'
    )
    axis = f'<line x1="0" y1="{height - foot}" x2="{width}" y2="{height - foot}" class="axis"/>'
    return _figure(width, height, f"Histogram of {title}", axis + "".join(lines) + labels)


def share_plot(values: Sequence[float], limits: tuple[float, float], title: str, mark: float | None = None) -> str:
    """Return how many chips have which value: bars over 32 bins, square root of the counts, so that few show too."""
    width, height, foot, bins = 220, 92, 16, 32
    counts, _ = np.histogram(np.clip(values, *limits), bins=bins, range=limits)
    roots = np.sqrt(counts)
    top = float(roots.max()) or 1.0
    step = width / bins
    bars = [
        f'<rect x="{place * step + 0.5:.1f}" y="{(height - foot) * (1 - root / top):.1f}" width="{step - 1:.1f}"'
        f' height="{(height - foot) * root / top:.1f}" class="bar{_over(place, bins, limits, mark)}">'
        f"<title>{count} chips</title></rect>"
        for place, (count, root) in enumerate(zip(counts.tolist(), roots.tolist(), strict=True))
        if count
    ]
    labels = (
        f'<text x="0" y="{height - 3}" class="tick">{number_text(limits[0])}</text>'
        f'<text x="{width}" y="{height - 3}" class="tick" text-anchor="end">{number_text(limits[1])}</text>'
    )
    axis = f'<line x1="0" y1="{height - foot}" x2="{width}" y2="{height - foot}" class="axis"/>'
    return _figure(width, height, title, axis + "".join(bars) + labels)


def month_plot(months: Mapping[str, int]) -> str:
    """Return the chips of every month from the first to the last; over ten years, of every year."""
    counted = _by_period(months)
    width, height, foot, head = 640, 130, 18, 14
    step = width / max(len(counted), 6)
    top = max(counted.values())
    every = max(1, round(60 / step))
    parts = [f'<line x1="0" y1="{height - foot}" x2="{width}" y2="{height - foot}" class="axis"/>']
    for place, (period, count) in enumerate(counted.items()):
        size = (height - foot - head) * count / top
        left = place * step
        parts.append(
            f'<rect x="{left + step * 0.1:.1f}" y="{height - foot - size:.1f}" width="{step * 0.8:.1f}"'
            f' height="{size:.1f}" class="bar"><title>{period}: {count} chips</title></rect>'
        )
        if place % every == 0:
            parts.append(
                f'<text x="{left + step / 2:.1f}" y="{height - 4}" class="tick" text-anchor="middle">{period}</text>'
            )
        if count and step > 26:  # room for a number
            parts.append(
                f'<text x="{left + step / 2:.1f}" y="{height - foot - size - 3:.1f}" class="tick"'
                f' text-anchor="middle">{count}</text>'
            )
    return _figure(width, height, "Chips by month", "".join(parts))


def number_text(value: float) -> str:
    """Write a number short."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{value:.2g}"


def _by_period(months: Mapping[str, int]) -> dict[str, int]:
    first, last = min(months), max(months)
    years = range(int(first[:4]), int(last[:4]) + 1)
    if len(years) > 10:
        return {str(year): sum(n for month, n in months.items() if month.startswith(str(year))) for year in years}
    every = [f"{year}-{month:02d}" for year in years for month in range(1, 13)]
    return {month: months.get(month, 0) for month in every if first <= month <= last}


def _over(place: int, bins: int, limits: tuple[float, float], mark: float | None) -> str:
    value = limits[0] + (place + 0.5) * (limits[1] - limits[0]) / bins
    return " over" if mark is not None and value > mark else ""


def _figure(width: float, height: float, title: str, content: str) -> str:
    said = escape(title)
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{said}"><title>{said}</title>{content}</svg>'
