"""What engineers write: YAML, a configuration, a device's profile, a system's.

python tests/fuzz/fuzz_yaml.py -max_total_time=60
"""

from __future__ import annotations

from harness import hunt, watched

with watched():
    from mwl.config.model import Settings
    from mwl.errors import BadDocument
    from mwl.mapping.devices.profile import Profile
    from mwl.mapping.systems.system_form import SystemForm
    from mwl.yamldoc import parse, validate


def one_input(data: bytes) -> None:
    """Read a file: it is sound, or every mistake in it has a place."""
    try:
        documents = parse(data.decode("utf-8", "replace"), "fuzz.yaml")
    except BadDocument as error:
        look_at(error)
        return
    for document in documents:
        for model in (Settings, Profile, SystemForm):
            try:
                validate(document, model, document.data if isinstance(document.data, dict) else {})
            except BadDocument as error:
                look_at(error)


def look_at(error: BadDocument) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message


if __name__ == "__main__":
    hunt(__file__, one_input)
