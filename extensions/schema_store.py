"""Official JSON Schemas of STAC by their URLs, without a network once they are there.

The store is a folder of schema files with an `index.json` (URL → file name). What the folder lacks is fetched once from
the schema's own address, where the caller allows it, and kept.
"""

import json
import logging
import os
import re
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
from jsonschema_rs import Draft7Validator, ReferencingError
from jsonschema_rs import ValidationError as InvalidSchema
from pystac.validation.local_validator import get_local_schema_cache

from terralab.extensions.lab import SCHEMA_URI, load_schema
from terralab.extensions.problem import Problem
from terralab.extensions.schema_problem import schema_problem

# MLM refers to classification 1.1.0, which the 2.0.0 document also describes.
_ALIASES = {
    "https://stac-extensions.github.io/classification/v1.1.0/schema.json": (
        "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
    ),
}
_CORE_PATHS = {
    "Feature": "item-spec/json-schema/item.json",
    "Collection": "collection-spec/json-schema/collection.json",
    "Catalog": "catalog-spec/json-schema/catalog.json",
}
_OWN_VERSION = "1.1.0"
# A document names its schemas; the lab must not be led to fetch from just anywhere.
_SCHEMA_HOSTS = {"stac-extensions.github.io", "schemas.stacspec.org", "proj.org", "geojson.org"}
_MAX_BYTES = 2_000_000
_MAX_FOUND = 20
_LOG = logging.getLogger(__name__)


class InvalidSchemaStore(ValueError):
    """The folder of schemas is not as it must be; the message names the file."""


class SchemaStore:
    """Schemas by URL, compiled once each.

    Args:
        folder: where schema files and their `index.json` are; None for the packaged ones alone.
        fetch: whether a missing schema may be fetched from its address.

    Raises:
        InvalidSchemaStore: `index.json` is not an object of URL → file name.
    """

    def __init__(self, folder: Path | None = None, fetch: bool = False) -> None:
        self.folder = folder
        self.fetch = fetch
        core = {url.rstrip("#"): schema for url, schema in get_local_schema_cache().items()}
        self._packaged: dict[str, dict[str, Any]] = {**core, SCHEMA_URI: load_schema()}
        self._index = _read_index(folder) if folder else {}
        self._validators: dict[str, Draft7Validator | None] = {}
        self._absent: set[str] = set()
        self._references: dict[str, set[str]] = {}

    def schema(self, url: str) -> dict[str, Any] | None:
        """Return the schema at `url`, or None where it is not to be had.

        Raises:
            InvalidSchemaStore: the file that the index names for it cannot be read as a schema.
        """
        url = url.rstrip("#")
        if url in self._packaged:
            return self._packaged[url]
        for name in (url, _ALIASES.get(url)):
            if name and self.folder and name in self._index:
                return _read_schema(self.folder / self._index[name])
        if url in self._absent:
            return None
        schema = _older_core(url, self._packaged) or (self._fetched(url) if self.fetch else None)
        if schema is None:
            self._absent.add(url)
        return schema

    def missing(self, document: dict[str, Any]) -> list[str]:
        """Return the URLs of schemas that a check of `document` needs and the store does not have.

        These are extensions that it declares, and schemas that those refer to: their rules are not checked.
        """
        urls = _declared(document)
        found = [url for url in urls if self.validator(url) is None]
        for url in urls:
            found.extend(sorted(self._references.get(url, ())))
        return list(dict.fromkeys(found))

    def problems(self, document: dict[str, Any]) -> list[Problem]:
        """Check an item or collection by every schema that the store has.

        Returns:
            The broken rules, at most 20 of each schema, empty where the document is valid. Schemas that are not to be
            had are not rules; ask `missing` for them.
        """
        found: list[Problem] = []
        for url in (core_url(document), *_declared(document)):
            validator = self.validator(url)
            if validator is not None and not validator.is_valid(document):
                errors = islice(validator.iter_errors(document), _MAX_FOUND)
                found.extend(schema_problem(error, url) for error in errors)
        return list(dict.fromkeys(found))

    def validator(self, url: str) -> Draft7Validator | None:
        """Return the compiled schema at `url`, None where it is not to be had."""
        if url not in self._validators:
            self._validators[url] = self._compiled(url)
        return self._validators[url]

    def _compiled(self, url: str) -> Draft7Validator | None:
        schema = self.schema(url)
        if schema is None:
            return None
        absent = self._references.setdefault(url, set())

        def referenced(target: str) -> dict[str, Any]:
            found = self.schema(target)
            if found is None:
                # What it says cannot be checked and so accepts everything; `missing` names it.
                absent.add(target.rstrip("#"))
            return found or {}

        try:
            return Draft7Validator(schema, retriever=referenced)
        except (InvalidSchema, ReferencingError, ValueError) as error:
            raise InvalidSchemaStore(f"the schema {url} cannot be used: {str(error).splitlines()[0]}") from error

    def _fetched(self, url: str) -> dict[str, Any] | None:
        if not _may_be_fetched(url):
            return None
        try:
            answer = httpx.get(url, timeout=10)
            answer.raise_for_status()
            schema = json.loads(answer.text[:_MAX_BYTES])
        except (httpx.HTTPError, ValueError) as error:
            _LOG.warning("the schema %s cannot be fetched: %s", url, error)
            return None
        if not isinstance(schema, dict):
            return None
        self._keep(url, schema)
        return cast(dict[str, Any], schema)

    def _keep(self, url: str, schema: dict[str, Any]) -> None:
        if self.folder is None:
            self._packaged[url] = schema
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        readable = re.sub(r"[^A-Za-z0-9.-]+", "_", url.split("://", 1)[1])[:100]
        name = f"{readable.removesuffix('.json')}-{sha256(url.encode()).hexdigest()[:8]}.json"
        _write(self.folder / name, schema)
        # Another process may have kept other schemas meanwhile.
        self._index = {**_read_index(self.folder), **self._index, url: name}
        _write(self.folder / "index.json", self._index)


def core_url(document: dict[str, Any]) -> str:
    """Return the URL of the core schema of an item or a collection, by its type and version."""
    return f"https://schemas.stacspec.org/v{document.get('stac_version')}/{_CORE_PATHS[document['type']]}"


def _may_be_fetched(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and parts.netloc in _SCHEMA_HOSTS


def _declared(document: dict[str, Any]) -> list[str]:
    declared = document.get("stac_extensions")
    return [url for url in declared if isinstance(url, str)] if isinstance(declared, list) else []


def _older_core(url: str, packaged: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Return the schema of STAC 1.0.0 where only that of 1.1.0 is there: 1.1.0 adds fields and takes none away."""
    newer = packaged.get(url.replace("/v1.0.0/", f"/v{_OWN_VERSION}/"))
    if newer is None or "/v1.0.0/" not in url:
        return None
    text = json.dumps(newer).replace(f'"const": "{_OWN_VERSION}"', '"const": "1.0.0"')
    return cast(dict[str, Any], json.loads(text))


def _read_index(folder: Path) -> dict[str, str]:
    path = folder / "index.json"
    if not path.is_file():
        return {}
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidSchemaStore(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(index, dict) or not all(isinstance(name, str) for name in index.values()):
        raise InvalidSchemaStore(f"{path} must be one JSON object of schema URL → file name")
    return cast(dict[str, str], index)


def _read_schema(path: Path) -> dict[str, Any]:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidSchemaStore(f"{path}, which index.json names, cannot be read as JSON: {error}") from error
    if not isinstance(schema, dict):
        raise InvalidSchemaStore(f"{path} is not a JSON Schema")
    return cast(dict[str, Any], schema)


def _write(path: Path, content: dict[str, Any]) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(content, indent=1), encoding="utf-8")
    aside.replace(path)
