"""What may be set about a service: by environment (`FLEXPEER_...`) or, first, by the options of `flexpeer serve`."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ClockKind(StrEnum):
    """Which time a market lives in."""

    VIRTUAL = "virtual"
    SYSTEM = "system"


class LogLevel(StrEnum):
    """From which level on lines are logged; requests are debug, denials warning."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ServiceSettings(BaseSettings):
    """One field for each `FLEXPEER_` variable; the description is what the reference says."""

    model_config = SettingsConfigDict(env_prefix="FLEXPEER_", extra="ignore")

    data: Path = Field(Path("market"), description="Folder of the market: its store, scenario and credentials.")
    database: str | None = Field(None, description="URL of a PostgreSQL database in place of the store in the folder.")
    host: str = Field("127.0.0.1", description="Address to listen at.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen at; 0 takes one that is free.")
    clock: ClockKind = Field(ClockKind.SYSTEM, description="`virtual` is moved, `system` is real time.")
    speed: float = Field(0.0, ge=0.0, le=1e6, description="How many times as fast as real time a virtual clock runs.")
    start: str | None = Field(None, description="Instant at which a virtual clock starts; before the gate opens.")
    every_day: bool = Field(False, description="Whether every day follows the last scenario's, announced a day before.")
    log_level: LogLevel = Field(LogLevel.INFO, description="Lines logged: debug, info, warning or error and above.")
    requests_per_second: float = Field(2000.0, gt=0.0, description="Requests a client may make for long.")
    burst: int = Field(4000, ge=1, description="Requests a client may make at once.")
    streams: int = Field(20, ge=0, description="Event streams a client may have open.")
    token_life_s: int = Field(3600, ge=1, description="Seconds a token lasts.")
    oidc_issuer: str | None = Field(None, description="Issuer of an OpenID Connect provider where people may log in.")
    oidc_client_id: str = Field("flexpeer", description="The market's client id at that provider.")
    oidc_client_secret: str = Field("", description="Its secret there; empty for a public client.")
    oidc_claim: str = Field("email", description="The claim that is the user's name here; `email` must be verified.")
