"""One more device in ``mwl.yaml``, and not a byte of what stands there changed.

A file that a person keeps has comments, an order and a form of its own, which no YAML library writes
back as they were.  So nothing is written back: one line goes in behind the last entry of `devices`, and
the result is read again; unless it says what it said before and the new device, it is not used.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mwl import yamldoc
from mwl.errors import BadDocument, Refusal, Refused
from mwl.yamldoc import YamlDocument

_DEVICES = "devices"
_NOTHING = re.compile(r"\s*(#.*)?")  # a line without content
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_WORDS = frozenset({"true", "false", "null"})


def written(title: str, profile: str) -> str:
    """Return the line that makes *title* a device, as it stands under ``devices:``."""
    return f"{_scalar(title)}: {{profile: {_scalar(profile)}}}"


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def with_device(text: str, title: str, profile: str, name: str = "mwl.yaml") -> str:
    """Return the configuration *text* with one more device, by its *title*, in a line of its own.

    Raises `Refused` where that cannot be done: there is no ``devices:``, or it is not written with a
    line for each device.  Raises `BadDocument` where *text* is no configuration.
    """
    before = _document(text, name)
    lines = text.splitlines(keepends=True)
    at, indent = _place(before, lines)
    ending = "\r\n" if lines[at - 1].endswith("\r\n") else "\n"
    if not lines[at - 1].endswith("\n"):
        lines[at - 1] += ending
    lines.insert(at, f"{indent}{written(title, profile)}{ending}")
    result = "".join(lines)
    expected = {**before.data, _DEVICES: {**before.data[_DEVICES], title: {"profile": profile}}}
    if _data(result, name) != expected:
        raise _refused("it is not written with a line for each device")
    return result


def replace(path: Path, text: str) -> None:
    """Put *text* into the file at *path*, whole or not at all; its owner and mode stay as they are.

    Raises `OSError`.
    """
    path = path.resolve()  # a link stays one
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(path, temporary)
        status = path.stat()
        with suppress(PermissionError):  # who is not root writes as who he is
            os.chown(temporary, status.st_uid, status.st_gid)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _place(document: YamlDocument, lines: list[str]) -> tuple[int, str]:
    """Return before which line (from 0) the new one goes, and how far it is indented."""
    devices = document.data.get(_DEVICES)
    if not isinstance(devices, dict) or not devices:
        raise _refused(f"there is nothing under {_DEVICES}")
    first = document.keys[(_DEVICES, next(iter(devices)))]
    indent = lines[first.line - 1][: first.column - 1]
    if indent.strip():
        raise _refused("it is not written with a line for each device")
    last = first.line
    for number, line in enumerate(lines[first.line :], first.line + 1):
        if _NOTHING.fullmatch(line.rstrip("\r\n")):
            continue
        if len(line) - len(line.lstrip(" ")) < len(indent):
            break
        last = number
    return last, indent


def _document(text: str, name: str) -> YamlDocument:
    documents = yamldoc.parse(text.removeprefix("\ufeff"), name)
    if len(documents) != 1 or not isinstance(documents[0].data, dict):
        raise _refused(f"there is nothing under {_DEVICES}")
    return documents[0]


def _data(text: str, name: str) -> Mapping[str, Any] | None:
    with suppress(BadDocument, Refused):
        return dict(_document(text, name).data)
    return None


def _refused(why: str) -> Refused:
    return Refused(Refusal.UNKNOWN, f"the file is left alone: {why}")
