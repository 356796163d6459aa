"""`mwl users`: a password and the hash that stands for it in the configuration."""

from __future__ import annotations

import io

from mwl.config.passwords import HashedPassword


def test_a_password_is_made_with_its_hash(mwl):
    """Each time another one; the hash fits."""
    first, second = mwl("users", "password"), mwl("users", "password")
    made = dict(line.split() for line in first.out.splitlines())

    assert (first.code, second.code) == (0, 0)
    assert first.out != second.out
    assert HashedPassword.parse(made["password_hash"]).matches(made["password"].encode())


def test_a_password_of_ones_own_is_hashed_and_not_repeated(mwl, monkeypatch):
    """It is one line of stdin, blanks and all."""
    monkeypatch.setattr("sys.stdin", io.StringIO("my own secret \n"))
    result = mwl("users", "password", "--ask")
    (name, written) = result.out.split()

    assert (result.code, name) == (0, "password_hash")
    assert HashedPassword.parse(written).matches(b"my own secret ")
    assert "secret" not in result.out + result.err


def test_no_password_is_wrong_usage(mwl, monkeypatch):
    """An empty stdin makes no hash."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    assert mwl("users", "password", "--ask").code == 2
