"""Every setting, its default and its environment variable: ``SENTINEL_<NAME>``.

This is the only module that reads the environment. `Settings` is read once, by
the command that starts a process, and handed down.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from sentinel.errors import SettingsError


class Settings(BaseSettings):
    """Settings of one Sentinel process, all of them from ``SENTINEL_*`` variables."""

    model_config = SettingsConfigDict(env_prefix="SENTINEL_", frozen=True, extra="ignore")

    home: Path = Field(Path(".sentinel"), description="The one data directory.")
    data: Path = Field(Path("../shared/data"), description="Real logs, for tests and benchmarks.")

    kafka: str = Field("", description="Bootstrap servers; set, the embedded Kafka is off.")
    kafka_security_protocol: str = Field("PLAINTEXT", description="librdkafka security.protocol.")
    kafka_sasl_mechanism: str = Field("", description="librdkafka sasl.mechanism.")
    kafka_sasl_username: str = Field("", description="librdkafka sasl.username.")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="librdkafka sasl.password.")
    kafka_ssl_ca: str = Field("", description="librdkafka ssl.ca.location.")
    kafka_ssl_certificate: str = Field("", description="librdkafka ssl.certificate.location.")
    kafka_ssl_key: str = Field("", description="librdkafka ssl.key.location.")
    schema_registry: str = Field("", description="URL of a Confluent schema registry, if any.")
    partitions: int = Field(4, ge=1, le=1024, description="Partitions of each new topic.")

    postgres: str = Field("", description="PostgreSQL DSN; set, the embedded one is off.")
    elasticsearch: str = Field("", description="Elasticsearch URL; empty: search PostgreSQL.")

    api_host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(8090, ge=0, le=65535, description="Port of the API; 0 takes a free one.")
    api_url: str = Field("", description="URL at which commands find the API.")
    api_token: SecretStr = Field(
        SecretStr(""), description="API key of commands, or env:/file:; empty: in SENTINEL_HOME."
    )
    api_tls_certificate: str = Field("", description="PEM certificate chain; set, the API is TLS.")
    api_tls_key: str = Field("", description="PEM key of that certificate.")
    api_tls_client_ca: str = Field("", description="PEM CA that clients' certificates must be of.")
    api_proxies: str = Field("", description="Addresses whose X-Forwarded-For is believed.")
    api_origins: str = Field("", description="Web sites whose scripts may call the API (CORS).")
    api_address_per_min: int = Field(
        600, ge=0, description="Requests without a token a minute and address; 0: no limit."
    )
    api_user_per_min: int = Field(
        6000, ge=0, description="Requests a minute of each user or key; 0: no limit."
    )
    api_tenant_per_min: int = Field(
        0, ge=0, description="Requests a minute of each tenant without a quota; 0: no limit."
    )
    oidc_issuer: str = Field("", description="OpenID Connect issuer; empty: no single sign-on.")
    oidc_client_id: str = Field("", description="What the issuer calls Sentinel.")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="Its secret there, if any.")
    oidc_redirect: str = Field("", description="URL of /v1/auth/oidc/callback, as registered.")
    oidc_tenant: str = Field("default", description="Tenant of those that sign in there.")
    oidc_role: str = Field("", description="Role of who signs in first; empty: only known users.")
    metrics_host: str = Field("127.0.0.1", description="Address of a worker's metrics.")
    metrics_port: int = Field(0, ge=0, le=65535, description="Port of metrics; 0: a free one.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    secrets_key: SecretStr = Field(
        SecretStr(""), description="Base64 of 32 bytes, or env:/file:; empty: in SENTINEL_HOME."
    )
    deliver_allow: str = Field(
        "", description="Names and networks that deliveries may reach though they are not public."
    )

    connectors: str = Field("", description="YAML file of the inputs to read; see CONTRIBUTING.")
    mappings: str = Field("", description="Directory of mapping files: sources without Python.")

    intel: str = Field("", description="Folder of look-ups: feeds, benign lists, places, assets.")
    intel_token: SecretStr = Field(
        SecretStr(""), description="TAXII credential: user:password, or a bearer token."
    )
    opinions: str = Field(
        "", description="YAML file of services asked about alerts; empty: nothing leaves here."
    )
    findings: bool = Field(True, description="Compare scans with one another: states of findings.")

    rules: str = Field("", description="More Sigma rule directories, separated by colons.")
    model_threshold: float = Field(0.65, ge=0, le=1, description="Score at which a model alerts.")
    model_budget: float = Field(
        0, ge=0, description="Model alerts per entity and week instead; 0: the threshold decides."
    )
    models: str = Field("", description="Models that run, with commas; empty: the default ones.")
    risk_threshold: float = Field(2.0, ge=0, description="Risk at which an entity alerts; 0: off.")
    risk_half_life_h: float = Field(
        24.0, gt=0, description="Hours after which what adds to a risk counts half."
    )
    repeat_window_s: int = Field(
        3600, ge=1, description="Hits of a rule on an entity fold into one alert for this long."
    )
    checkpoint_s: float = Field(2.0, gt=0, description="Longest time between two checkpoints.")
    retention_days: int = Field(7, ge=1, description="Days that events are kept in PostgreSQL.")
    search_retention_days: int = Field(
        90, ge=1, le=36500, description="Days that events are kept in Elasticsearch."
    )
    max_event_bytes: int = Field(1_048_576, ge=1024, description="Larger events are dead letters.")

    @property
    def rule_dirs(self) -> tuple[Path, ...]:
        """The directories in `rules`, in order, and those imported, once there are any."""
        stated = [Path(part) for part in self.rules.split(":") if part]
        imported = [self.imported_rules] if self.imported_rules.is_dir() else []
        return tuple(dict.fromkeys([*stated, *imported]))

    @property
    def imported_rules(self) -> Path:
        """Where `sentinel rules import` puts rules unless told otherwise."""
        return self.home / "rules"


def load() -> Settings:
    """Read the settings from the environment.

    Raises
    ------
    SettingsError
        A variable has a value that does not fit; the message names each.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"SENTINEL_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}, found {e['input']!r}"
            for e in error.errors()
        ]
        raise SettingsError("; ".join(lines)) from error


#: How a value of a configuration file names a secret that is kept elsewhere.
ENV, FILE = "env:", "file:/"


def is_reference(text: str) -> bool:
    """Return whether a value names a secret instead of being one."""
    return text.startswith((ENV, FILE))


def resolve(text: str) -> str:
    """Return what ``env:NAME`` or ``file:/path`` stands for; any other text is itself.

    The line break at the end of a file is no part of the secret.

    Raises
    ------
    SettingsError
        The variable is not set, or the file cannot be read.
    """
    if text.startswith(ENV):
        found = os.environ.get(text.removeprefix(ENV))
        if found is None:
            raise SettingsError(f"expected the variable of {text} to be set, it is not")
        return found
    if text.startswith(FILE):
        try:
            return Path(text.removeprefix("file:")).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"expected a readable file at {text}, found: {error}") from error
    return text
