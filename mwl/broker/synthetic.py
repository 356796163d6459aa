"""An order of the broker's own that goes the whole way, so that health is proven by traffic.

Theory of operation
-------------------
As often as `synthetic.every` says the broker sends itself an order by HL7, asks itself for a worklist by
DICOM, on which the order must be, cancels it, and asks again, when it must be gone: through the listeners,
as a RIS and a device would.  What it says of itself is in the metrics and on ``/readyz``; it makes nobody
not ready, for a balancer that asks would take one broker away after the other.

No device ever sees such an order: it comes on hold, and what is on hold is on no worklist, whatever is asked
for.  One caller alone is shown it, is shown nothing else, and must call from this machine.  Both profiles are
the shipped `generic`, whatever the site has made of its own.  Nothing of it stays but the messages of an
hour, and nothing is reported of it: it is about nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from mwl import metrics
from mwl.config import Address, Configuration, shipped
from mwl.dicom import requestor
from mwl.dicom.binding import Binding
from mwl.errors import MwlError
from mwl.hl7 import sender
from mwl.hl7.envelope import System
from mwl.logs import event
from mwl.mapping.devices.device import DeviceProfile, load_devices
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.system import SystemProfile, load_systems
from mwl.model import Document, values
from mwl.store import Store, synthetic

logger = logging.getLogger(__name__)

TITLE: Final = "MWL-SYNTHETIC"
"""AE title it asks as, application it sends as, and ID of its patient."""

SYSTEM: Final = TITLE
"""What its messages are on record under, and are deleted by: nobody calls a system of his own so."""

STAGES: Final = ("order", "query", "cancel", "gone")

_WITHIN = 10.0  # seconds an answer may take
_PROFILE = "generic"
_LOOPBACK = ("127.0.0.0/8", "::1/128")
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  read here, not bound
_ACCESSION = "00080050"
_KEYS: Final[Document] = {
    "00080050": {"vr": "SH"},
    "00100020": {"vr": "LO", "Value": [TITLE]},
    "00400100": {
        "vr": "SQ",
        "Value": [{"00400001": {"vr": "AE", "Value": [TITLE]}, "00400009": {"vr": "SH"}}],
    },
}
_ORDER = (
    "MSH|^~\\&|{title}||||{now}||ORM^O01|{control_id}|P|2.3.1||||||UNICODE UTF-8\r"
    "PID|1||{title}||SYNTHETIC^ORDER\r"
    "ORC|{control}|{number}|{number}||{status}||^^^{now}|||||||||||{title}\r"
    "OBR|1|{number}|{number}|SYNTHETIC^Proof of health^99MWL||||||||||||||{number}|{number}|1||||OT\r"
)


class Unproven(MwlError):
    """A stage of the way did not do what it should have."""


@dataclass(frozen=True, slots=True)
class Participants:
    """Who plays the device and the RIS: nobody, while it is off."""

    devices: Mapping[str, DeviceProfile] = field(default_factory=dict)
    bindings: Mapping[str, Binding] = field(default_factory=dict)
    systems: Sequence[System] = ()


@dataclass(frozen=True, slots=True)
class Last:
    """How the last order fared."""

    ok: bool
    at: dt.datetime
    seconds: float
    failed: str = ""  # the stage where it ended

    @property
    def stages(self) -> dict[str, float]:
        """Return 1 for each stage that was passed, and 0 for the one where it ended."""
        passed = STAGES if self.ok else STAGES[: STAGES.index(self.failed)]
        return {**dict.fromkeys(passed, 1.0), **({} if self.ok else {self.failed: 0.0})}

    def shown(self) -> dict[str, object]:
        """Return it as ``/readyz`` tells it."""
        return {"ok": self.ok, "at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}", "seconds": round(self.seconds, 3),
                "failed": self.failed}  # fmt: skip


def participants(configuration: Configuration) -> Participants:
    """Return who plays the device and the RIS under a configuration."""
    if configuration.synthetic.every is None:
        return Participants()
    device, system = _profiles(configuration.site.timezone)
    hosts = {configuration.dicom.listen.host, configuration.hl7.listen.host}
    binding = Binding(TITLE, [*_LOOPBACK, *(address for host in hosts for address in _own(host))])
    own = System(SYSTEM, system, TITLE, own=binding.covers)
    return Participants({TITLE: device}, {TITLE: binding}, [own])


@lru_cache(maxsize=1)
def _profiles(timezone: str) -> tuple[DeviceProfile, SystemProfile]:
    folders = [shipped("mappings")]
    facts = SiteFacts("", ZoneInfo(timezone), "", None)
    device = load_devices(folders).bind(_PROFILE, {}, facts)
    return replace(device, own_system=SYSTEM), load_systems(folders).bind(_PROFILE)


def _own(host: str) -> list[str]:
    """Return the addresses that a listener's own connections to itself come from."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    with contextlib.suppress(OSError):
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    return []


class Synthetic:
    """A part of the broker; start and stop may be called in any order, any number of times."""

    def __init__(self, store: Store, addresses: Callable[[], Mapping[str, Address]]) -> None:
        """*addresses* tells where the broker listens, once it does."""
        self._store, self._addresses = store, addresses
        self._configuration: Configuration | None = None
        self.last: Last | None = None
        self._told = False
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin: with an order at once, where it is on."""
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(), name="synthetic")

    async def stop(self) -> None:
        """Let the order under way end, and end."""
        self._stopping.set()
        self._woken.set()
        task, self._task = self._task, None
        if task is not None:
            await task

    def use(self, configuration: Configuration) -> None:
        """Go by this configuration from now on."""
        self._configuration = configuration
        self._woken.set()

    def detail(self) -> dict[str, object]:
        """Return what ``/readyz`` tells of it: nothing, while it is off."""
        return {"synthetic": self.last.shown()} if self.last else {}

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            configuration = self._configuration
            every = configuration.synthetic.every if configuration else None
            if configuration is None or every is None:
                self.last = None
                metrics.synthetic_ok.clear()
            else:
                await self._prove(configuration)
            await self._rest(every.total_seconds() if every else None)

    async def _prove(self, configuration: Configuration) -> None:
        at, began = dt.datetime.now(dt.UTC), time.perf_counter()
        failed, reason = "", ""
        number = synthetic.accession(at)
        try:
            for failed, step in self._stages(configuration, number):  # noqa: B007  told where it raises
                await step()
            failed = ""
        except Exception as error:  # noqa: BLE001  whatever it is, it is what this is for
            reason = str(error) if isinstance(error, MwlError) else type(error).__name__
        with contextlib.suppress(MwlError):
            await self._store.write(partial(synthetic.forget, system=SYSTEM, number=number))
        self._tell(Last(not failed, at, time.perf_counter() - began, failed), reason)

    def _stages(self, configuration: Configuration, number: str) -> Sequence[tuple[str, Callable[[], Any]]]:
        steps = (
            partial(self._send, configuration, number, "NW", "HD"),  # on hold from the beginning
            partial(self._find, configuration, number, wanted=True),
            partial(self._send, configuration, number, "CA", ""),
            partial(self._find, configuration, number, wanted=False),
        )
        return tuple(zip(STAGES, steps, strict=True))

    async def _send(self, configuration: Configuration, number: str, control: str, status: str) -> None:
        now = dt.datetime.now(ZoneInfo(configuration.site.timezone))
        message = _ORDER.format(
            title=TITLE, now=f"{now:%Y%m%d%H%M%S}", control_id=f"SYN{time.time_ns():x}", number=number,
            control=control, status=status,
        )  # fmt: skip
        at = self._at("hl7")
        tls = _tls(configuration, "hl7")
        async with sender.Connection(at.host, at.port, timeout=_WITHIN, tls=tls, name="") as connection:
            answer = await connection.request(message.encode())
        if b"MSA|AA|" not in answer:
            raise Unproven("the order was refused")

    async def _find(self, configuration: Configuration, number: str, *, wanted: bool) -> None:
        at = self._at("dicom")
        peer = requestor.Peer(
            at.host, at.port, configuration.dicom.ae_title, TITLE, _WITHIN, tls=_tls(configuration, "dicom")
        )
        items = await asyncio.to_thread(requestor.find, peer, _KEYS)
        if any(number in values(item, _ACCESSION) for item in items) is not wanted:
            raise Unproven(
                "the order is not on the worklist" if wanted else "the order is still on the worklist"
            )

    def _at(self, name: str) -> Address:
        at = self._addresses()[name]
        return Address(_ANYWHERE.get(at.host, at.host), at.port)

    def _tell(self, last: Last, reason: str) -> None:
        self.last = last
        metrics.renew(metrics.synthetic_ok, last.stages)
        metrics.synthetic_seconds.observe(last.seconds)
        metrics.synthetic_total.labels(last.failed or "ok").inc()
        if not last.ok and not self._told:
            event(logger, logging.ERROR, "synthetic order failed", stage=last.failed, reason=reason)
        if last.ok and self._told:
            event(logger, logging.INFO, "synthetic order arrives again")
        self._told = not last.ok

    async def _rest(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()


def _tls(configuration: Configuration, section: str) -> ssl.SSLContext | None:
    """Return a context for a listener of our own: it has nothing to prove to us, we may have to it."""
    tls = getattr(configuration, section).tls
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(tls.certificate, tls.key)
    return context
