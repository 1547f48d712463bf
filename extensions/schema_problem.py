"""What a JSON Schema says of a document, as a problem that names the field and the remedy."""

import json
from collections.abc import Callable
from typing import Any

from jsonschema_rs import ValidationError

from terralab.extensions.problem import Problem, path_of, shown

_SHOWN_MESSAGE = 300
_SHOWN_CHOICES = 200
_EXAMPLES = {
    "date-time": "write it as 2024-05-31T10:20:30Z",
    "date": "write it as 2024-05-31",
    "uri": "write an absolute address, such as https://example.org/a.tif",
    "iri": "write an absolute address, such as https://example.org/a.tif",
    "uri-reference": "percent-encode spaces and braces",
    "iri-reference": "percent-encode spaces and braces",
}


def schema_problem(error: ValidationError, schema: str) -> Problem:
    """Return the problem that `error` of the JSON Schema at the URL `schema` is."""
    cause = _cause(error)
    below, message, fix = _words(cause)
    path = [*cause.instance_path, *below]
    return Problem(path_of(path), schema, message[:_SHOWN_MESSAGE], fix)


def _words(cause: ValidationError) -> tuple[list[str], str, str]:
    """Return the keys from the place of the error to that of the fault, what is wrong, and what to do."""
    keyword, wanted = cause.kind.name, cause.kind.value
    if keyword == "required":
        return [wanted], "the field is missing", f"add {shown(wanted)}"
    if keyword == "propertyNames":
        name = cause.kind.error  # type: ignore[attr-defined]  # of this kind of error alone
        return [name.instance], f"the name {name.message}", "rename it"
    if keyword == "additionalProperties":
        names = ", ".join(map(shown, wanted))
        return list(wanted[:1]), f"the schema knows no field {names}", "remove it, or correct its name"
    if keyword == "type" and cause.instance is None:
        return [], f"null is not of type {_types(wanted)}", "leave the field out, or write a value of that type"
    says, remedy = _WORDS.get(keyword, (None, None))
    message = f"{shown(cause.instance)} {says(wanted)}" if says else cause.message
    return [], message, remedy(wanted) if remedy else "change it as the schema says"


def _cause(error: ValidationError) -> ValidationError:
    """Follow `oneOf` and `anyOf` to the broken rule that lies deepest, the branch that came closest to valid."""
    while branches := getattr(error.kind, "context", None):
        inner = [candidate for branch in branches for candidate in branch]
        if not inner:
            return error
        error = max(inner, key=lambda candidate: len(candidate.instance_path))
    return error


def _list(values: Any) -> str:
    return ", ".join(json.dumps(value, ensure_ascii=False) for value in values)[:_SHOWN_CHOICES]


def _types(wanted: Any) -> str:
    return " or ".join(wanted) if isinstance(wanted, list) else str(wanted)


# Keyword of JSON Schema → what is wrong, and what to do; each takes the keyword's value.
_Words = tuple[Callable[[Any], str], Callable[[Any], str]]
_WORDS: dict[str, _Words] = {
    "type": (
        lambda wanted: f"is not of type {_types(wanted)}",
        lambda wanted: f"write a value of type {_types(wanted)}",
    ),
    "enum": (lambda wanted: "is not one of the values allowed", lambda wanted: f"write one of {_list(wanted)}"),
    "const": (lambda wanted: f"is not {_list([wanted])}", lambda wanted: f"write {_list([wanted])}"),
    "pattern": (lambda wanted: f"does not match {wanted}", lambda wanted: f"write it so that it matches {wanted}"),
    "format": (
        lambda wanted: f"is not a {wanted}",
        lambda wanted: _EXAMPLES.get(str(wanted), f"write it as a {wanted} is written"),
    ),
    "minimum": (lambda wanted: f"is less than {wanted}", lambda wanted: f"write {wanted} or more"),
    "maximum": (lambda wanted: f"is more than {wanted}", lambda wanted: f"write {wanted} or less"),
    "exclusiveMinimum": (lambda wanted: f"is not more than {wanted}", lambda wanted: f"write more than {wanted}"),
    "exclusiveMaximum": (lambda wanted: f"is not less than {wanted}", lambda wanted: f"write less than {wanted}"),
    "minItems": (lambda wanted: f"has fewer than {wanted} entries", lambda wanted: f"give {wanted} or more entries"),
    "maxItems": (lambda wanted: f"has more than {wanted} entries", lambda wanted: f"give at most {wanted} entries"),
    "minLength": (lambda wanted: f"is shorter than {wanted}", lambda wanted: f"write {wanted} characters or more"),
    "maxLength": (lambda wanted: f"is longer than {wanted}", lambda wanted: f"write at most {wanted} characters"),
    "minProperties": (lambda wanted: f"has fewer than {wanted} fields", lambda wanted: f"give {wanted} or more fields"),
    "uniqueItems": (lambda wanted: "has an entry twice", lambda wanted: "remove the repeated entries"),
    "contains": (
        lambda wanted: "lacks an entry that the schema requires",
        lambda wanted: "add the entry that the schema requires",
    ),
    "not": (lambda wanted: "is not allowed here", lambda wanted: "remove it, or write another value"),
    "falseSchema": (lambda wanted: "is not allowed here", lambda wanted: "remove it"),
}
