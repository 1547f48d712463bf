"""Everything that a flow or a command needs of the lab in one object: settings, catalog, store and schemas."""

from functools import cached_property

from terralab.catalog.access.signatures import Signer
from terralab.catalog.access.views import Views
from terralab.catalog.database import Catalog
from terralab.catalog.errors import SetupProblem
from terralab.catalog.settings import Settings
from terralab.catalog.store import Store, open_store
from terralab.extensions.schema_store import InvalidSchemaStore, SchemaStore


class Workspace:
    """The lab as its flows see it.

    Args:
        settings: read from the environment by default.
        database_url: overrides the settings' database, for tests.
    """

    def __init__(self, settings: Settings | None = None, database_url: str | None = None) -> None:
        self.settings = settings or Settings()
        self._database_url = database_url

    @cached_property
    def catalog(self) -> Catalog:
        """Return the catalog.

        Raises:
            ServiceUnavailable: there is no database yet.
        """
        return Catalog(self._database_url or self.settings.database_url)

    @cached_property
    def signer(self) -> Signer:
        """Return what signs and checks the addresses of private files."""
        return Signer(self.settings.secrets_folder, self.settings.access.signature_seconds)

    @cached_property
    def views(self) -> Views:
        """Return the catalog as its callers may see it."""
        return Views(self.catalog, None if self.settings.open_reads else self.signer)

    @cached_property
    def store(self) -> Store:
        """Return the asset store."""
        return open_store(self.settings, holds=True)

    @cached_property
    def schemas(self) -> SchemaStore:
        """Return the schema store.

        Raises:
            SetupProblem: its index cannot be read.
        """
        try:
            return SchemaStore(self.settings.schemas_folder, self.settings.lab.fetch_schemas)
        except InvalidSchemaStore as error:
            raise SetupProblem(str(error)) from error
