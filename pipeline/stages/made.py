"""What building leaves for whoever takes the image on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.compose.image import Composition
from pipeline.stages.results import Result
from pipeline.verify.smoke import SmokeReport


@dataclass(frozen=True, slots=True)
class Made:
    """An image that was built and tested: its compositions, what they came to, where that lies, and its tests."""

    name: str
    compositions: tuple[Composition, ...]
    result: Result
    layout: Path
    smoke: tuple[SmokeReport, ...] = ()
