"""From the configuration's ``dicom.users`` to whom a device may say it acts for (E-06)."""

from __future__ import annotations

from pathlib import Path

from mwl.config import Configuration, User
from mwl.config.passwords import HashedPassword, PlainPassword
from mwl.dicom.users import Users
from mwl.errors import BadDocument, Problem


def configured(configuration: Configuration) -> Users:
    """Return the users of a configuration; raise `BadDocument` where a password file is of no use."""
    passwords: dict[str, PlainPassword | HashedPassword | None] = {}
    problems: list[Problem] = []
    for name, user in configuration.dicom.users.items():
        try:
            passwords[name] = _password(user)
        except ValueError as error:
            place = ("dicom", "users", name, "password_file")
            problems.append(configuration.problem(place, f"password_file: {error}"))
    if problems:
        raise BadDocument(problems)
    return Users(passwords, required=configuration.dicom.user_required)


def _password(user: User) -> PlainPassword | HashedPassword | None:
    if user.password is not None:
        return PlainPassword(user.password.get_secret_value().encode())
    if user.password_file is not None:
        return PlainPassword(_read(user.password_file).encode())
    return user.password_hash


def _read(path: Path) -> str:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', 'not UTF-8')}") from None
    if len(lines) != 1 or not lines[0]:
        raise ValueError(f"{path} does not hold a password on one line")
    return lines[0]
