"""Build the site: docs/ by Zensical, the catalog's page beside it, and a check of every link in what came out.

usage: python ci/site.py [FOLDER]

FOLDER is where the site goes, `site` by default; it is replaced. Pages that link to files of the repository get copies
of those; a link to a folder becomes plain text. Exit status 1: a page is malformed, or a link leads nowhere.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import yaml

HOUSE = Path(__file__).parents[1]
PARTS = {
    "tutorial": "Tutorial",
    "how-to": "How to",
    "explanation": "Explanation",
    "catalog": "What there is",
    "reference": "Reference",
    "decisions": "Decisions",
}
"""The parts of the site by the folder they are in, in their order."""
FILES = "files"
CATALOG = "images"
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def main(out: Path) -> int:
    """Build the site into `out`, and say what is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="agc-site-") as name:
        stage = Path(name)
        pages = stage / "docs"
        shutil.copytree(HOUSE / "docs", pages)
        for page in sorted(pages.rglob("*.md")):
            page.write_text(_rewritten(page.read_text(encoding="utf-8"), page, pages), encoding="utf-8")
        _run("-m", "pipeline", "-C", str(HOUSE), "catalog", "--html", str(pages / CATALOG))
        config = yaml.safe_load((HOUSE / "mkdocs.yml").read_text(encoding="utf-8"))
        config |= {"docs_dir": "docs", "site_dir": "site", "nav": list(_navigation(pages))}
        (stage / "mkdocs.yml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
        _run("-m", "zensical", "build", "--clean", "--strict", "--config-file", "mkdocs.yml", cwd=stage)
        problems = sorted(_broken(stage / "site"))
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(stage / "site", out)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{sum(1 for _ in out.rglob('*.html'))} pages in {out}")
    return 1 if problems else 0


def _run(*arguments: str, cwd: Path = HOUSE) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def _rewritten(text: str, page: Path, pages: Path) -> str:
    """Return a page whose links to files outside docs/ lead to copies of them."""

    def link(match: re.Match[str]) -> str:
        mark, label, target = match.groups()
        path, fragment = urldefrag(target)
        if not path or urlsplit(target).scheme:
            return match[0]
        source = (HOUSE / "docs" / page.relative_to(pages)).parent / path
        inside = source.resolve().relative_to(HOUSE)
        if inside.parts[0] == "docs":
            return match[0]
        if source.is_dir():
            return label
        copy = pages / FILES / inside
        copy.parent.mkdir(parents=True, exist_ok=True)
        if copy.suffix == ".md":  # it is a page of the repository, not of the site
            copy = copy.with_suffix(".md.txt")
        shutil.copyfile(source, copy)
        up = "../" * len(page.parent.relative_to(pages).parts)
        return f"{mark}[{label}]({up}{copy.relative_to(pages)}{f'#{fragment}' if fragment else ''})"

    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in _FENCED.split(text))


def _navigation(pages: Path) -> Iterator[dict[str, object]]:
    """Yield the parts of the site, each with its pages by title; the page that introduces one comes first."""
    yield {"Home": "index.md"}
    for folder, title in PARTS.items():
        found = sorted((pages / folder).rglob("*.md"), key=lambda page: _place(page, pages / folder))
        yield {title: list(_entries(found, pages, pages / folder))}
        if folder == "explanation":
            yield {"Benchmarks": "benchmarks.md"}
            yield {"Find an image": f"{CATALOG}/index.html"}


def _place(page: Path, folder: Path) -> tuple[object, ...]:
    """Return what orders a page within its part: what the introduction links to comes in that order, then by title."""
    introduction = page.parent / "README.md"
    linked = _LINK.findall(introduction.read_text(encoding="utf-8")) if introduction.is_file() else []
    order = ["README.md", *(target for _, _, target in linked)]
    known = order.index(page.name) if page.name in order else len(order)
    return len(page.relative_to(folder).parts), page.parent, known, _title(page)


def _entries(found: list[Path], pages: Path, folder: Path) -> Iterator[object]:
    groups: dict[str, list[object]] = {}
    for page in found:
        below = page.parent.relative_to(folder).as_posix()
        entry = {_title(page): page.relative_to(pages).as_posix()}
        if below == ".":
            yield entry
        else:
            groups.setdefault(below, []).append(entry)
    for name, entries in groups.items():
        yield {name.capitalize(): entries}


def _title(page: Path) -> str:
    """Return the first heading of a page as plain text."""
    found = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return re.sub(r"[`*\\]", "", found[1]) if found else page.stem


class _Page(HTMLParser):
    """What a page of HTML links to, loads, and can be linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember the attributes that name other places, and this one."""
        found = {key: value or "" for key, value in attrs}
        self.ids |= {found[key] for key in ("id", "name") if key in found}
        loading = tag in {"img", "script", "source", "iframe"} or (
            tag == "link" and not {"canonical", "next", "prev"}.intersection(found.get("rel", "").split())
        )
        for key in ("href", "src"):
            if key in found:
                (self.loads if loading else self.links).append(found[key])


def _broken(site: Path) -> Iterator[str]:
    """Yield every link within the site that leads nowhere, and everything that a page loads from another host."""
    pages = {}
    for path in site.rglob("*.html"):
        pages[path] = _Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    for path, page in pages.items():
        name = path.relative_to(site)
        for address in page.loads:
            if urlsplit(address).netloc:
                yield f"{name}: loads {address}"
        for address in (*page.links, *page.loads):
            if urlsplit(address).scheme or urlsplit(address).netloc:
                continue
            where, fragment = urldefrag(address)
            target = (path.parent / unquote(where)) if not where.startswith("/") else site / unquote(where).lstrip("/")
            target = (target / "index.html" if target.is_dir() else target).resolve() if where else path
            if name.name == "404.html":
                continue
            if not target.is_file():
                yield f"{name}: {address} leads nowhere"
            elif fragment and target in pages and unquote(fragment) not in pages[target].ids:
                yield f"{name}: {address} leads to no place of its page"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HOUSE / "site"))
