"""What a write is answered with, before it is an HTTP response: it can be kept and given again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.responses import Response

JSON_TYPE = "application/json"


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        status: HTTP status.
        body: the whole body.
        headers: with `Content-Type` where there is a body.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """Return it as an HTTP response."""
        return Response(self.body, self.status, dict(self.headers))


NO_CONTENT = Answer(HTTPStatus.NO_CONTENT)


def document_answer(status: int, body: bytes, media_type: str, etag: str, location: str | None = None) -> Answer:
    """Return the answer that holds a document as it is now.

    Args:
        status: HTTP status.
        body: the document.
        media_type: of the body.
        etag: entity tag, 32 hexadecimal digits.
        location: address of the document, where it is new.
    """
    headers = {"Content-Type": media_type, "ETag": f'"{etag}"'}
    if location is not None:
        headers["Location"] = location
    return Answer(status, body, headers)
