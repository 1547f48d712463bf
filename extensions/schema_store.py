"""Validation of items and collections by the official JSON Schemas, without a network once the schemas are there.

The store is a folder of schema files with an `index.json` (URL → file name). What the folder lacks is fetched once from
the schema's own address, where the caller allows it, and kept.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import httpx
from jsonschema_rs import Draft7Validator, ValidationError
from pystac.validation.local_validator import get_local_schema_cache

from terralab.extensions.lab import SCHEMA_URI, load_schema

# MLM refers to classification 1.1.0, which the 2.0.0 document also describes.
_ALIASES = {
    "https://stac-extensions.github.io/classification/v1.1.0/schema.json": (
        "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
    ),
}
_CORE = {
    "Feature": "https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json",
    "Collection": "https://schemas.stacspec.org/v1.1.0/collection-spec/json-schema/collection.json",
}


@dataclass(frozen=True)
class SchemaProblem:
    """One broken rule: where in the document, what is wrong, and the schema that says so."""

    where: str
    message: str
    schema: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} ({self.schema})"


class SchemaStore:
    """Schemas by URL.

    Args:
        folder: where schema files and their `index.json` are; None for the packaged ones alone.
        fetch: whether a missing schema may be fetched from its address.
    """

    def __init__(self, folder: Path | None = None, fetch: bool = False) -> None:
        self.folder = folder
        self.fetch = fetch
        self._validators: dict[str, Draft7Validator] = {}

    @cached_property
    def _packaged(self) -> dict[str, dict[str, Any]]:
        core = {url.rstrip("#"): schema for url, schema in get_local_schema_cache().items()}
        return {**core, SCHEMA_URI: load_schema()}

    @cached_property
    def _index(self) -> dict[str, str]:
        path = self.folder / "index.json" if self.folder else None
        return cast(dict[str, str], json.loads(path.read_text())) if path and path.is_file() else {}

    def schema(self, url: str) -> dict[str, Any] | None:
        """Return the schema at `url`, or None where it is not to be had."""
        url = url.rstrip("#")
        if url in self._packaged:
            return self._packaged[url]
        for name in (url, _ALIASES.get(url)):
            if name and self.folder and name in self._index:
                return cast(dict[str, Any], json.loads((self.folder / self._index[name]).read_text()))
        return self._fetched(url) if self.fetch else None

    def missing(self, document: dict[str, Any]) -> list[str]:
        """Return the extensions of `document` whose schemas the store does not have."""
        return [url for url in document.get("stac_extensions", []) if self.schema(url) is None]

    def problems(self, document: dict[str, Any]) -> list[SchemaProblem]:
        """Check an item or collection by every schema that the store has.

        Returns:
            The broken rules, empty where the document is valid. Schemas that are not to be had are not rules; ask
            `missing` for them.
        """
        urls = [_CORE[document["type"]], *document.get("stac_extensions", [])]
        found: list[SchemaProblem] = []
        for url in urls:
            validator = self._validator(url)
            if validator is None:
                continue
            for error in validator.iter_errors(document):
                cause = _cause(error)
                where = "/".join(str(part) for part in cause.instance_path) or "(document)"
                found.append(SchemaProblem(where, cause.message[:300], url))
        return found

    def _validator(self, url: str) -> Draft7Validator | None:
        if url not in self._validators:
            schema = self.schema(url)
            if schema is None:
                return None
            self._validators[url] = Draft7Validator(schema, retriever=self._referenced)
        return self._validators[url]

    def _referenced(self, url: str) -> dict[str, Any]:
        schema = self.schema(url)
        if schema is None:
            # A rule that refers to a schema the store lacks cannot be checked; it accepts everything.
            return {}
        return schema

    def _fetched(self, url: str) -> dict[str, Any] | None:
        try:
            answer = httpx.get(url, timeout=10, follow_redirects=True)
            answer.raise_for_status()
        except httpx.HTTPError:
            return None
        schema = cast(dict[str, Any], answer.json())
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = url.split("://", 1)[1].replace("/", "_")
            (self.folder / name).write_text(json.dumps(schema))
            self._index[url] = name
            (self.folder / "index.json").write_text(json.dumps(self._index, indent=1))
        return schema


def _cause(error: ValidationError) -> ValidationError:
    """Follow `oneOf` and `anyOf` to the broken rule that lies deepest, the branch that came closest to valid."""
    while branches := getattr(error.kind, "context", None):
        error = max((inner for branch in branches for inner in branch), key=lambda inner: len(inner.instance_path))
    return error
