"""The official schemas, compiled once."""

import pytest

from terralab.extensions.schema_store import SchemaStore
from tests.conftest import official_schemas


@pytest.fixture(scope="session")
def schemas() -> SchemaStore:
    folder = official_schemas()
    if folder is None:
        pytest.skip("the official schemas are not on this machine; set TERRALAB_TEST_SCHEMAS")
    return SchemaStore(folder)
