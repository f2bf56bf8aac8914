"""`python -m tests.bench`: compare with Dockerfiles and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import compileall
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx

from pipeline.errors import AgcError
from pipeline.files import write_text
from tests.bench.machine import LEAST_FREE, Machine, new_machine
from tests.bench.measure import BUMP, IN_TURN, SIDES, Sample, Scenario
from tests.bench.report import Findings, facts, markdown, summary
from tests.bench.scenarios import SMOKE, Comparison
from tests.bench.sides import matrix
from tests.engine.support import CHECKOUT

KEPT = CHECKOUT / ".bench"
RESULTS = KEPT / "results.json"
PAGE = CHECKOUT / "docs" / "benchmarks.md"
QUICK = ("node-bun-claude", "node-py-codex")
_PACKAGE = "@anthropic-ai/claude-code"


def main() -> int:
    """Run what the command line asks for; the exit code tells whether all of it could be measured."""
    options = _options()
    KEPT.mkdir(exist_ok=True)
    known = Findings.read(RESULTS) if options.resume or options.render else Findings()
    if options.render:
        findings = known
    else:
        wanted = [one for one in (*IN_TURN, SMOKE) if not options.only or one.name in options.only]
        if options.quick:
            wanted = [replace(one, rounds=1) for one in wanted]
        try:
            findings = _measure([one for one in wanted if one.name not in known.scenarios], known, quick=options.quick)
        except AgcError as error:
            sys.exit(f"bench: {error.message}" + (f"\n  {error.remedy}" if error.remedy else ""))
    if not (options.only or options.quick):
        write_text(PAGE, markdown(findings))
    _say("")
    for line in summary(findings):
        _say(line)
    return 1 if findings.failures else 0


def _measure(wanted: list[Scenario], findings: Findings, *, quick: bool) -> Findings:
    # Python compiles what it runs once; that belongs to neither side.
    compileall.compile_dir(CHECKOUT / "pipeline", quiet=1)
    started = time.monotonic()
    with new_machine(KEPT, SIDES, 0 if quick else LEAST_FREE) as machine:
        images = QUICK if quick else tuple(matrix())
        comparison = Comparison(machine, _versions(machine), KEPT / "logs", _say, images)
        comparison.prepare()
        findings = findings.told(facts(machine, comparison), datetime.now(UTC).date().isoformat())
        for scenario in wanted:
            findings = findings.without(scenario.name)
            try:
                for sample in _samples(comparison, scenario):
                    findings = findings.with_sample(sample)
            except (AgcError, OSError, ValueError, httpx.HTTPError, subprocess.CalledProcessError) as error:
                words = getattr(error, "stderr", None) or str(error)
                _say(f"{scenario.name} failed: {words}")
                findings = findings.with_failure(scenario.name, f"{type(error).__name__}: {words}")
            if not quick:
                write_text(RESULTS, json.dumps(findings.as_json(), indent=1))
    _say(f"measured in {(time.monotonic() - started) / 60:.0f} minutes")
    return findings


def _samples(comparison: Comparison, scenario: Scenario) -> Iterator[Sample]:
    if scenario.name == SMOKE.name:
        yield comparison.tested()
    else:
        yield from comparison.run(scenario)


def _versions(machine: Machine) -> list[str]:
    """Return the agent's newest versions, oldest first: one to begin with and one for each bump."""
    address = f"{machine.mirror.address}/{_PACKAGE}"
    document = httpx.get(address, headers={"Accept": "application/vnd.npm.install-v1+json"}, timeout=60).json()
    latest = document["dist-tags"]["latest"]
    known = [version for version in document["versions"] if "-" not in version]
    return known[: known.index(latest) + 1][-(BUMP.rounds + 1) :]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = [scenario.name for scenario in (*IN_TURN, SMOKE)]
    parser.add_argument("--only", action="append", choices=names, help="measure this and leave the page as it is")
    parser.add_argument("--quick", action="store_true", help="two images, one round, to try it out; keeps nothing")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run measured, do the rest")
    parser.add_argument("--render", action="store_true", help="write the page from the last results, measure nothing")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S}  {text}" if text else "", flush=True)  # noqa: T201  # it is a program


if __name__ == "__main__":
    sys.exit(main())
