"""An earlier set of profiles, or the one a broker has in use, laid out again to be worked with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mwl.errors import Refusal, Refused
from mwl.store.profile_sets import ProfileSet


@contextmanager
def laid_out(kept: ProfileSet) -> Iterator[Path]:
    """Write the files of a set into a folder that goes again; raise `Refused` where one is not kept."""
    with tempfile.TemporaryDirectory(prefix="mwl-set-") as folder:
        for name, file in kept.files.items():
            if file.text is None:
                raise Refused(Refusal.UNKNOWN, f"set {kept.entry.key}: {name} was too large to be kept")
            path = Path(folder, _inside(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text, "utf-8")
        yield Path(folder)


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise Refused(Refusal.UNKNOWN, f"{name} is no file of a site's folder")
    return path
