"""Write smoke reports as a JUnit file, which every CI system reads."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path

from junitparser import Failure, JUnitXml, Properties, Property, TestCase, TestSuite

from pipeline.files import write_bytes
from pipeline.verify.smoke import SmokeReport

# What XML 1.0 cannot hold, not even escaped (section 2.2): colours and cursors of terminals, above all.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(reports: Iterable[SmokeReport], path: Path) -> None:
    """Write one test suite per image and platform to `path`; raises OutputError."""
    document = JUnitXml("agc smoke")
    for report in reports:
        suite = TestSuite(f"{report.image} {report.platform}")
        for result in report.results:
            case = TestCase(result.name, classname=f"{report.image}.{result.component}", time=result.seconds)
            depth = Properties()
            depth.add_property(Property("depth", result.depth))
            case.append(depth)
            if result.output:
                case.system_out = _NOT_XML.sub("", "\n".join(result.output))
            if not result.passed:
                words = _NOT_XML.sub("", result.output[-1]) if result.output else "failed"
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
