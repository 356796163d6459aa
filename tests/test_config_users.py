"""Users in the configuration: how a password may be written, and that none is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from mwl import config
from mwl.config.passwords import HashedPassword, PlainPassword, hashed, new_password
from mwl.errors import BadDocument

HASH = "$scrypt$ln=4,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$7UZLRCkhYdS/cN/rfwtg+w"


def loaded(tmp_path: Path, text: str, **environ: str) -> config.Configuration:
    """Return the configuration of *text* and the given variables."""
    path = tmp_path / "mwl.yaml"
    path.write_text(text, "utf-8")
    return config.load(path, environ)


def test_a_password_is_written_in_one_of_three_ways(tmp_path: Path):
    """In the clear, in a file, as a hash; a user without one is known by name alone."""
    users = loaded(
        tmp_path,
        "dicom:\n  user_required: true\n  users:\n    A: {password: 12345}\n    B: {password_file: /run/b}\n"
        f'    C: {{password_hash: "{HASH}"}}\n    D: {{}}\n    E:\n',
    ).dicom.users

    assert users["A"].password is not None
    assert users["A"].password.get_secret_value() == "12345"
    assert users["B"].password_file == Path("/run/b")
    assert isinstance(users["C"].password_hash, HashedPassword)
    assert users["D"] == users["E"] == config.User()


def test_a_password_may_come_from_a_variable(tmp_path: Path):
    """The name of a user is spelled as in the file, where it is there."""
    variables = {"MWL_DICOM__USERS__ANNA__PASSWORD": "secret", "MWL_DICOM__USERS__Berta__PASSWORD": "other"}
    users = loaded(tmp_path, "dicom: {users: {anna: {}}}", **variables).dicom.users

    assert [(name, user.password and user.password.get_secret_value()) for name, user in users.items()] == [
        ("anna", "secret"), ("Berta", "other"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{A: {password: x, password_file: y}}", "users.A: a user has one password|one password"),
        ('{A: {password: ""}}', "an empty password is none"),
        ("{A: {password: true}}", "write it in quotes"),
        ("{A: {password_hash: secret}}", "mwl users password"),
        (f"{{A: {{password_hash: '{HASH[:-6]}'}}}}", "not a hash of a password"),
        (f"{{A: {{password_hash: '{HASH.replace('ln=4', 'ln=30')}'}}}}", "takes too long"),
        (f"{{A: {{password_hash: '{HASH.replace('ln=4', 'ln=0')}'}}}}", "takes too long"),
        ("{A: {pasword: secret}}", "did you mean 'password'"),
    ],
)
def test_a_mistake_is_told_without_the_password(tmp_path: Path, written: str, message: str):
    """File, line and column, and not a word of the secret."""
    with pytest.raises(BadDocument, match=message) as caught:
        loaded(tmp_path, f"dicom: {{users: {written}}}")

    assert "mwl.yaml:1:" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert HASH[-10:] not in str(caught.value)


def test_to_require_users_where_there_are_none_is_a_mistake(tmp_path: Path):
    """Nobody could ever associate."""
    with pytest.raises(BadDocument, match="lets nobody in"):
        loaded(tmp_path, "dicom: {user_required: true}")


def test_no_password_is_ever_shown(tmp_path: Path):
    """Neither among the effective settings nor in a representation."""
    read = loaded(tmp_path, f'dicom: {{users: {{A: {{password: secret}}, B: {{password_hash: "{HASH}"}}}}}}')
    shown = {key: value for key, value, _ in read.effective()}

    assert shown["dicom.users.A.password"] == shown["dicom.users.B.password_hash"] == "*" * 10
    assert "secret" not in repr(read)
    assert HASH[-10:] not in repr(read)


def test_a_hash_matches_its_password_alone():
    """It is read as it was written."""
    made = hashed("pässword")

    assert HashedPassword.parse(str(made)) == made
    assert made.matches("pässword".encode())
    assert not made.matches(b"password")
    assert str(hashed("pässword")) != str(made)


def test_a_password_in_the_clear_matches_itself_alone():
    """Octet by octet."""
    assert PlainPassword(b"secret").matches(b"secret")
    assert not PlainPassword(b"secret").matches(b"secre")
    assert "secret" not in repr(PlainPassword(b"secret"))


def test_a_new_password_can_be_typed_and_not_guessed():
    """Letters and digits of 128 bits."""
    made = {new_password() for _ in range(100)}

    assert len(made) == 100
    assert all(len(each) == 26 and each.isalnum() and each.islower() for each in made)
