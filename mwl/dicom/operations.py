"""The operations of one association: requests in order, one at a time, each with an answer.

Theory of operation
-------------------
Whole messages come in by `take`.  Requests wait in line; while there are any, one task works them
off, and when there are none there is no task: an idle association costs nothing.  The window is one
operation (PS3.7 D.3.3.3); a peer that sends ahead fills a short line, and then `full` asks the shell
not to read on.  C-CANCEL is no request: it marks the operation it names, which looks at the mark
between responses (A-60), and it is never answered itself (A-61).

When the association ends, a query is dropped (A-63).  What a device reports (DIMSE-N) is worked off
all the same, unanswered: one that sends its performed step and hangs up has done the exam.

Silence is the one thing a device cannot show its user.  So a request without Message ID is answered
under the number that the device's profile says, or refused with 0x0212 under number 0 (F52); an
operation nobody offers as 0x0211 (B-16), and an exception, or a service that forgot its final response,
with a failure status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from mwl import logs
from mwl.dicom import status
from mwl.dicom.dimse import Fragmenter, Message, encode_command
from mwl.dicom.limits import Limit, struck
from mwl.dicom.pdu import KIBIBYTE, Malformed
from mwl.dicom.service import (
    AFFECTED_SOP_CLASS_UID,
    AFFECTED_SOP_INSTANCE_UID,
    C_CANCEL_RQ,
    C_FIND_RQ,
    COMMAND_FIELD,
    DATA_SET_TYPE,
    ERROR_COMMENT,
    MESSAGE_ID_RESPONDED_TO,
    NO_DATA_SET,
    RESPONSE,
    STATUS,
    AssociationEnded,
    AssociationFacts,
    Request,
    Service,
)
from mwl.dicom.status import Failure, is_pending
from mwl.errors import MwlError

logger = logging.getLogger(__name__)

MESSAGE_ID_WHERE_MISSING = 1
_NO_MESSAGE_ID = 0  # what a refusal is answered under
_MOST_WAITING = 4  # requests; none waits unless a peer ignores the window of one
_DATA_SET_FOLLOWS = 0x0001
_BATCH = 64 * KIBIBYTE  # of pending responses per write: some 70 worklist items, under 1 ms of work
_FIRST_NORMALIZED = 0x0100  # Command Fields of DIMSE-N begin here (PS3.7 Table E.1-1)


class Channel(Protocol):
    """The association's shell, as its operations need it."""

    @property
    def number(self) -> int:
        """What tells this association from others in the log."""

    def send(self, octets: bytes) -> None:
        """Send whole P-DATA-TF PDUs; raise `AssociationEnded`."""

    async def drained(self) -> None:
        """Wait until the peer has read enough; raise `AssociationEnded`."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task that a shutdown waits for."""

    def progressed(self) -> None:
        """Take note that an operation is done."""


class Operation:
    """One request and the way to answer it; services see it as their `Reply`."""

    __slots__ = (
        "_burst", "_channel", "_fragmenter", "answered", "cancelled", "message", "message_id", "unnumbered",
    )  # fmt: skip

    def __init__(self, message: Message, channel: Channel, max_pdu: int, number: int | None) -> None:
        """*number* is what the message is answered under; None: it has none, and is refused."""
        self.message = message
        self.message_id = _NO_MESSAGE_ID if number is None else number
        self.unnumbered = number is None
        self.cancelled = False
        self.answered = False  # with a final response
        self._channel = channel
        self._fragmenter = Fragmenter(message.context.id, max_pdu)
        self._burst = 0  # octets sent without a turn for the rest of the loop

    @property
    def reports(self) -> bool:
        """Whether the peer tells something, which counts even if it does not wait for the answer."""
        return self.message.command.field >= _FIRST_NORMALIZED

    def request(self, association: AssociationFacts) -> Request:
        """Return what the service is to handle."""
        message = self.message
        return Request(message.command, message.data, message.context, association, lambda: self.cancelled)

    async def send(
        self, status: int, *, data: bytes | None = None, fields: Mapping[int, object] | None = None
    ) -> None:
        """Send one response (`Reply.send`)."""
        octets = self._command(status, fields or {}, data is not None)
        self._channel.send(octets if data is None else octets + self._fragmenter.data(data))
        self.answered = not is_pending(status)
        await self._channel.drained()

    async def stream(self, pendings: Iterable[bytes], status: int) -> int:
        """Send pending responses, several per write (`Reply.stream`)."""
        command = self._command(status, {}, has_data=True)
        sent = 0
        for octets, count in self._fragmenter.pendings(command, pendings, _BATCH):
            if self._burst >= _BATCH:  # let the loop serve others, and hear a C-CANCEL
                self._burst = 0
                await asyncio.sleep(0)
            if self.cancelled:
                break
            self._channel.send(octets)
            self._burst += len(octets)
            sent += count
            await self._channel.drained()
        return sent

    def _command(self, code: int, fields: Mapping[int, object], has_data: bool) -> bytes:
        if self.answered:
            raise RuntimeError("the request has its final response already")
        command = self.message.command
        elements: dict[int, object] = {
            AFFECTED_SOP_CLASS_UID: _sop_class(self.message),
            COMMAND_FIELD: command.field | RESPONSE,
            MESSAGE_ID_RESPONDED_TO: self.message_id,
            DATA_SET_TYPE: _DATA_SET_FOLLOWS if has_data else NO_DATA_SET,
            STATUS: code,
        }
        if instance := command.affected_sop_instance_uid or command.requested_sop_instance_uid:
            elements[AFFECTED_SOP_INSTANCE_UID] = instance
        return self._fragmenter.command(encode_command({**elements, **fields}))


class Operations:
    """The line of requests of one association."""

    __slots__ = (
        "_association", "_channel", "_current", "_ended", "_line", "_max_pdu", "_services", "_task",
        "_unnumbered", "count",
    )  # fmt: skip

    def __init__(
        self,
        services: Mapping[str, Service],
        association: AssociationFacts,
        channel: Channel,
        max_pdu: int,
        unnumbered: Callable[[], int | None] | None = None,
    ) -> None:
        """*unnumbered* says what a request without Message ID is answered under now; None refuses it."""
        self._services = services
        self._unnumbered = unnumbered
        self._association = association
        self._channel = channel
        self._max_pdu = max_pdu
        self._line: list[Operation] = []
        self._current: Operation | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self.count = 0

    @property
    def busy(self) -> bool:
        """Whether a request is being worked on, or waits for it."""
        return self._current is not None or bool(self._line)

    @property
    def full(self) -> bool:
        """Whether the peer has sent so far ahead that it must wait."""
        return len(self._line) >= _MOST_WAITING

    def take(self, message: Message) -> None:
        """Take a message from the peer; raise `Malformed` for one that has no place here."""
        kind = message.command.field
        if kind == C_CANCEL_RQ:
            self._cancel(message.command.message_id_responded_to)
        elif kind & RESPONSE:
            raise Malformed("a response where nothing was asked")
        else:
            self._line.append(Operation(message, self._channel, self._max_pdu, self._number(message)))
            if self._task is None:
                self._task = self._channel.spawn(self._work())

    def _number(self, message: Message) -> int | None:
        number = message.command.message_id
        if number is None:
            number = self._unnumbered() if self._unnumbered else MESSAGE_ID_WHERE_MISSING
            self._log(logging.WARNING, "request without Message ID",
                      operation=f"{message.command.field:04X}", answered_as=number,
                      setting="accept.missing_message_id")  # fmt: skip
        return number

    def end(self) -> None:
        """Stop: the association is over (A-63); only what the peer reported is done still."""
        self._ended = True
        reports = [operation for operation in self._line if operation.reports]
        self._line.clear()
        if self._task is None:
            return
        if self._current is None or self._current.reports:
            self._line += reports
        else:
            self._task.cancel()
            if reports:
                self._channel.spawn(self._finish(reports))

    def _cancel(self, message_id: int | None) -> None:
        for operation in (self._current, *self._line):
            if operation is not None and operation.message_id == message_id:
                operation.cancelled = True

    async def _work(self) -> None:
        logs.bind(association=self._channel.number)
        try:
            while self._line:
                self._current = self._line.pop(0)
                with suppress(AssociationEnded):
                    await self._perform(self._current)
                self.count += 1
                self._current = None
                self._channel.progressed()
        finally:
            self._task = self._current = None

    async def _finish(self, line: list[Operation]) -> None:
        logs.bind(association=self._channel.number)
        for operation in line:
            with suppress(AssociationEnded):
                await self._perform(operation)

    async def _perform(self, operation: Operation) -> None:
        message = operation.message
        service = self._services[message.context.abstract_syntax]
        if message.oversize:
            asked = message.command.field == C_FIND_RQ
            self._log(logging.WARNING, "data set longer than taken", operation=f"{message.command.field:04X}",
                      **struck(Limit.IDENTIFIER if asked else Limit.DATA_SET))  # fmt: skip
        if refusal := _refusal(operation, service):
            await operation.send(refusal.status, fields=refusal.fields)
            return
        try:
            await service.handle(operation.request(self._association), operation)
            if not operation.answered:
                raise RuntimeError("the service gave no final response")
        except AssociationEnded:
            raise
        except asyncio.CancelledError as error:
            if self._ended:
                raise
            await self._fail(operation, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer gets an answer and the log the cause
            await self._fail(operation, error)

    async def _fail(self, operation: Operation, error: BaseException) -> None:
        kind = operation.message.command.field
        if isinstance(error, MwlError):
            self._log(logging.WARNING, "request failed", operation=f"{kind:04X}",
                      kind=type(error).__name__, reason=str(error))  # fmt: skip
            self._log(logging.DEBUG, "request failed with", **error.fields)
        else:
            logger.error("request failed unexpectedly", exc_info=error)
        if not operation.answered:
            failure = status.of(error, kind)
            await operation.send(failure.status, fields=failure.fields)

    def _log(self, level: int, name: str, /, **fields: object) -> None:
        # Fields of an error are named by whoever raised it.
        known = {"association": self._channel.number, "calling_ae": self._association.calling_ae}
        logs.event(logger, level, name, **{**fields, **known})


def _sop_class(message: Message) -> str:
    """Return the SOP class a message is about; one that does not say so means its context's (F52)."""
    command = message.command
    named = command.affected_sop_class_uid or command.requested_sop_class_uid
    return named or message.context.abstract_syntax


def _refusal(operation: Operation, service: Service) -> Failure | None:
    """Return why no service is asked, or None."""
    message = operation.message
    kind = message.command.field
    if operation.unnumbered:
        return Failure(status.MISTYPED_ARGUMENT, {ERROR_COMMENT: "the request has no Message ID (0000,0110)"})
    find, normalized = kind == C_FIND_RQ, kind >= _FIRST_NORMALIZED
    if message.oversize:
        code = status.OUT_OF_RESOURCES if find else status.RESOURCE_LIMITATION
        return Failure(code, {ERROR_COMMENT: "the data set is longer than allowed"})
    if _sop_class(message) != message.context.abstract_syntax:
        code = status.NO_SUCH_SOP_CLASS if normalized else status.SOP_CLASS_NOT_SUPPORTED
        return Failure(code, {ERROR_COMMENT: "not the SOP class of the presentation context"})
    if kind not in service.operations:
        return Failure(status.UNRECOGNIZED_OPERATION, {ERROR_COMMENT: "operation not offered"})
    return None
