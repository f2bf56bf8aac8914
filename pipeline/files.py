"""Write small files so that a reader sees the old content or the new one, never a part."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pipeline.errors import OutputError


def write_bytes(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` to `path` under a temporary name and rename it; makes missing folders. Raises OutputError."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=".new-", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        raise OutputError(f"{path}: {error.strerror}", remedy="check space and permissions") from error


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode())
