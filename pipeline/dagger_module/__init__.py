"""Reproducible, tested container images of AI coding agents.

Each function is the command of `agc` with the same name, and takes what that takes.
"""

# No `from __future__ import annotations`: Dagger reads the annotations when a class is made.

import io
import json as json_text
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import anyio.to_thread
import dagger
from dagger import Doc, check, function, object_type

from pipeline import flow
from pipeline.catalog.store import catalog_path, read_catalog
from pipeline.cli.app import COMMANDS, Invocation, Session, command_line
from pipeline.cli.options import platforms as parse_platforms
from pipeline.cli.output import text_of
from pipeline.compose.image import compose
from pipeline.dagger_module.place import AgcFailedError, Place, Sources, directory, failures, opened, secrets
from pipeline.engine.api import Compression
from pipeline.engine.dagger.image import configured
from pipeline.errors import CatalogError, UsageError
from pipeline.files import write_bytes
from pipeline.stages.bills import BillFormat
from pipeline.stages.building import try_image
from pipeline.stages.destinations import parse_destination
from pipeline.stages.outputs import Output as Target
from pipeline.stages.outputs import OutputKind
from pipeline.stages.publish import PublishRequest
from pipeline.stages.roots import lay_roots
from pipeline.stages.upgrade import LockRequest

Image = Annotated[str, Doc("The image's name, as list-matrix shows it")]
Images = Annotated[list[str] | None, Doc("Names of images; all where none is given")]
Platform = Annotated[str | None, Doc("OS/ARCH, such as linux/arm64; the engine's own where none is given")]
# Not `json`, which is a flag of `dagger call` itself: a function with both cannot be called.
Json = Annotated[bool, Doc("Return one JSON object, as --json of agc does")]
Locked = Annotated[bool, Doc("Fail where anything is missing from the lock or has moved")]


@object_type
class Agc:
    """Images of AI coding agents from YAML definitions."""

    project: Annotated[
        dagger.Directory | None,
        Doc(
            "A project: definitions/, registry/ and agc.toml, on top of what this module ships; none needs to be there"
        ),
    ] = None
    definitions: Annotated[
        dagger.Directory | None, Doc("Definitions to use as the project's, in the place of its folder of that name")
    ] = None
    roots: Annotated[
        dagger.Directory | None,
        Doc("Bootstrapped roots: the folder ~/.cache/agc/roots of a machine that made them, for want of a registry"),
    ] = None
    registry_config: Annotated[
        dagger.Secret | None, Doc("Logins of registries: a config.json as docker login writes it, without helpers")
    ] = None

    @function
    @check
    async def validate(self, as_json: Json = False) -> str:
        """Check the definitions: form, references, and whether each cell of the matrix can be."""
        return await self._command("validate", json=as_json)

    @function
    @check
    async def lock_check(self, as_json: Json = False) -> str:
        """Fail where a pin is missing, stale or damaged: `agc lock --check`."""
        return await self._command("lock", "--check", json=as_json)

    @function
    async def list_matrix(
        self,
        base: Annotated[str | None, Doc("Only what is on this base or combo")] = None,
        agent: Annotated[str | None, Doc("Only images with this agent")] = None,
        tier: Annotated[str | None, Doc("Only images of this tier: v1 or extra")] = None,
        excluded: Annotated[bool, Doc("Also the pairs that are no images, with the reason")] = False,
        as_json: Json = False,
    ) -> str:
        """List the images of the project with base, agent, tier and platforms."""
        named = {"--base": base, "--agent": agent, "--tier": tier}
        words = [word for option, value in named.items() if value is not None for word in (option, value)]
        return await self._command("list-matrix", *words, *(["--excluded"] if excluded else []), json=as_json)

    @function
    async def explain(self, image: Image, platform: Platform = None, as_json: Json = False) -> str:
        """Show every resolved option of an image with the file and line it comes from."""
        return await self._command("explain", *_platform_words(platform), "--", image, json=as_json)

    @function
    async def plan(
        self,
        images: Images = None,
        platform: Platform = None,
        changed: Annotated[bool, Doc("Show only images that are new or differ from what was published")] = False,
        against: Annotated[str | None, Doc("REGISTRY/NAMESPACE to compare with, instead of the catalog")] = None,
        as_json: Json = False,
    ) -> str:
        """Show which images differ from what was published, why, what else moves, and what users pull."""
        words = [*_platform_words(platform), *(["--changed"] if changed else [])]
        words += ["--against", against] if against is not None else []
        return await self._command("plan", *words, "--", *(images or ()), json=as_json)

    @function
    async def lock(
        self,
        upgrade: Annotated[list[str] | None, Doc("Components to move to their newest version; `all` for all")] = None,
        cool_down: Annotated[float | None, Doc("How many days old a release must be; 0 takes any")] = None,
        accept: Annotated[list[str] | None, Doc("Releases (PACKAGE@VERSION) to take although refused")] = None,
    ) -> dagger.Directory:
        """Turn moving names into pins and return the project with its changed lock; export it over your own."""
        async with self._opened() as place:
            request = LockRequest(datetime.now(UTC), tuple(upgrade or ()), cool_down, frozenset(accept or ()))
            with failures(place.folder):
                result = await flow.lock(place.project, request, place.reporter)
                result.raise_for_errors()
            # What is under a temporary name now must be in the engine before the folder goes.
            return await directory(place.folder).sync()

    @function
    async def build(self, image: Image, platform: Platform = None, locked: Locked = False) -> dagger.Container:
        """Build one image, run its smoke tests, and return it as a container to go on with.

        What is published from it has Dagger's own layers; build-all gives the deterministic image.
        """
        async with self._opened() as place:
            with failures(place.folder):
                plans = place.project.plan((image,), parse_platforms(platform))
                if len(plans) != 1:
                    raise UsageError("a container has one platform", remedy="call build once for each")
                bench = place.bench
                (plan,) = await lay_roots(plans, place.project.locks.roots, bench, locked=locked)
                tested = await try_image(compose(plan), bench, locked=locked)
                tested.smoke.raise_for_failures()
                made = tested.composition
                rootfs = await place.engine.build(made.rootfs, platform=plan.platform, layouts=bench.layouts)
            container = place.engine.container(rootfs, plan.platform)
            return await configured(container, made.document["config"] | _labels(made.config)).sync()

    @function
    async def build_all(
        self,
        images: Images = None,
        platform: Annotated[str | None, Doc("Platforms, with commas between")] = None,
        compression: Annotated[str, Doc("How layers are compressed: zstd, gzip or uncompressed")] = "zstd",
        locked: Locked = False,
    ) -> dagger.Directory:
        """Build images, test them, and return one OCI layout with all of them."""
        async with self._opened() as place:
            with failures(place.folder):
                target = Target(OutputKind.OCI, str(place.folder / "out"))
                names = images or list(place.project.images)
                wanted = parse_platforms(platform)
                kind = _compression(compression)
                await flow.build(place.project, names, wanted, target, place.reporter, locked=locked, compression=kind)
            return await directory(place.folder / "out").sync()

    @function
    async def smoke(self, images: Images = None, platform: Platform = None, locked: Locked = False) -> str:
        """Run the smoke tests of images as their user, and fail where one does."""
        from pipeline.cli.smoke import lines_of

        async with self._opened() as place:
            with failures(place.folder):
                names = images or list(place.project.images)
                wanted = parse_platforms(platform)
                reports = await flow.smoke(place.project, names, wanted, place.reporter, locked=locked)
                for report in reports:
                    report.raise_for_failures()
                return text_of(lines_of(reports))

    @function
    async def publish(
        self,
        to: Annotated[list[str], Doc("REGISTRY/NAMESPACE, one or several")],
        images: Images = None,
        platform: Annotated[str | None, Doc("Platforms, with commas between")] = None,
        locked: Locked = False,
        sign_key: Annotated[dagger.Secret | None, Doc("Private key to sign with, as PEM; unsigned without it")] = None,
        sign_password: Annotated[dagger.Secret | None, Doc("Password of the key")] = None,
        no_gate: Annotated[str | None, Doc("Why nothing is scanned, in a sentence; it is recorded")] = None,
    ) -> dagger.Directory:
        """Build, test, scan and publish images with their evidence; return the project with its changed catalog."""
        async with self._opened() as place:
            with failures(place.folder):
                sign = place.project.settings.sign
                given = {
                    "AGC_MODULE_SIGN_KEY": (sign_key, "sign-key"),
                    "AGC_SIGN_PASSWORD": (sign_password, "sign-password"),
                }
                async with secrets(given) as held:
                    if "AGC_MODULE_SIGN_KEY" in held:
                        sign = sign.model_copy(update={"keyless": False, "key": "env:AGC_MODULE_SIGN_KEY"})
                    names = tuple(images or place.project.images)
                    places = tuple(parse_destination(one) for one in to)
                    day = datetime.now(UTC).date()
                    request = PublishRequest(
                        *(names, parse_platforms(platform), places, day), locked=locked, sign=sign, waiver=no_gate or ""
                    )
                    await flow.publish(place.project, request, place.reporter)
            return await directory(place.folder).sync()

    @function
    async def verify(
        self,
        reference: Annotated[str, Doc("The image: REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…")],
        key: Annotated[dagger.File | None, Doc("Public key of whoever may sign it, as PEM")] = None,
        identity: Annotated[str | None, Doc("Who may sign it: the identity in the certificate")] = None,
        issuer: Annotated[str | None, Doc("Who vouches for that identity")] = None,
        policy: Annotated[dagger.File | None, Doc("What an image must be, as YAML")] = None,
        as_json: Json = False,
    ) -> str:
        """Check who vouches for an image of a registry, for what, and that it is what they said."""
        async with self._opened(needs_project=False) as place:
            words = [
                word
                for name, value in (("--identity", identity), ("--issuer", issuer))
                if value
                for word in (name, value)
            ]
            for option, file in (("--key", key), ("--policy", policy)):
                if file:
                    path = place.folder.parent / option.strip("-")
                    await file.export(str(path))
                    words += [option, str(path)]
            return await _run(place, "verify", *words, "--", reference, json=as_json)

    @function
    async def sbom(
        self,
        image: Image,
        platform: Platform = None,
        form: Annotated[str, Doc("spdx or cyclonedx")] = "spdx",
        locked: Locked = False,
    ) -> dagger.File:
        """Build one image and return its bill of materials."""
        async with self._opened() as place:
            with failures(place.folder):
                wanted = parse_platforms(platform)
                if len(wanted) != 1:
                    raise UsageError("a bill is of one platform", remedy="call sbom once for each")
                if form not in {str(known) for known in BillFormat}:
                    raise UsageError(f"there is no bill of the form {form!r}", remedy="spdx or cyclonedx")
                target = Target(OutputKind.NONE)
                await flow.build(place.project, [image], wanted, target, place.reporter, locked=locked)
                bill = flow.sbom(place.project, image, wanted[0], BillFormat(form), None)
                name = f"{image}.{form}.json"
                write_bytes(place.folder / name, bill.document)
            return await directory(place.folder).file(name).sync()

    @function
    async def catalog(self) -> dagger.File:
        """Return registry/catalog.json, what was published; fail where there is none, or it is damaged."""
        async with self._opened(needs_project=False) as place:
            file = catalog_path(place.folder)
            with failures(place.folder):
                if read_catalog(file) is None:
                    raise CatalogError(
                        "registry/catalog.json is not there: nothing was published, as far as this project knows",
                        remedy="give the project that has it: --project .",
                    )
            return await directory(place.folder).file("registry/catalog.json").sync()

    @function
    async def generate(
        self, only: Annotated[list[str] | None, Doc("Only these files (ci); all where none is given")] = None
    ) -> dagger.Directory:
        """Write the files made from templates and return the project with them; export it over your own."""
        words = [word for what in only or () for word in ("--only", what)]
        async with self._opened(needs_project=False) as place:
            await _run(place, "generate", *words)
            return await directory(place.folder).sync()

    async def _command(self, name: str, *words: str, json: bool) -> str:
        """Run a command of `agc` that needs no engine and return what it prints."""
        async with self._opened(needs_project=False) as place:
            return await _run(place, name, *words, json=json)

    @asynccontextmanager
    async def _opened(self, *, needs_project: bool = True) -> AsyncIterator[Place]:
        sources = Sources(self.project, self.definitions, self.roots, self.registry_config)
        async with opened(sources, needs_project=needs_project) as place:
            yield place


async def _run(place: Place, name: str, *words: str, json: bool = False) -> str:
    said = io.StringIO()
    output = replace(place.output, json=json, stdout=said)
    invocation = Invocation(Session(project=place.folder, output=output))
    options = ["--json"] if json else []
    run: Callable[[], None] = lambda: command_line(COMMANDS).run([name, *options, *words], invocation)  # noqa: E731
    with failures(place.folder):
        # On a thread of its own: a command that asks a registry starts an event loop.
        await anyio.to_thread.run_sync(run)
    return said.getvalue()


def _platform_words(platform: str | None) -> list[str]:
    return ["--platform", platform] if platform else []


def _labels(config: bytes) -> dict[str, object]:
    labels: dict[str, object] = json_text.loads(config)["config"]["Labels"]
    return {"Labels": labels}


def _compression(name: str) -> Compression:
    try:
        return Compression(name)
    except ValueError as error:
        raise UsageError(f"there is no compression {name!r}", remedy="zstd, gzip or uncompressed") from error


__all__ = ["Agc", "AgcFailedError"]
