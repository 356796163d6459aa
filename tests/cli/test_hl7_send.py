"""`mwl hl7 send`: files become messages, answers become an exit code."""

from __future__ import annotations

import socket
import threading

import pytest

from mwl.cli.hl7_files import messages

ORDER = "MSH|^~\\&|RIS|HOSP|MWL||20260705||ORM^O01|{0}|P|2.3\nPID|||PID001\n"


class Receiver:
    """Answers each message with the next of its codes; keeps what it got."""

    def __init__(self, *codes: str) -> None:
        self.codes = list(codes)
        self.received: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            for code in self.codes:
                data = b""
                while not data.endswith(b"\x1c\r"):
                    data += connection.recv(4096)
                self.received.append(data)
                connection.sendall(f"\x0bMSH|^~\\&|MWL||RIS\rMSA|{code}|1|text\r\x1c\r".encode())

    def close(self) -> None:
        self._thread.join(10)
        self._socket.close()


@pytest.fixture
def receiver(request):
    """A receiver with the codes of the test's marker."""
    made = Receiver(*request.param)
    yield made
    made.close()


@pytest.fixture
def order(tmp_path):
    """A file with two messages."""
    path = tmp_path / "order.hl7"
    path.write_text(ORDER.format(1) + "\n" + ORDER.format(2))
    return path


@pytest.mark.parametrize("receiver", [("AA", "CA")], indirect=True)
def test_accepted_messages_end_with_0(mwl, receiver, order):
    """Messages leave in order, framed, with CR between segments; answers are printed."""
    result = mwl("hl7", "send", order, "--to", receiver.address)

    assert result.code == 0
    assert [line for line in result.out.splitlines() if line.startswith("MSA")] == [
        "MSA|AA|1|text",
        "MSA|CA|1|text",
    ]
    assert receiver.received[0] == b"\x0b" + ORDER.format(1).replace("\n", "\r").encode() + b"\x1c\r"


@pytest.mark.parametrize(
    "receiver", [("AE", "AA"), ("AR", "AA"), ("CR", "AA"), ("nonsense", "AA")], indirect=True
)
def test_a_refused_message_ends_with_1(mwl, receiver, order):
    """The messages after it are sent all the same."""
    assert mwl("hl7", "send", order, "--to", receiver.address).code == 1
    assert len(receiver.received) == 2


def test_no_listener_ends_with_69(mwl, order):
    """A refused connection is a peer that is unavailable."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    result = mwl("hl7", "send", order, "--to", f"127.0.0.1:{port}")

    assert (result.code, result.out) == (69, "")
    assert f"127.0.0.1:{port}" in result.err


def test_a_file_without_a_message_is_wrong_usage(mwl, tmp_path):
    """Nothing is sent, and the person is told why."""
    (tmp_path / "a.txt").write_text("no message")

    result = mwl("hl7", "send", tmp_path / "a.txt")

    assert result.code == 2
    assert "no message begins with MSH" in result.err


@pytest.mark.parametrize("ending", [b"\r", b"\n", b"\r\n"])
def test_any_line_end_separates_segments(ending):
    """D-23: files come with CR, LF or both, framed or not, with or without a last one."""
    raw = (
        b"\xef\xbb\xbfMSH|1"
        + ending
        + b"PID|1"
        + ending
        + ending
        + b"\x0bMSH|2"
        + ending
        + b"PID|2"
        + ending
        + b"\x1c"
        + ending
    )

    assert messages(raw) == [b"MSH|1\rPID|1\r", b"MSH|2\rPID|2\r"]


def test_a_line_feed_in_the_text_of_a_message_stays_there():
    """D-23: where segments end with CR, LF is what a person typed."""
    raw = b"MSH|1\rNTE|||one\ntwo\r\nMSH|2\rNTE|||MSH|3\r"

    assert messages(raw) == [b"MSH|1\rNTE|||one\ntwo\r", b"MSH|2\rNTE|||MSH|3\r"]


def test_the_messages_of_a_batch_are_sent_one_by_one():
    """Its frame is left out."""
    raw = b"FHS|^~\\&|RIS\nBHS|^~\\&|RIS\nMSH|1\nPID|1\nMSH|2\nBTS|2\nFTS|1\n"

    assert messages(raw) == [b"MSH|1\rPID|1\r", b"MSH|2\r"]


def test_bytes_are_sent_as_they_stand():
    """The character set is the matter of MSH-18: nothing is decoded."""
    assert messages(b"MSH|\xfc\xff") == [b"MSH|\xfc\xff\r"]
