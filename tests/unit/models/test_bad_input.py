"""What a person gets to read who wrote a definition wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import AgcError, ErrorGroup, ExitCode
from pipeline.models.document import SIZE_LIMIT
from pipeline.models.load import load_definitions

ROOT = """\
apiVersion: agentcontainers/v1
kind: Root
metadata:
  name: tiny
spec:
  distribution: debian
  suite: trixie
  image: docker.io/library/debian:trixie-slim
  bootstrap: {}
"""
TOOLCHAIN = """\
apiVersion: agentcontainers/v1
kind: Toolchain
metadata:
  name: node
spec:
  packages:
    - npm: node
      binaries:
        node: bin/node
  provides:
    node: node
"""
BASE = """\
apiVersion: agentcontainers/v1
kind: Base
metadata:
  name: plain
spec:
  root: tiny
  toolchains: [node]
  commonTools: []
"""
AGENT = """\
apiVersion: agentcontainers/v1
kind: Agent
metadata:
  name: claude
spec:
  packages:
    - npm: claude
      version: latest
      binaries:
        claude: bin/claude
  command: [claude]
  licence:
    publish: baked
    name: MIT
  requires: [node >=22]
  env:
    A: b
  egress:
    - host: api.example.com
      purpose: model
      verified: 2026-11-21
  smoke:
    - name: works
      run: [claude]
      timeout: 5
"""
FILES = {"agent.yaml": AGENT, "base.yaml": BASE, "node.yaml": TOOLCHAIN, "tiny.yaml": ROOT}


def errors_of(folder: Path, **files: str | bytes) -> tuple[AgcError, ...]:
    """Return what is wrong with the good project in which `files` (`agent=…` for agent.yaml) are replaced or added."""
    for name, text in {**FILES, **{f"{name}.yaml": text for name, text in files.items()}}.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        load_definitions([folder], folder)
    except ErrorGroup as group:
        return group.errors
    return ()


def lines_of(folder: Path, **files: str | bytes) -> list[str]:
    """Return the same as the lines a person reads: error, then remedy."""
    errors = errors_of(folder, **files)
    assert all(error.exit_code is ExitCode.DEFINITION for error in errors)
    return [f"{error} -- {error.remedy}" if error.remedy else str(error) for error in errors]


FORM = "does not have the right form -- write it like"
MISTAKES = {
    "unknown key": (
        ("  command: [claude]", "  comand: [claude]\n  command: [claude]"),
        "agent.yaml:11:3: unknown key `spec.comand` -- did you mean command?",
    ),
    "unknown key deep down": (
        ("      timeout: 5", "      timeot: 5"),
        "agent.yaml:25:7: unknown key `spec.smoke.0.timeot` -- did you mean timeout?",
    ),
    "unknown key in the spelling of Python": (
        ("  smoke:", "  health:\n    command: [x]\n    start_period: 5\n  smoke:"),
        "agent.yaml:24:5: unknown key `spec.health.start_period` -- did you mean startPeriod?",
    ),
    "missing key": (
        ("    name: MIT\n", ""),
        "agent.yaml:12:3: `spec.licence.name` is missing -- add `name:` here",
    ),
    "text where a list belongs": (
        ("command: [claude]", "command: claude"),
        "agent.yaml:11:3: `spec.command` must be a list, not 'claude'",
    ),
    "list where a mapping belongs": (
        ("  env:\n    A: b", "  env: [A=b]"),
        "agent.yaml:16:3: `spec.env` must be a mapping, not a list",
    ),
    "number written as text": (
        ("timeout: 5", 'timeout: "5"'),
        "agent.yaml:25:7: `spec.smoke.0.timeout` must be a whole number, not '5'",
    ),
    "truth for a number": (
        ("timeout: 5", "timeout: true"),
        "agent.yaml:25:7: `spec.smoke.0.timeout` must be a whole number, not True",
    ),
    "number out of range": (
        ("timeout: 5", "timeout: 0"),
        "agent.yaml:25:7: `spec.smoke.0.timeout`: input should be greater than or equal to 1, not 0",
    ),
    "number in env": (
        ("A: b", "A: 8080"),
        "agent.yaml:17:5: `spec.env.A`: must be text; put it in quotes",
    ),
    "truth in env": (("A: b", "A: no"), "agent.yaml:17:5: `spec.env.A`: must be text; put it in quotes"),
    "empty list": (("command: [claude]", "command: []"), "agent.yaml:11:3: `spec.command` must not be empty"),
    "nothing where a mapping belongs": (
        ("  licence:\n    publish: baked\n    name: MIT", "  licence:"),
        "agent.yaml:12:3: `spec.licence` must be a mapping, not nothing",
    ),
    "nothing in env": (
        ("A: b", "A:"),
        "agent.yaml:17:5: `spec.env.A` must be text, not nothing",
    ),
    "number for a version": (
        ("version: latest", "version: 1.10"),
        "agent.yaml:8:7: `spec.packages.0.version`: must be text; put it in quotes",
    ),
    "bad name of a variable": (
        ("A: b", "1A: b"),
        f"agent.yaml:17:5: `spec.env.1A`: '1A' {FORM} `ANTHROPIC_API_KEY`",
    ),
    "bad name": (
        ("name: claude", "name: Claude"),
        f"agent.yaml:4:3: `metadata.name`: 'Claude' {FORM} `node-bun`: small letters, digits and dashes, 40 at most",
    ),
    "control character": (
        ("A: b", 'A: "a\\u001b[31m"'),
        "agent.yaml:17:5: `spec.env.A`: control characters are not allowed",
    ),
    "path that leaves": (
        ("claude: bin/claude", "claude: ../claude"),
        (
            "agent.yaml:10:9: `spec.packages.0.binaries.claude`: must be a path below the component's folder, "
            "without spaces, `.`, `..` or `//`"
        ),
    ),
    "no path": (
        ("claude: bin/claude", 'claude: ""'),
        "agent.yaml:10:9: `spec.packages.0.binaries.claude`: must name a file",
    ),
    "relative path for a volume": (
        ("  smoke:", "  volumes: [{path: home, purpose: config}]\n  smoke:"),
        (
            "agent.yaml:22:14: `spec.volumes.0.path`: must be an absolute path without spaces, `.`, `..`, `//` "
            "or a slash at the end"
        ),
    ),
    "volume over the system": (
        ("  smoke:", "  volumes: [{path: /usr/local/bin, purpose: config}]\n  smoke:"),
        "agent.yaml:22:14: `spec.volumes.0.path`: /usr/local/bin belongs to the system and cannot be given to the user",
    ),
    "bad choice": (
        ("  smoke:", "  volumes: [{path: /data, purpose: stuff}]\n  smoke:"),
        (
            "agent.yaml:22:27: `spec.volumes.0.purpose`: input should be 'config', 'state', 'cache' or 'workspace', "
            "not 'stuff'"
        ),
    ),
    "bad host": (
        ("api.example.com", "https://api.example.com"),
        f"agent.yaml:19:7: `spec.egress.0.host`: 'https://api.example.com' {FORM} `api.example.com` or `*.example.com`",
    ),
    "bad date": (
        ("2026-11-21", "2026-02-30"),
        (
            "agent.yaml:21:7: `spec.egress.0.verified`: input should be a valid date or datetime, day value is outside "
            "expected range, not '2026-02-30'"
        ),
    ),
    "bad range": (
        ("version: latest", "version: newest"),
        (
            "agent.yaml:8:7: `spec.packages.0.version`: is no version range; "
            "write `latest`, `2.1.330`, `^2`, or `>=24.16 <25 || >=26.1`"
        ),
    ),
    "bad range in what is required": (
        ("node >=22", "node abc"),
        (
            "agent.yaml:15:14: `spec.requires.0`: is no version range; "
            "write `latest`, `2.1.330`, `^2`, or `>=24.16 <25 || >=26.1`"
        ),
    ),
    "latest in what is required": (
        ("node >=22", "node latest"),
        "agent.yaml:15:14: `spec.requires.0`: needs a range, as in `node >=22`, or nothing after the name",
    ),
    "bad package": (
        ("npm: claude", "npm: Claude Code"),
        f"agent.yaml:7:7: `spec.packages.0.npm`: 'Claude Code' {FORM} `npm` or `@scope/package`",
    ),
    "bad platform": (
        ("      binaries:", "      platforms: {linux/mips: x}\n      binaries:"),
        (
            "agent.yaml:9:19: `spec.packages.0.platforms.linux/mips`: unknown platform 'linux/mips'; "
            "use one of: linux/amd64, linux/arm64"
        ),
    ),
    "work without a file": (
        ("      timeout: 5", "      depth: work"),
        "agent.yaml:23:7: `spec.smoke.0`: `depth: work` and `expectFile` go together: the agent is to write it",
    ),
    "a file without work": (
        ("      timeout: 5", "      expectFile: {path: a, content: b}"),
        "agent.yaml:23:7: `spec.smoke.0`: `depth: work` and `expectFile` go together: the agent is to write it",
    ),
    "work with a network": (
        ("      timeout: 5", "      depth: work\n      network: host\n      expectFile: {path: a, content: b}"),
        "agent.yaml:23:7: `spec.smoke.0`: a work test has no network; the mock is all it may reach",
    ),
    "files without work": (
        ("      timeout: 5", "      files: {/home/dev/a: b}"),
        "agent.yaml:23:7: `spec.smoke.0`: only a work test may put `files` in place",
    ),
    "an expected file outside the workspace": (
        ("      timeout: 5", "      depth: work\n      expectFile: {path: ../a, content: b}"),
        (
            "agent.yaml:26:20: `spec.smoke.0.expectFile.path`: must be a path below the component's folder, "
            "without spaces, `.`, `..` or `//`"
        ),
    ),
    "two tests of one name": (
        ("    - name: works", "    - {name: works, run: [a]}\n    - name: works"),
        "agent.yaml:22:3: `spec.smoke`: 'works' is there twice",
    ),
    "duplicate key": (
        ("  command: [claude]", "  command: [claude]\n  command: [claude]"),
        "agent.yaml:12:3: duplicate key `command`, first written at line 11",
    ),
    "wrong version of the format": (
        ("agentcontainers/v1", "agentcontainers/v2"),
        "agent.yaml:1:1: `apiVersion` must be `agentcontainers/v1`",
    ),
    "unknown kind": (
        ("kind: Agent", "kind: Agnet"),
        "agent.yaml:2:1: unknown kind 'Agnet' -- did you mean Agent?",
    ),
    "no kind": (
        ("kind: Agent\n", ""),
        (
            "agent.yaml:1:1: `kind` is missing -- known: Agent, Base, Combo, CommonTools, Matrix, Policy, Root, Stack, "
            "TagPolicy, Toolchain, Toolpack, Vex"
        ),
    ),
    "kind that is a list": (
        ("kind: Agent", "kind: [Agent]"),
        "agent.yaml:2:1: unknown kind a list -- did you mean Agent?",
    ),
    "anchor": (
        ("command: [claude]", "command: &it [claude]"),
        "agent.yaml:11:12: anchors and aliases are not supported -- write the value out",
    ),
    "alias": (
        ("A: b", "A: *it"),
        "agent.yaml:17:8: anchors and aliases are not supported -- write the value out",
    ),
    "tag": (
        ("A: b", "A: !!python/object:os.system b"),
        "agent.yaml:17:8: tags are not supported -- write the plain value",
    ),
    "tag on a mapping": (
        ("  env:\n", "  env: !mine\n"),
        "agent.yaml:16:8: tags are not supported -- write the plain value",
    ),
    "tab": (
        ("  command: [claude]", "\tcommand: [claude]"),
        (
            "agent.yaml:11:1: malformed YAML: while scanning a plain scalar found a tab character that violates "
            "indentation"
        ),
    ),
    "open bracket": (
        ("[claude]", "[claude"),
        "agent.yaml:12:10: malformed YAML: while parsing a flow sequence did not find expected ',' or ']'",
    ),
    "raw control character": (("A: b", "A: \x07b"), "agent.yaml:17:8: malformed YAML: control characters"),
    "two documents": (
        ("      timeout: 5\n", "      timeout: 5\n---\na: b\n"),
        "agent.yaml:26:1: malformed YAML: expected a single document in the stream but found another document",
    ),
    "number no computer holds": (
        ("timeout: 5", "timeout: " + "9" * 5000),
        "agent.yaml:25:7: `spec.smoke.0.timeout` must be a whole number, not '" + "9" * 56 + "…",
    ),
}


@pytest.mark.parametrize(("change", "line"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_place_and_what_to_write(
    tmp_path: Path, change: tuple[str, str], line: str
) -> None:
    """One mistake, one line, the right file, line and column."""
    assert change[0] in AGENT
    lines = lines_of(tmp_path, agent=AGENT.replace(*change, 1))

    assert lines[0] == line
    assert all(".yaml:" in other and len(other) < 400 for other in lines)


WHOLE_FILES = {
    "empty": (b"", "bad.yaml: is empty"),
    "comment only": (b"# nothing\n", "bad.yaml: is empty"),
    "no mapping": (b"- a\n- b\n", "bad.yaml:1:1: a definition is a mapping"),
    "text": (b"hello", "bad.yaml:1:1: a definition is a mapping"),
    "no UTF-8": (b"kind: \xff\xfe", "bad.yaml: is not UTF-8: invalid start byte"),
    "UTF-16": ("kind: Agent".encode("utf-16"), "bad.yaml: is not UTF-8: invalid start byte"),
    "deep": (b"[" * 20_000 + b"]" * 20_000, "bad.yaml:1:41: is nested more than 40 levels deep"),
    "deep and open": (b"a: " + b"{b: " * 20_000, "bad.yaml:1:160: is nested more than 40 levels deep"),
    "a key that is no text": (
        b"apiVersion: agentcontainers/v1\nkind: Root\n? [a]\n: b\n",
        "bad.yaml:3:3: a key must be text",
    ),
}


@pytest.mark.parametrize(("content", "line"), WHOLE_FILES.values(), ids=WHOLE_FILES.keys())
def test_a_file_that_is_no_definition_is_refused(tmp_path: Path, content: bytes, line: str) -> None:
    """Whatever it is instead."""
    assert line in lines_of(tmp_path, bad=content)


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    """Ten megabytes of it, sparse: reading them would be seen."""
    with (tmp_path / "bad.yaml").open("wb") as file:
        file.truncate(10 * SIZE_LIMIT)

    assert lines_of(tmp_path) == ["bad.yaml: is larger than 1 MiB"]


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """As anything that cannot be read."""
    (tmp_path / "bad.yaml").mkdir()

    assert lines_of(tmp_path) == ["bad.yaml: cannot be read: Is a directory"]


CREDENTIALS = {
    "anthropic": "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUv",
    "openai": "sk-proj-0123456789abcdefABCD",
    "github": "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "github fine": "github_pat_11AAAAAAA0aaaaaaaaaaaaaaaa_bbbb",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "slack": "xoxb-123456789012-abcdefghijkl",
    "hugging face": "hf_abcdefghijklmnopqrstuvwxyz",
    "google": "AIzaSyA0123456789abcdefghijklmnopqrstu",
    "private key": "-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXk",
}
SPOTS = {
    "env": "A: b",
    "env as a list": "  env:\n    A: b",
    "name of a variable": "  smoke:",
    "argument": "run: [claude]",
    "host": "api.example.com",
    "package": "npm: claude",
    "number": "timeout: 5",
}


@pytest.mark.parametrize("secret", CREDENTIALS.values(), ids=CREDENTIALS.keys())
@pytest.mark.parametrize("spot", SPOTS)
def test_a_credential_is_refused_wherever_it_stands_and_never_repeated(tmp_path: Path, spot: str, secret: str) -> None:
    """Error messages end in logs that many people read."""
    written = {
        "env": f"A: '{secret}'",
        "env as a list": f"  env: ['A={secret}']",
        "name of a variable": f"  secrets: [{{name: '{secret}', description: d}}]\n  smoke:",
        "argument": f"run: [claude, '{secret}']",
        "host": f"'{secret}'",
        "package": f"npm: '{secret} x'",
        "number": f"timeout: '{secret}'",
    }[spot]
    lines = lines_of(tmp_path, agent=AGENT.replace(SPOTS[spot], written, 1))

    assert lines
    assert secret[8:] not in "\n".join(lines)


def test_a_credential_is_named_as_what_it_is(tmp_path: Path) -> None:
    """With what to do about it."""
    assert lines_of(tmp_path, agent=AGENT.replace("A: b", f"A: {CREDENTIALS['anthropic']}")) == [
        (
            "agent.yaml:17:5: `spec.env.A`: this looks like a credential; "
            "name the secret under `secrets` instead of writing its value"
        ),
    ]


def test_two_definitions_of_one_name_name_both_places(tmp_path: Path) -> None:
    """The second is the mistake, the first is where to look."""
    assert lines_of(tmp_path, other=AGENT) == [
        "other.yaml:4:3: duplicate name: Agent `claude` is defined in agent.yaml:4:3 already -- rename one of them"
    ]


def test_two_kinds_may_share_a_name(tmp_path: Path) -> None:
    """A toolchain `claude` beside an agent `claude` is no duplicate."""
    assert lines_of(tmp_path, other=TOOLCHAIN.replace("  name: node", "  name: claude")) == []


def test_what_is_referred_to_must_be_there(tmp_path: Path) -> None:
    """Root, toolchains and common tools, all at once."""
    base = BASE.replace("tiny", "tny").replace("[node]", "[node, nod]").replace("commonTools: []", "commonTools: [all]")

    assert lines_of(tmp_path, base=base) == [
        "base.yaml:6:3: there is no root named `tny` -- did you mean tiny?",
        "base.yaml:7:22: there is no toolchain named `nod` -- did you mean node?",
        "base.yaml:8:17: there is no set of common tools named `all` -- none is defined",
    ]


def test_a_capability_takes_its_version_from_a_package_of_its_own(tmp_path: Path) -> None:
    """Any other would have no version."""
    assert lines_of(tmp_path, node=TOOLCHAIN.replace("    node: node", "    node: nodejs")) == [
        (
            "node.yaml:11:5: `node` takes its version from 'nodejs', which is not among `packages` or `debian`"
            " -- did you mean node?"
        )
    ]


def test_a_toolchain_twice_is_one_too_many(tmp_path: Path) -> None:
    """It would be two layers of the same files."""
    assert lines_of(tmp_path, base=BASE.replace("[node]", "[node, node]")) == [
        "base.yaml:7:3: `spec.toolchains`: 'node' is there twice"
    ]


def test_errors_of_all_files_come_together_in_order(tmp_path: Path) -> None:
    """By file, line and column; what refers to a broken file is not blamed for it."""
    lines = lines_of(
        tmp_path,
        agent=AGENT.replace("A: b", "A: 1").replace("api.example.com", "nohost"),
        node="kind: [",
        tiny=ROOT.replace("suite: trixie", "suite: trixie\n  suit: x").replace("kind: Root", "kind: Rot"),
    )

    assert [line.partition(": ")[0] for line in lines] == [
        "agent.yaml:17:5",
        "agent.yaml:19:7",
        "node.yaml:2:1",
        "tiny.yaml:2:1",
    ]


def test_both_head_keys_are_reported(tmp_path: Path) -> None:
    """Not one after the other was mended."""
    assert len(lines_of(tmp_path, agent="a: b")) == 2
