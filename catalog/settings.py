"""All settings, read from `TERRALAB_*` environment variables. Documented in `docs/settings.md` (a test compares)."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from terralab.catalog.errors import ServiceUnavailable


class HomeSettings(BaseSettings):
    """Where the lab keeps its data."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_", extra="ignore")

    home: Path = Field(default=Path("~/.terralab"), description="Folder with everything the lab keeps.")
    source_folders: str = Field(
        default="",
        description="Folders (separated by ':') that flows may read files from, besides the lab's own inbox.",
    )
    schemas: Path | None = Field(
        default=None,
        description="Folder of official STAC JSON Schemas with an index.json; else a cache in the home folder.",
    )
    fetch_schemas: bool = Field(
        default=False, description="Fetch schemas that the store lacks from their own addresses, once."
    )

    @field_validator("home", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()


class DatabaseSettings(BaseSettings):
    """Which PostgreSQL holds the catalog."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_", extra="ignore")

    database_url: str | None = Field(
        default=None,
        description="PostgreSQL with PostGIS to use instead of the lab's private one: postgresql://user:password@host/name.",
        repr=False,
    )
    database_connections: int = Field(default=10, ge=1, description="Connections that the web process keeps at most.")


class WebSettings(BaseSettings):
    """Where the web process listens."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_WEB_", extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address that the web process listens on.")
    port: int = Field(default=8080, ge=1, le=65535, description="Port of the STAC API, tiles, files and pages.")
    public_url: str | None = Field(
        default=None, description="Address that users reach the lab by, where a proxy stands in front."
    )

    @property
    def url(self) -> str:
        """Return the address that links are made with, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


class PrefectSettings(BaseSettings):
    """Where the Prefect server listens."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_PREFECT_", extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address that the Prefect server listens on.")
    port: int = Field(default=4200, ge=1, le=65535, description="Port of the Prefect server and its pages.")

    @property
    def url(self) -> str:
        """Return the address of the Prefect pages."""
        return f"http://{self.host}:{self.port}"

    @property
    def api_url(self) -> str:
        """Return the address of Prefect's API."""
        return f"{self.url}/api"


class WorkerSettings(BaseSettings):
    """How flow runs share the machine."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_WORKER_", extra="ignore")

    runs: int = Field(default=2, ge=1, description="Flow runs that the worker does at once.")
    threads: int | None = Field(
        default=None, ge=1, description="Threads of one TerraTorch run; by default one for each core of the machine."
    )


class InferenceSettings(BaseSettings):
    """Limits of predictions."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_INFERENCE_", extra="ignore")

    max_pixels: int = Field(
        default=500_000_000,
        ge=1,
        description="Pixels of one prediction run at most; a Sentinel-2 tile has 120 million.",
    )


class TilerSettings(BaseSettings):
    """Limits of the tile server."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_TILER_", extra="ignore")

    max_size: int = Field(default=2048, ge=64, description="Largest width and height of a rendered image, pixels.")


class Settings:
    """All settings together, read from the environment once when made."""

    def __init__(self) -> None:
        self.lab = HomeSettings()
        self.database = DatabaseSettings()
        self.web = WebSettings()
        self.prefect = PrefectSettings()
        self.worker = WorkerSettings()
        self.inference = InferenceSettings()
        self.tiler = TilerSettings()

    @property
    def store_folder(self) -> Path:
        """Return the folder of stored asset bytes, laid out as a DVC cache."""
        return self.lab.home / "store"

    @property
    def inbox_folder(self) -> Path:
        """Return the folder that the command line puts users' files into for the flows to read."""
        return self.lab.home / "inbox"

    @property
    def work_folder(self) -> Path:
        """Return the folder of private intermediate state, such as checkpoints to resume from."""
        return self.lab.home / "work"

    @property
    def versions_folder(self) -> Path:
        """Return the git and DVC repository of dataset versions."""
        return self.lab.home / "versions"

    @property
    def schemas_folder(self) -> Path:
        """Return the schema store's folder."""
        return self.lab.schemas or self.lab.home / "schemas"

    @property
    def database_url(self) -> str:
        """Return the database to use: the one given, else the private one that `terralab up` wrote down.

        Raises:
            ServiceUnavailable: there is neither.
        """
        if self.database.database_url:
            return self.database.database_url
        written = self.lab.home / "secrets" / "database_url"
        if not written.is_file():
            raise ServiceUnavailable(f"there is no lab in {self.lab.home} yet; start one with `terralab up`")
        return written.read_text().strip()


SETTINGS_CLASSES = (
    HomeSettings,
    DatabaseSettings,
    WebSettings,
    PrefectSettings,
    WorkerSettings,
    InferenceSettings,
    TilerSettings,
)
