"""How this machine reaches the world: `agc.toml` and the environment. Nothing here ever enters a digest.

Order, last wins: built-in defaults, `agc.toml` of the project, environment variables. Only SSL_CERT_FILE, which is set
on many machines without a thought of this program, yields to the file. The file's form:

    ca-bundle = "/etc/ssl/certs/ca-certificates.crt"
    cache = "/var/cache/agc"

    [proxy]
    http = "http://proxy.example:3128"

    [mirrors]                       # public URL prefix = what to ask instead
    "https://registry.npmjs.org/" = "https://npm.example/"

    [engine]
    host = "tcp://buildkit.example:1234"
    tls-ca = "certs/ca.pem"
    tls-cert = "certs/client.pem"
    tls-key = "certs/client.key"
    cache-from = ["type=registry,ref=registry.example/agc-cache"]

    [sign]
    key = "file:keys/release.key"

    [gate]
    osv = "osv"

    [publish]
    private = ["registry.example/team"]   # read by nobody outside: images that may not be passed on may go there
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.engine_name import EngineName
from pipeline.errors import DefinitionError, ErrorGroup, Location, UsageError
from pipeline.mirrors import mirrored
from pipeline.platform import PLATFORMS, Platform, is_native

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SYSTEM_CA_BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/cert.pem"),
)
NPM_REGISTRY = "https://registry.npmjs.org/"
PYPI_INDEX = "https://pypi.org/simple/"
PYPI_FILES = "https://files.pythonhosted.org/"
DEBIAN_ARCHIVE = "http://deb.debian.org/debian"
DEBIAN_SECURITY = "http://deb.debian.org/debian-security"
BUILDKIT_VERSION = "v0.32.1"

_VARIABLES = (
    ("", "cache", ("AGC_CACHE",)),
    ("", "ca-bundle", ("AGC_CA_BUNDLE",)),
    ("", "root-source", ("AGC_ROOT_SOURCE",)),
    ("proxy", "http", ("http_proxy", "HTTP_PROXY")),
    ("proxy", "https", ("https_proxy", "HTTPS_PROXY")),
    ("proxy", "no", ("no_proxy", "NO_PROXY")),
    ("engine", "name", ("AGC_ENGINE",)),
    ("engine", "host", ("BUILDKIT_HOST",)),
    ("engine", "buildctl", ("AGC_BUILDCTL",)),
    ("engine", "tls-ca", ("AGC_TLS_CA",)),
    ("engine", "tls-cert", ("AGC_TLS_CERT",)),
    ("engine", "tls-key", ("AGC_TLS_KEY",)),
    ("engine", "tls-server-name", ("AGC_TLS_SERVER_NAME",)),
    ("engine", "native-platforms", ("AGC_NATIVE_PLATFORMS",)),
    ("engine", "cache-to", ("AGC_CACHE_TO",)),
    ("engine", "cache-from", ("AGC_CACHE_FROM",)),
    ("sign", "keyless", ("AGC_SIGN_KEYLESS",)),
    ("sign", "key", ("AGC_SIGN_KEY",)),
    ("sign", "public-key", ("AGC_SIGN_PUBLIC_KEY",)),
    ("sign", "password-file", ("AGC_SIGN_PASSWORD_FILE",)),
    ("sign", "trust-config", ("AGC_TRUST_CONFIG",)),
    ("publish", "private", ("AGC_PRIVATE_REGISTRIES",)),
    ("publish", "token-hosts", ("AGC_TOKEN_HOSTS",)),
)

_PATHS = {
    "engine": ("buildctl", "tls_ca", "tls_cert", "tls_key"),
    "sign": ("public_key", "password_file", "trust_config"),
}

ScannerName: TypeAlias = Literal["auto", "osv", "trivy", "grype"]
SeverityName: TypeAlias = Literal["low", "medium", "high", "critical"]
Words = Annotated[tuple[str, ...], BeforeValidator(lambda value: value.split() if isinstance(value, str) else value)]
Frozen = Annotated[Mapping[str, str], AfterValidator(lambda value: MappingProxyType(dict(value)))]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"))


class Proxy(_Part):
    """Proxies for everything that is fetched."""

    http: str = ""
    https: str = ""
    no: str = ""

    def as_environment(self) -> dict[str, str]:
        """Return the variables programs look at, in both cases they are looked for."""
        named = {"http_proxy": self.http, "https_proxy": self.https, "no_proxy": self.no}
        return {key: value for name, value in named.items() if value for key in (name, name.upper())}

    def as_llb(self) -> dict[str, str]:
        """Return the fields of LLB's ProxyEnv that are set."""
        named = {"http_proxy": self.http, "https_proxy": self.https, "no_proxy": self.no}
        return {name: value for name, value in named.items() if value}


class EngineSettings(_Part):
    """Which engine builds. An empty `host` means: find or start one.

    `native_platforms` are those that it runs without emulation, none for this machine's. The rest is about BuildKit:
    `archive` is the URL of a BuildKit release archive to take the programs from, instead of building them. What begins
    with `tls` is for a `tcp://` host; `cache_to` and `cache_from` are places where engines share what they built.
    """

    name: EngineName = EngineName.BUILDKIT
    native_platforms: Words = ()
    host: str = ""
    image: str = f"docker.io/moby/buildkit:{BUILDKIT_VERSION}"
    buildctl: Path | None = None
    cache_gigabytes: int = Field(default=40, ge=1)
    archive: str = ""
    archive_sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_server_name: str = ""
    cache_to: Words = ()
    cache_from: Words = ()

    def emulates(self, platform: Platform) -> bool:
        """Tell whether the engine emulates a platform: tests then have longer, and some cannot pass."""
        return str(platform) not in self.native_platforms if self.native_platforms else not is_native(platform)

    @field_validator("native_platforms")
    @classmethod
    def _are_platforms(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in map(str, PLATFORMS)]:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(map(str, PLATFORMS))}")
        return names

    @model_validator(mode="after")
    def _archive_is_pinned(self) -> Self:
        if bool(self.archive) != bool(self.archive_sha256):
            raise ValueError("archive and archive-sha256 belong together: write both or neither")
        return self

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls-cert and tls-key belong together: write both or neither")
        return self


class SignSettings(_Part):
    """With what images are signed: a CI system's identity, or a key. Neither means that nothing is signed.

    `key` is `file:PATH`, `env:NAME`, or an address that securesystemslib knows, which needs the `public_key` beside it.
    The password of a key stands in `password_file` or in AGC_SIGN_PASSWORD, and never here. `trust_config` names the
    services of a private Sigstore. `legacy` adds the tags that older verifiers look for.
    """

    keyless: bool = False
    key: str = ""
    public_key: Path | None = None
    password_file: Path | None = None
    trust_config: Path | None = None
    legacy: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.keyless and self.key:
            raise ValueError("keyless and key are two ways to sign: write one of them")
        return self


class GateSettings(_Part):
    """What keeps an image from being published.

    `osv` is a folder with OSV's data, or the address of such a folder. `severity` is the least that counts. An
    unknown severity counts, too.
    """

    scanner: ScannerName = "auto"
    osv: str = ""
    max_age_days: float = Field(default=5, gt=0, le=365, allow_inf_nan=False)
    severity: SeverityName = "high"
    fixable_only: bool = False
    mode: Literal["enforce", "warn"] = "enforce"

    @property
    def osv_url(self) -> str:
        """The address of OSV's data, where it is not a folder."""
        return self.osv if self.osv.startswith(("http://", "https://")) else ""


class PublishSettings(_Part):
    """Where images may go: `private` are registries, or namespaces of them, that nobody outside reads.

    `token_hosts` are hosts that may be sent a registry's login, beside those of the registry's own domain.
    """

    private: Words = ()
    token_hosts: Words = ()


class Settings(_Part):
    """All of it, as values: paths are absolute, nothing is looked up later."""

    cache: Path
    ca_bundle: Path | None = None
    root_source: Literal["auto", "image", "bootstrap"] = "auto"
    proxy: Proxy = Proxy()
    mirrors: Frozen = Field(default_factory=lambda: MappingProxyType({}))
    engine: EngineSettings = EngineSettings()
    sign: SignSettings = SignSettings()
    gate: GateSettings = GateSettings()
    publish: PublishSettings = PublishSettings()

    def on_engine(self, name: EngineName | None) -> Self:
        """Return the settings with another engine, where one is named."""
        engine = self.engine.model_copy(update={"name": name}) if name else self.engine
        return self.model_copy(update={"engine": engine})

    def mirrored(self, url: str) -> str:
        """Return `url` with the longest matching mirror prefix replaced."""
        return mirrored(url, self.mirrors.items())


def load_settings(project: Path, environment: Mapping[str, str]) -> Settings:
    """Return the settings for `project`; raises ErrorGroup of DefinitionError where agc.toml or a variable is wrong."""
    path = project / "agc.toml"
    document = _read(path) if path.is_file() else {}
    variables = _add_environment(document, environment)
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise ErrorGroup(tuple(_problem(part, variables, path) for part in error.errors())) from error
    return _absolute(settings, project)


def _problem(part: ErrorDetails, variables: Mapping[str, str], path: Path) -> DefinitionError:
    """Return what is wrong with a key, by the variable that set it or else the file."""
    key = ".".join(map(str, part["loc"]))
    name = variables.get(".".join(map(str, part["loc"][:2])), "")
    location = Location(str(path)) if path.is_file() and not name else None
    return DefinitionError(f"{name or key}: {part['msg'].removeprefix('Value error, ')}", location=location)


def _add_environment(document: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Put what variables say into a document; return which of them says which key."""
    said = {}
    for section, name, variables in _VARIABLES:
        variable = next((variable for variable in variables if environment.get(variable)), None)
        # A section that is no table is left for the validation to complain of.
        part = document.setdefault(section, {}) if section else document
        if variable and isinstance(part, dict):
            part[name] = environment[variable]
            said[f"{section}.{name}".removeprefix(".")] = variable
    document.setdefault("cache", platformdirs.user_cache_dir("agc"))
    system = next((bundle for bundle in SYSTEM_CA_BUNDLES if bundle.is_file()), None)
    document.setdefault("ca-bundle", environment.get("SSL_CERT_FILE") or system)
    if mirrors := environment.get("AGC_MIRRORS"):
        document["mirrors"] = {**document.get("mirrors", {}), **dict(map(_mirror, mirrors.split(",")))}
    return said


def _mirror(entry: str) -> tuple[str, str]:
    prefix, _, mirror = entry.strip().partition("=")
    if not (prefix and mirror):
        raise UsageError(f"AGC_MIRRORS: {entry!r} is no mirror", remedy="write PREFIX=MIRROR, with commas between")
    return prefix, mirror


def _absolute(settings: Settings, project: Path) -> Settings:
    """Return the settings with every path made absolute; a relative one is relative to the project."""
    base = project.absolute()
    bundle = settings.ca_bundle
    sections = {name: _absolute_section(getattr(settings, name), names, base) for name, names in _PATHS.items()}
    if settings.sign.key.startswith("file:"):
        key = base / Path(settings.sign.key.removeprefix("file:")).expanduser()
        sections["sign"] = sections["sign"].model_copy(update={"key": f"file:{key}"})
    if settings.gate.osv and not settings.gate.osv_url:
        osv = base / Path(settings.gate.osv).expanduser()
        sections["gate"] = settings.gate.model_copy(update={"osv": str(osv)})
    top = {"cache": base / settings.cache.expanduser(), "ca_bundle": bundle and base / bundle.expanduser()}
    return settings.model_copy(update={**top, **sections})


def _absolute_section(section: _Part, names: tuple[str, ...], base: Path) -> _Part:
    paths = {name: path for name in names if (path := getattr(section, name))}
    return section.model_copy(update={name: base / path.expanduser() for name, path in paths.items()})


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DefinitionError(f"not valid TOML: {error}", location=Location(str(path))) from error
