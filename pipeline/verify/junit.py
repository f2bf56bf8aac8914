"""Write smoke reports as a JUnit file, which every CI system reads."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from junitparser import Failure, JUnitXml, Properties, Property, TestCase, TestSuite

from pipeline.files import write_bytes
from pipeline.verify.smoke import SmokeReport


def write_junit(reports: Iterable[SmokeReport], path: Path) -> None:
    """Write one test suite per image and platform to `path`; raises OutputError."""
    document = JUnitXml("agc smoke")
    for report in reports:
        suite = TestSuite(f"{report.image} {report.platform}")
        for result in report.results:
            case = TestCase(result.name, classname=f"{report.image}.{result.component}", time=result.seconds)
            if result.output:
                case.system_out = "\n".join(result.output)
            if not result.passed:
                words = result.output[-1] if result.output else "failed"
                case.result = [Failure(words, "SmokeFailure")]
            suite.add_testcase(case)
        properties = Properties()
        properties.add_property(Property("cached", str(sum(result.cached for result in report.results))))
        suite.append(properties)
        document.add_testsuite(suite)
    document.update_statistics()
    text = io.BytesIO()
    document.write(text)
    write_bytes(path, text.getvalue())
