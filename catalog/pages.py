"""HTML pages: templates with escaping, and headers that let a page load nothing but its own styles and images."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from terralab.extensions.lab import Kind

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin", "Cache-Control": "no-cache"}
_STYLE, _ICON = "style.css", "icon.svg"


def render_page(template: str, base: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Answer with a template.

    Args:
        template: file name in `catalog/templates`.
        base: address of the web process.
        status: HTTP status.
        values: what the template shows; strings are escaped.
    """
    text = _environment().get_template(template).render(base=base, **values)
    return HTMLResponse(text, status, _HEADERS)


def stylesheet() -> Response:
    """Answer with the one style sheet of all pages."""
    return _static(_STYLE, "text/css")


def icon() -> Response:
    """Answer with the pages' icon."""
    return _static(_ICON, "image/svg+xml")


def _static(name: str, media_type: str) -> Response:
    text = files("terralab.catalog").joinpath("static", name).read_text(encoding="utf-8")
    return Response(text, media_type=media_type, headers={"Cache-Control": "max-age=300"})


def human_size(size: float | None) -> str:
    """Write a number of bytes for people: `12.3 MB`."""
    if size is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def human_number(value: Any) -> str:
    """Write a value for people: numbers with few digits, everything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def plural(kind: str, count: int) -> str:
    """Write a kind for `count` items: `models`, but `imagery`."""
    countable = kind in (Kind.DATASET, Kind.MODEL, Kind.RUN, Kind.PREDICTION)
    return f"{kind}s" if countable and count != 1 else kind


def human_time(value: Any) -> str:
    """Write an RFC 3339 time for people: `2026-05-01 10:00 UTC`."""
    text = str(value or "")
    return f"{text[:10]} {text[11:16]} UTC" if len(text) >= 16 and text[10] == "T" else text


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("terralab.catalog", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=human_size, number=human_number, time=human_time, plural=plural)
    return environment
