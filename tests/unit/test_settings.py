"""`agc.toml` and the environment: what is read, what wins, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import DefinitionError, ErrorGroup, UsageError
from pipeline.platform import ARM64, PLATFORMS, host_platform
from pipeline.settings import Proxy, Settings, load_settings

FILE = """
cache = "from-file"
ca-bundle = "certs/ca.pem"

[proxy]
http = "http://file:1"
no = "localhost"

[mirrors]
"https://registry.npmjs.org/" = "https://npm.example/"

[engine]
host = "tcp://file:1234"
buildctl = "/opt/buildctl"
"""


def project(tmp_path: Path, text: str) -> Path:
    """Return a project whose agc.toml is `text`."""
    (tmp_path / "agc.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_project_without_a_file_has_defaults(tmp_path: Path) -> None:
    """Nothing needs to be written to begin with."""
    settings = load_settings(tmp_path, {})

    assert settings.cache.is_absolute()
    assert settings.cache.name == "agc"
    assert settings.engine.host == ""
    assert settings.root_source == "auto"


def test_paths_of_the_file_are_relative_to_the_project(tmp_path: Path) -> None:
    """It does not matter from which folder the program was started."""
    settings = load_settings(project(tmp_path, FILE), {})

    assert settings.cache == tmp_path / "from-file"
    assert settings.ca_bundle == tmp_path / "certs/ca.pem"
    assert settings.engine.buildctl == Path("/opt/buildctl")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """Each variable replaces its one setting and leaves the others."""
    settings = load_settings(
        project(tmp_path, FILE),
        {
            "AGC_CACHE": "/c",
            "AGC_CA_BUNDLE": "/ca.pem",
            "HTTP_PROXY": "http://env:2",
            "BUILDKIT_HOST": "unix:///b.sock",
            "AGC_BUILDCTL": "/b/buildctl",
            "AGC_ROOT_SOURCE": "bootstrap",
        },
    )

    assert settings.cache == Path("/c")
    assert settings.ca_bundle == Path("/ca.pem")
    assert settings.proxy == Proxy(http="http://env:2", no="localhost")
    assert settings.engine.host == "unix:///b.sock"
    assert settings.engine.buildctl == Path("/b/buildctl")
    assert settings.root_source == "bootstrap"


def test_a_bundle_that_the_machine_happens_to_name_yields_to_the_file(tmp_path: Path) -> None:
    """SSL_CERT_FILE is taken only where neither the file nor AGC_CA_BUNDLE says anything."""
    ambient = {"SSL_CERT_FILE": "/etc/some.pem"}

    assert load_settings(tmp_path, ambient).ca_bundle == Path("/etc/some.pem")
    assert load_settings(project(tmp_path, FILE), ambient).ca_bundle == tmp_path / "certs/ca.pem"


def test_the_longest_mirror_prefix_is_taken(tmp_path: Path) -> None:
    """Mirrors of the environment are added to those of the file."""
    settings = load_settings(
        project(tmp_path, FILE), {"AGC_MIRRORS": "https://registry.npmjs.org/@me/=https://mine/, http://deb/=http://d/"}
    )

    assert settings.mirrored("https://registry.npmjs.org/left-pad") == "https://npm.example/left-pad"
    assert settings.mirrored("https://registry.npmjs.org/@me/x") == "https://mine/x"
    assert settings.mirrored("http://deb/pool") == "http://d/pool"
    assert settings.mirrored("https://elsewhere/") == "https://elsewhere/"


@pytest.mark.parametrize("entry", ["https://a/", "=https://b/", "https://a/="])
def test_half_a_mirror_is_refused(tmp_path: Path, entry: str) -> None:
    """A prefix without a mirror would send requests to nowhere."""
    with pytest.raises(UsageError, match="AGC_MIRRORS"):
        load_settings(tmp_path, {"AGC_MIRRORS": entry})


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("cash = 1", "cash"),
        ("engine = 'docker'", "engine"),
        ("[engine]\nhosts = 'x'", "engine.hosts"),
        ("root-source = 'guess'", "root-source"),
        ("[engine]\ncache-gigabytes = 0", "engine.cache-gigabytes"),
    ],
)
def test_every_mistake_is_named_with_its_field_and_file(tmp_path: Path, text: str, field: str) -> None:
    """Unknown keys are mistakes too."""
    with pytest.raises(ErrorGroup) as caught:
        load_settings(project(tmp_path, text), {"BUILDKIT_HOST": "unix:///b"})

    assert [error.message.split(":")[0] for error in caught.value.errors] == [field]
    assert str(tmp_path / "agc.toml") in str(caught.value)


def test_a_file_that_is_no_toml_is_a_definition_error(tmp_path: Path) -> None:
    """The parser's words and the file are shown."""
    with pytest.raises(DefinitionError, match="not valid TOML"):
        load_settings(project(tmp_path, "cache ="), {})


def test_proxies_are_spelled_for_programs_and_for_the_engine() -> None:
    """Programs look at both cases; the engine has fields; what is not set is not there."""
    proxy = Proxy(https="http://p:1")

    assert proxy.as_environment() == {"https_proxy": "http://p:1", "HTTPS_PROXY": "http://p:1"}
    assert proxy.as_llb() == {"https_proxy": "http://p:1"}


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    """Neither a field nor what is in it."""
    settings: Settings = load_settings(project(tmp_path, FILE), {})

    with pytest.raises(TypeError):
        settings.mirrors["a"] = "b"  # type: ignore[index]
    with pytest.raises(ValueError, match="frozen"):
        settings.cache = Path("/")  # type: ignore[misc]


def test_what_a_remote_engine_needs_comes_from_both(tmp_path: Path) -> None:
    """Paths are relative to the project; lists of the environment have white space between."""
    text = (
        '[engine]\ntls-ca = "ca.pem"\ntls-cert = "c.pem"\ntls-key = "~/c.key"\ncache-from = ["type=registry,ref=a/b"]\n'
    )
    environment = {"AGC_TLS_CERT": "/env/c.pem", "AGC_CACHE_TO": " type=s3,bucket=b,region=r\n type=registry,ref=a/b "}

    engine = load_settings(project(tmp_path, text), environment).engine

    assert (engine.tls_ca, engine.tls_cert) == (tmp_path / "ca.pem", Path("/env/c.pem"))
    assert engine.tls_key == Path("~/c.key").expanduser()
    assert engine.cache_from == ("type=registry,ref=a/b",)
    assert engine.cache_to == ("type=s3,bucket=b,region=r", "type=registry,ref=a/b")


def test_what_an_engine_runs_natively_is_said_or_taken_from_this_machine(tmp_path: Path) -> None:
    """A name that is no platform is refused."""
    here = load_settings(tmp_path, {}).engine
    remote = load_settings(tmp_path, {"AGC_NATIVE_PLATFORMS": "linux/arm64"}).engine

    assert [platform for platform in PLATFORMS if not here.emulates(platform)] == [host_platform()]
    assert [platform for platform in PLATFORMS if not remote.emulates(platform)] == [ARM64]
    with pytest.raises(ErrorGroup, match="'linux/riscv64' is none of linux/amd64, linux/arm64"):
        load_settings(tmp_path, {"AGC_NATIVE_PLATFORMS": "linux/amd64 linux/riscv64"})


def test_what_is_wrong_is_told_by_where_it_stands(tmp_path: Path) -> None:
    """A variable by its name; a key of the file by the file, where there is one."""
    folder = project(tmp_path, "[engine]\ncache-gigabytes = 0\n")
    with pytest.raises(ErrorGroup) as caught:
        load_settings(folder, {"AGC_ROOT_SOURCE": "x"})
    first, second = caught.value.errors

    assert first.message.startswith("AGC_ROOT_SOURCE: Input should be 'auto'")
    assert first.location is None
    assert second.message.startswith("engine.cache-gigabytes: ")
    assert str(second.location) == str(folder / "agc.toml")


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    """Neither is of use alone."""
    with pytest.raises(ErrorGroup, match="engine: tls-cert and tls-key belong together"):
        load_settings(tmp_path, {"AGC_TLS_CERT": "/c.pem"})


def test_a_key_to_sign_with_is_relative_to_the_project(tmp_path: Path) -> None:
    """As all paths are; what is no path is left as it is."""
    text = '[sign]\nkey = "file:keys/release.key"\npassword-file = "keys/password"'

    sign = load_settings(project(tmp_path, text), {}).sign
    assert (sign.key, sign.password_file) == (f"file:{tmp_path}/keys/release.key", tmp_path / "keys/password")
    assert load_settings(tmp_path, {"AGC_SIGN_KEY": "env:KEY"}).sign.key == "env:KEY"


def test_two_ways_to_sign_are_one_too_many(tmp_path: Path) -> None:
    """Nobody is to guess which of them counts."""
    with pytest.raises(ErrorGroup, match="two ways to sign"):
        load_settings(tmp_path, {"AGC_SIGN_KEY": "env:KEY", "AGC_SIGN_KEYLESS": "1"})
