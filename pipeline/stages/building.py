"""Build one image on its platforms: smoke tests first, then the export, so that what fails is never written."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.catalog.record import per_blob
from pipeline.compose.image import Composition, combined_digest, compose
from pipeline.compose.layers import EPOCH
from pipeline.digest import Digest
from pipeline.engine.api import Compression, ImageContent, LayoutExport, ProgressSink, StepEvent, StepStatus
from pipeline.engine.layout import adopt, read_manifest, staged
from pipeline.errors import BuildError, SourceGoneError
from pipeline.resolve.plan import ImagePlan
from pipeline.settings import NPM_REGISTRY
from pipeline.stages.destinations import NOWHERE, Destinations
from pipeline.stages.made import Made
from pipeline.stages.outputs import Output, OutputKind, deliver, destination, run_command
from pipeline.stages.recording import Publication, publication
from pipeline.stages.report import ImageReport, LayerReport, PlatformReport
from pipeline.stages.results import Result, recall, recipe, remember
from pipeline.stages.roots import freshen
from pipeline.stages.workbench import Workbench
from pipeline.verify.cases import left_out, smoke_cases
from pipeline.verify.smoke import SmokeReport, run_smoke

_REFRESHES = 3


@dataclass
class Clock:
    """Wall time per stage."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to stage `name`."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] += time.monotonic() - started


@dataclass
class _FirstSeen:
    """Remembers of each step whether it was cached when it first ended."""

    sink: ProgressSink | None = None
    cached: dict[str, bool] = field(default_factory=dict)

    def __call__(self, event: StepEvent) -> None:
        if event.status in {StepStatus.CACHED, StepStatus.DONE}:
            self.cached.setdefault(event.name, event.status is StepStatus.CACHED)
        if self.sink:
            self.sink(event)


@dataclass(frozen=True, slots=True)
class Tested:
    """An image that passed its smoke tests, where any were run, and which of its steps were cached."""

    composition: Composition
    smoke: SmokeReport
    cached: dict[str, bool]


async def try_image(composition: Composition, bench: Workbench, *, locked: bool, tested: bool = True) -> Tested:
    """Build an image and run its smoke tests; the report may hold failures, any other failure is raised.

    A Debian package that left the archive is resolved again, unless `locked`. An image that need not be `tested` is
    only built, and its report is empty.
    """
    seen = _FirstSeen()
    plan = composition.plan
    emulated = tested and bench.settings.engine.emulates(plan.platform)
    if emulated and (names := left_out(composition)):
        bench.reporter.notify(
            f"note: {plan.name} on {plan.platform} is emulated; not run there: {', '.join(names)} "
            "(where the engine runs it natively, say so in engine.native-platforms)"
        )
    for _ in range(_REFRESHES + 1):
        with bench.reporter.stage(f"{plan.name} on {plan.platform}") as sink:
            seen.sink = sink
            try:
                # An engine has no answer to a graph of nothing, which an image without tests would come to.
                if cases := smoke_cases(composition, emulated=emulated) if tested else ():
                    report = await run_smoke(plan.name, cases, bench.engine, plan.platform, bench.layouts, seen)
                else:
                    await bench.engine.solve(
                        composition.rootfs, platform=plan.platform, layouts=bench.layouts, on_progress=seen
                    )
                    report = SmokeReport(plan.name, plan.platform)
            except BuildError as error:
                _name_component(error, plan)
                if locked or not isinstance(error, SourceGoneError) or error.url.startswith(NPM_REGISTRY):
                    raise
                gone = error
            else:
                return Tested(composition, report, seen.cached)
        plan = await freshen(plan, gone.url.rpartition("/")[2], bench)
        composition = compose(plan)
    raise gone


async def build_image(
    compositions: Sequence[Composition],
    output: Output,
    compression: Compression,
    bench: Workbench,
    tests: list[SmokeReport],
    *,
    locked: bool,
    tested: bool = True,
    on_pushed: Callable[[Publication], None] | None = None,
    on_made: Callable[[Made], None] | None = None,
    destinations: Destinations = NOWHERE,
) -> ImageReport:
    """Build, test and deliver one image, composed for all its platforms; raises and writes nothing where one fails.

    Every smoke report is added to `tests`, that of a failure too; without `tested` no smoke test is run. `on_made`
    hears of an image once it lies in its layout, `on_pushed` once all of it is in its registry, one of `destinations`.
    """
    clock = Clock()
    first = compositions[0].plan
    name = first.name
    engine = bench.settings.engine
    wanted = recipe(compositions, compression, engine, tested=tested)
    target = output.layout(bench.settings.cache)
    with clock.stage("look"):
        result = await recall(wanted, output, bench.settings, destinations)
    if result:
        ready = [Tested(*pair, {}) for pair in zip(wanted.compositions, wanted.reports, strict=True)]
        tests.extend(done.smoke for done in ready)
    else:
        ready = []
        for composition in compositions:
            with clock.stage("build"):
                done = await try_image(composition, bench, locked=locked, tested=tested)
            tests.append(done.smoke)
            done.smoke.raise_for_failures()
            ready.append(done)
        with clock.stage("export"):
            result = await _export(name, ready, target, compression, bench)
        with clock.stage("deliver"):
            await deliver(output, name, result.digest, bench)
            if output.kind is OutputKind.PUSH:
                from pipeline.stages.publishing import push_latest  # only who pushes pays for it

                with bench.reporter.stage(f"push {output.target}/{name}"):
                    await push_latest(_made(ready, result, target), output.target, destinations)
        made = recipe([done.composition for done in ready], compression, engine, tested=tested)
        remember(made, result, bench.settings)
    digest, manifests = result.digest, result.manifests
    platforms = tuple(
        PlatformReport(
            str(done.composition.plan.platform),
            manifests[str(done.composition.plan.platform)],
            done.composition.graph_digest,
            _layers(done, output, manifests[str(done.composition.plan.platform)], bench),
        )
        for done in ready
    )
    if on_made:
        on_made(_made(ready, result, target))
    if on_pushed and output.kind is OutputKind.PUSH:
        composed = [done.composition for done in ready]
        on_pushed(publication(f"{output.target}/{name}", digest, composed, manifests, target))
    secrets = dict.fromkeys(secret.name for program, _ in first.programs for secret in program.model.spec.secrets)
    return ImageReport(
        name,
        digest,
        combined_digest({platform.platform: platform.graph_digest for platform in platforms}),
        platforms,
        tuple(done.smoke for done in ready) if tested else (),
        dict(clock.seconds),
        destination(output, name),
        run_command(output, name, digest, tuple(secrets)),
        tested,
    )


def _made(ready: Sequence[Tested], result: Result, layout: Path) -> Made:
    compositions = tuple(done.composition for done in ready)
    return Made(compositions[0].plan.name, compositions, result, layout, tuple(done.smoke for done in ready))


async def _export(
    name: str, ready: Sequence[Tested], target: Path, compression: Compression, bench: Workbench
) -> Result:
    """Write an image into the layout `target`, and return what it came to.

    One image at a time: side by side, each would be sent the layers it shares with the others.
    """
    manifests: dict[str, Digest] = {}
    async with bench.exporting:
        with staged(target) as staging:
            for done in ready:
                export = LayoutExport(staging, _content(done.composition, compression))
                with bench.reporter.stage("export") as sink:
                    solved = await bench.engine.solve(
                        done.composition.rootfs,
                        platform=done.composition.plan.platform,
                        layouts=bench.layouts,
                        exports=(export,),
                        on_progress=sink,
                    )
                if solved.digest is None:
                    raise BuildError(f"the engine named no digest for {name}")
                manifests[str(done.composition.plan.platform)] = solved.digest
            return Result(adopt(staging, target, name, manifests), manifests)


def _name_component(error: BuildError, plan: ImagePlan) -> None:
    """Put the name of the component that asked for what failed into the remedy: an engine knows only the place."""
    components = (item for item, _ in (*plan.toolchains, *plan.brought, *plan.programs))
    for defined in (plan.base, *components):
        if error.location and defined.at().file == error.location.file:
            error.remedy = error.remedy.replace("--upgrade NAME", f"--upgrade {defined.name}")


def _content(composition: Composition, compression: Compression) -> ImageContent:
    return ImageContent(composition.plan.name, composition.config, EPOCH, compression)


def _layers(done: Tested, output: Output, digest: Digest, bench: Workbench) -> tuple[LayerReport, ...]:
    """Return the layers of the written manifest, each with the component it holds; a root image may have several."""
    blobs = read_manifest(output.layout(bench.settings.cache), digest).layers
    components = [layer.component for layer in done.composition.layers]
    named = per_blob(components, len(blobs), done.composition.plan.name)
    # A root is a source, which an engine never calls cached; it was built if it was bootstrapped just now.
    cached = {**done.cached, components[0]: done.composition.plan.root.digest not in bench.made}
    return tuple(
        LayerReport(component, blob.digest, blob.size, cached.get(component, True))
        for component, blob in zip(named, blobs, strict=True)
    )
