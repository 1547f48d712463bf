"""All settings, read from `TERRALAB_*` environment variables. Documented in `docs/settings.md` (a test compares)."""

import re
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
    log_requests: bool = Field(
        default=True, description="Whether each request has a line in the log of the web process."
    )
    browser_folder: Path | None = Field(
        default=None, description="Where `make browser` puts STAC Browser; by default `browser` in the home folder."
    )

    @property
    def url(self) -> str:
        """Return the address that links are made with, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


class ClientSettings(BaseSettings):
    """Which lab the Python client talks to."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_", extra="ignore")

    url: str | None = Field(default=None, description="Address of the lab; by default the one of this machine.")
    token: str | None = Field(
        default=None, description="API key or other token; by default the one that `terralab up` made.", repr=False
    )


class ApiSettings(BaseSettings):
    """Limits of the STAC API."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_API_", extra="ignore")

    max_body_mb: int = Field(default=10, ge=1, description="Largest body of a write, MB; of a search it is 1 MB.")
    max_limit: int = Field(default=1000, ge=1, description="Most items on one page of a search.")
    max_batch: int = Field(default=1000, ge=1, description="Most items in one write.")
    read_timeout_s: float = Field(default=10.0, gt=0, description="Longest time of one database query, seconds.")
    write_timeout_s: float = Field(default=60.0, gt=0, description="Longest time of one write, seconds.")
    lock_timeout_s: float = Field(default=2.0, gt=0, description="Longest wait for a database lock, seconds.")
    require_if_match: bool = Field(
        default=False, description="Whether a change of what is stored must say by If-Match what the caller saw."
    )
    cors_origins: str = Field(default="*", description="Origins (separated by ',') whose pages may call the API.")
    trusted_proxies: str = Field(
        default="",
        description="Proxies (addresses, networks; with ',') whose forwarded headers are believed.",
    )


class AccessSettings(BaseSettings):
    """Who may do what."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_ACCESS_", extra="ignore")

    open_reads: bool | None = Field(
        default=None,
        description="Whether anybody may read everything; by default where only this machine reaches the web process:"
        " it listens on loopback, and neither a public address nor a proxy is set.",
    )
    oidc_issuer: str | None = Field(default=None, description="Issuer of OpenID Connect tokens that are accepted.")
    oidc_audience: str | None = Field(default=None, description="Audience that those tokens must name.")
    oidc_jwks_url: str | None = Field(
        default=None, description="Where the issuer's keys are; by default its discovery document says."
    )
    oidc_projects_claim: str = Field(default="projects", description="Claim that lists the caller's projects.")
    oidc_scope_claim: str = Field(default="scope", description="Claim that lists the caller's scopes.")
    default_visibility: str = Field(
        default="public", description="Visibility of what a user writes without naming one: private, project or public."
    )
    signature_seconds: int = Field(default=900, ge=1, description="How long a signed address of a private file holds.")


class StoreSettings(BaseSettings):
    """Where the bytes of assets are."""

    # A wrong address may hold a password: no message shows it.
    model_config = SettingsConfigDict(env_prefix="TERRALAB_STORE_", extra="ignore", hide_input_in_errors=True)

    url: str | None = Field(
        default=None, description="`s3://bucket/prefix`, or a folder; by default `store` in the home folder."
    )
    s3_endpoint: str | None = Field(default=None, description="Address of an S3 server that is not Amazon's.")
    s3_region: str | None = Field(default=None, description="Region of the bucket.")
    s3_access_key: str | None = Field(default=None, description="Access key id.", repr=False)
    s3_secret_key: str | None = Field(default=None, description="Secret access key.", repr=False)
    cache_gb: float = Field(
        default=20.0,
        gt=0,
        description="Disk that local copies of files on S3 may take, GB; what runs need comes first.",
    )
    max_upload_mb: int = Field(default=2048, ge=1, description="Largest file that `POST /files` takes, MB.")

    @property
    def on_s3(self) -> bool:
        """Return whether the store is a bucket."""
        return self.url is not None and self.url.startswith("s3://")

    @field_validator("url", mode="after")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if (
            value
            and re.match(r"[a-z][a-z0-9+.-]+://", value)
            and not re.fullmatch(r"s3://[^/?#@\s]+(/[^?#\s]*)?", value)
        ):
            raise ValueError("give `s3://bucket/prefix` or a folder")
        return value or None


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


class PackSettings(BaseSettings):
    """Limits of packs, the working form of chips."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_PACKS_", extra="ignore")

    cache_gb: float = Field(
        default=50.0,
        gt=0,
        description="Disk that packs of chips may take, GB; the least recently used go first, what is in use stays.",
    )


class TilerSettings(BaseSettings):
    """Limits of the tile server."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_TILER_", extra="ignore")

    max_size: int = Field(default=2048, ge=64, description="Largest width and height of a rendered image, pixels.")


class ImagerySettings(BaseSettings):
    """Getting imagery from providers."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_IMAGERY_", extra="ignore", hide_input_in_errors=True)

    providers: str = Field(
        default="", description="STAC APIs that imagery may come from: `name=https://…`, several with spaces between."
    )
    tokens: str = Field(default="", description="Tokens of those STAC APIs: `name=token`.", repr=False)
    endpoints: str = Field(
        default="", description="Other addresses for connectors of the table: `sentinel_aws=https://…` of a mirror."
    )
    hosts: str = Field(
        default="",
        description="Hosts (with ',') that a provider's files may lie on besides its own; `*.example.org`: all below.",
    )
    private_hosts: str = Field(
        default="",
        description="Hosts (with ',') that may be private or without TLS, such as another lab: `127.0.0.1:8080`.",
    )
    parallel: int = Field(default=4, ge=1, le=64, description="Files of a provider that are read at once.")
    attempts: int = Field(default=5, ge=1, le=20, description="How often a request is sent where a provider is busy.")
    timeout_s: float = Field(
        default=60.0, gt=0, description="Longest silence of a provider, seconds; an answer may take ten times as long."
    )
    longest_wait_s: float = Field(
        default=120.0, gt=0, description="Longest wait that a provider may ask for (`Retry-After`), seconds."
    )
    terrakit_timeout_s: float = Field(
        default=1800.0, gt=0, description="Longest time of one request of a TerraKit connector, seconds."
    )
    cache_gb: float = Field(default=20.0, ge=0, description="Disk that fetched windows may take, GB.")
    max_places: int = Field(default=1000, ge=1, description="Places of one request at most.")
    max_scenes: int = Field(default=2000, ge=1, description="Scenes of one request at most.")
    max_pixels: int = Field(default=120_560_400, ge=1, description="Pixels of one scene's window at most.")
    max_gb: float = Field(default=50.0, gt=0, description="Estimated size of one request at most, GB.")


class OnboardSettings(BaseSettings):
    """Limits of onboarded datasets."""

    model_config = SettingsConfigDict(env_prefix="TERRALAB_ONBOARD_", extra="ignore")

    hosts: str = Field(
        default="",
        description="Hosts (with ',') whose archives the command line may look into, such as `data.example.org`;"
        " with a port, it may also be a host of this machine without TLS: `127.0.0.1:8000`.",
    )
    max_files: int = Field(default=200_000, ge=1, description="Files of one dataset at most.")
    max_unpacked_gb: float = Field(default=50.0, gt=0, description="Size of an archive's files together, GB.")
    max_ratio: float = Field(
        default=200.0, gt=1, description="How often larger than the archive its files may be, above half a GB."
    )
    max_text_mb: int = Field(default=200, ge=1, description="Largest GeoJSON or table of labels, MB.")


class Settings:
    """All settings together, read from the environment once when made."""

    def __init__(self) -> None:
        self.lab = HomeSettings()
        self.database = DatabaseSettings()
        self.web = WebSettings()
        self.client = ClientSettings()
        self.api = ApiSettings()
        self.access = AccessSettings()
        self.store = StoreSettings()
        self.prefect = PrefectSettings()
        self.worker = WorkerSettings()
        self.inference = InferenceSettings()
        self.packs = PackSettings()
        self.tiler = TilerSettings()
        self.imagery = ImagerySettings()
        self.onboard = OnboardSettings()

    @property
    def store_folder(self) -> Path:
        """Return the folder of stored asset bytes, laid out as a DVC cache; of a store on S3, of its copies."""
        if self.store.on_s3:
            return self.lab.home / "cache" / "store"
        return Path(self.store.url).expanduser().absolute() if self.store.url else self.lab.home / "store"

    @property
    def inbox_folder(self) -> Path:
        """Return the folder that the command line puts users' files into for the flows to read."""
        return self.lab.home / "inbox"

    @property
    def browser_folder(self) -> Path:
        """Return the folder of STAC Browser as `make browser` builds it."""
        return self.web.browser_folder or self.lab.home / "browser"

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
    def secrets_folder(self) -> Path:
        """Return the folder of passwords and tokens, which only the owner of the home folder may read."""
        return self.lab.home / "secrets"

    @property
    def open_reads(self) -> bool:
        """Return whether anybody may read everything: as set, else where only this machine reaches the web process."""
        if self.access.open_reads is not None:
            return self.access.open_reads
        on_loopback = self.web.host in ("127.0.0.1", "localhost", "::1")
        return on_loopback and self.web.public_url is None and not self.api.trusted_proxies

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
    ClientSettings,
    ApiSettings,
    AccessSettings,
    StoreSettings,
    PrefectSettings,
    WorkerSettings,
    InferenceSettings,
    PackSettings,
    TilerSettings,
    ImagerySettings,
)
