"""Checks of the host that need no other program, and the commands that mend it."""

from __future__ import annotations

import shlex

import pytest

from pipeline.engine.host import binfmt_fix, binfmt_line, is_registered


@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
def test_the_kernel_gets_magic_and_mask_of_equal_length(machine: str) -> None:
    """The kernel takes one line of colon-separated fields and refuses a mask of another length."""
    _, name, kind, offset, magic, mask, interpreter, flags = binfmt_line(machine, "/usr/bin/qemu").split(":")

    assert (name, kind, offset, interpreter, flags) == (f"qemu-{machine}", "M", "", "/usr/bin/qemu", "F")
    assert len(_bytes(magic)) == len(_bytes(mask)) == 20


def test_the_magic_is_an_elf_header() -> None:
    """64 bit, little endian, version 1, an executable, for AArch64 (183)."""
    magic = _bytes(binfmt_line("aarch64", "/q").split(":")[4])

    assert magic == b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + (183).to_bytes(2, "little")


def _bytes(text: str) -> bytes:
    return text.encode().decode("unicode_escape").encode("latin-1")


@pytest.mark.parametrize(
    ("entry", "registered"),
    [
        ("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: POCF\n", True),
        ("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\n", True),
        ("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OC\n", False),
        ("disabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\n", False),
        ("", False),
    ],
)
def test_only_an_enabled_entry_with_flag_f_counts(entry: str, *, registered: bool) -> None:
    """Without F the interpreter is looked for inside the container, where it is not."""
    assert is_registered(entry) is registered


def test_the_fix_keeps_what_the_kernel_must_read_in_one_word() -> None:
    """A shell reads the line as one argument of printf, with its backslashes."""
    assert binfmt_line("aarch64", "/usr/bin/qemu-aarch64-static") in shlex.split(binfmt_fix("aarch64"))
