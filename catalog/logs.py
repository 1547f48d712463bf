"""The log of the web process: one JSON object a line, with the id of the request that it is about, without secrets.

{"time": "2026-05-01T10:00:00.123Z", "level": "INFO", "logger": "terralab.access", "message": "GET /stac/search 200",
"request": "3f2a…", "caller": "anna", "method": "GET", "route": "/stac/search", "status": 200, "ms": 1.9, "bytes": 5120}
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from terralab.catalog.access.secret_files import SIGNING_KEY, TOKEN, read_secret
from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.redaction import Redaction
from terralab.catalog.settings import Settings

REQUEST_ID: ContextVar[str | None] = ContextVar("terralab_request_id", default=None)
"""The id of the request that is being answered."""
FIELDS = "fields"
"""Name of the extra of a log record that holds further members of its line: `log.info("…", extra={FIELDS: {…}})`."""
_HAVE_OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access")
_TALK = ("terralab", "uvicorn")


def configure_logging(settings: Settings) -> None:
    """Make everything that this process logs a JSON line on standard error.

    Args:
        settings: whose secrets are never to be written down.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(Redaction(known_secrets(settings))))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _HAVE_OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _TALK:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("terralab.access").disabled = not settings.web.log_requests
    logging.captureWarnings(True)


class JsonLines(logging.Formatter):
    """Formats records as JSON lines.

    Args:
        redaction: what is removed from every text of a line.
    """

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._clean = redaction.clean

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line."""
        line: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": self._clean(record.getMessage()),
        }
        if (request := REQUEST_ID.get()) is not None:
            line["request"] = request
        fields: Mapping[str, Any] = getattr(record, FIELDS, {})
        line.update((key, self._clean(value) if isinstance(value, str) else value) for key, value in fields.items())
        if record.exc_info:
            line["exception"] = self._clean(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = self._clean(record.stack_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def known_secrets(settings: Settings) -> Iterator[str]:
    """Yield the secrets of a lab, as far as this process can know them."""
    for name in (TOKEN, SIGNING_KEY):
        if (secret := read_secret(settings.secrets_folder, name)) is not None:
            yield secret
    for given in (settings.store.s3_secret_key, settings.client.token):
        if given:
            yield given
    try:
        password = urlsplit(settings.database_url).password
    except ServiceUnavailable:
        return  # there is no database yet
    if password:
        yield password
        yield unquote(password)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
