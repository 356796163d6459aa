"""The kinds of value a configuration holds, each named for what it admits.

Two layers meet here: what an engineer may write (``127.0.0.1:11112``, a number where text is meant)
and what the program sees (an `Address`, text).  Every check raises `ValueError` with half a
sentence that says what to write instead; the place of the mistake is put in front of it later.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import zoneinfo
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, SecretStr, WithJsonSchema

from mwl.config.passwords import HashedPassword

ANYONE = "*"
"""As an AE title, application or facility: every one that no other entry names."""

_AE_TITLE_LENGTH = 16  # PS3.5 table 6.2-1
_UID_ROOT_LENGTH = 39  # leaves a dot and the 24 digits that `mwl.store.study_uid` needs, of 64 (PS3.5 9.1)
_PORTS = range(65536)

_UID_ROOT = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")  # PS3.5 9.1: no leading zeros
_CHARSET = re.compile(r"ISO_IR [0-9]{1,3}|ISO 2022 IR [0-9]{1,3}|GB18030|GBK")  # PS3.3 C.12.1.1.2
_MESSAGE = re.compile(r"[A-Z]{3}\^[A-Z][A-Z0-9]{2}")
FOREVER = "forever"
NEVER = "never"
_AGE = re.compile(r"(?P<number>[1-9][0-9]{0,4}) ?(?P<unit>[mhdw])")
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes"}
_SIZE = re.compile(r"(?P<number>[0-9]{1,9}) ?(?P<prefix>[KMGT]iB)")
_PREFIXES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_LISTEN = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]\s]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port; as text ``host:port``, with an IPv6 host in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: object) -> Address:
        """Read ``host:port`` or ``[IPv6]:port``; raise `ValueError` for anything else."""
        if isinstance(text, cls):
            return text
        match = _LISTEN.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError("write host:port, for example 127.0.0.1:11112 or [::1]:11112")
        if int(match["port"]) not in _PORTS:
            raise ValueError(f"the port {match['port']} is above 65535")
        return cls(match["six"] or match["host"], int(match["port"]))


def _written(value: Any) -> Any:
    """Take a whole number for the text it was written as; its other forms are lost and need quotes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, (bool, float)):
        raise ValueError("text is expected: write it in quotes")  # noqa: TRY004  pydantic wants ValueError
    return value


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds a control character")
    return text.strip()


def ae_title(text: str) -> str:
    """Return an AE title without its insignificant blanks; raise `ValueError` (E-05)."""
    text = text.strip(" ")
    if not text:
        raise ValueError("an AE title cannot be blank")
    if len(text) > _AE_TITLE_LENGTH:
        raise ValueError(f"an AE title has at most {_AE_TITLE_LENGTH} characters, this one has {len(text)}")
    if not (text.isascii() and text.isprintable()) or "\\" in text:
        raise ValueError("an AE title holds printable ASCII without a backslash")
    return text


def _database(url: str) -> str:
    scheme = url.partition(":")[0]
    if scheme in {"postgres", "postgresql"}:
        raise ValueError("write postgresql+psycopg://user:password@host/name")
    if scheme not in {"sqlite", "postgresql+psycopg"} or "://" not in url:
        raise ValueError("write sqlite:///file.db or postgresql+psycopg://user:password@host/name")
    return url


def without_password(url: str) -> str:
    """Return a database URL that may be shown."""
    shown = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)
    # libpq takes them as parameters, too: password, sslpassword.
    return re.sub(r"(?i)([?&][^=&]*password)=[^&]*", r"\1=***", shown)


def age(text: object) -> dt.timedelta | None:
    """Read a length of time such as ``90d``; None is for ever.  Raises `ValueError`."""
    if text == FOREVER:
        return None
    if (found := _length(text)) is not None:
        return found
    raise ValueError(f"write a number and m, h, d or w, for example 90d, or {FOREVER}")


def after(text: object) -> dt.timedelta | None:
    """Read a length of time such as ``12h``; None is never.  Raises `ValueError`."""
    if text == NEVER:
        return None
    if (found := _length(text)) is not None:
        return found
    raise ValueError(f"write a number and m, h, d or w, for example 12h, or {NEVER}")


def _length(text: object) -> dt.timedelta | None:
    match = _AGE.fullmatch(text.strip()) if isinstance(text, str) else None
    return None if match is None else dt.timedelta(**{_UNITS[match["unit"]]: int(match["number"])})


def _written_after(value: dt.timedelta | None) -> str:
    return NEVER if value is None else _written_age(value)


def _written_age(value: dt.timedelta | None) -> str:
    """Return a length of time as it would be written, in the longest unit it is a multiple of."""
    if value is None:
        return FOREVER
    letter, unit = next(
        (letter, unit) for letter, name in _UNITS.items() if not value % (unit := dt.timedelta(**{name: 1}))
    )
    return f"{value // unit}{letter}"


def size(text: object) -> int:
    """Read a number of bytes, alone or as in ``256 MiB``; raise `ValueError` for anything else."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    if isinstance(text, str) and (match := _SIZE.fullmatch(text.strip())):
        return int(match["number"]) * _PREFIXES[match["prefix"]]
    raise ValueError("write a number of bytes, or for example 256 MiB")


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone is named {name!r}; write one like Europe/Berlin") from None
    return name


def _uid_root(text: str) -> str:
    if not _UID_ROOT.fullmatch(text):
        raise ValueError("a UID root is numbers joined by dots, without leading zeros and without a last dot")
    if len(text) > _UID_ROOT_LENGTH:
        raise ValueError(f"a UID root has at most {_UID_ROOT_LENGTH} characters: the rest of 64 is needed")
    return text


def _charset(label: str) -> str:
    terms = label.split("\\")
    if not any(terms) or not all(_CHARSET.fullmatch(term) for term in terms[1:] if term):
        raise ValueError("write defined terms of (0008,0005), for example ISO_IR 192 (UTF-8) or ISO_IR 100")
    if terms[0] and not _CHARSET.fullmatch(terms[0]):
        raise ValueError(f"{terms[0]!r} is no defined term of (0008,0005); UTF-8 is ISO_IR 192")
    return label


def _message(kind: str) -> str:
    if not _MESSAGE.fullmatch(kind):
        raise ValueError("write a message type and event, for example ORM^O01")
    return kind


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise ValueError(f"{text!r} is no IP address and no network: 10.1.2.3 or 10.1.0.0/16") from None


def _tls_version(value: Any) -> Any:
    """Take the number 1.2 for the version it was written as."""
    return str(value) if isinstance(value, float) else value


def _secret(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value():
        raise ValueError("an empty password is none")
    return secret


def _reachable(address: Address) -> Address:
    if not address.port:
        raise ValueError("port 0 cannot be connected to")
    return address


_AgeSchema = (
    PlainSerializer(_written_age),
    WithJsonSchema({"type": "string", "examples": ["90d", FOREVER]}),
)
_AfterSchema = (
    PlainSerializer(_written_after),
    WithJsonSchema({"type": "string", "examples": ["12h", NEVER]}),
)
_SizeSchema = (WithJsonSchema({"type": ["string", "integer"], "examples": ["256 MiB"]}),)

_AddressSchema = (PlainSerializer(str), WithJsonSchema({"type": "string", "examples": ["127.0.0.1:11112"]}))

Listen = Annotated[Address, BeforeValidator(Address.parse), *_AddressSchema]
"""Where to accept connections; port 0 takes a free one."""
Peer = Annotated[Address, AfterValidator(_reachable), BeforeValidator(Address.parse), *_AddressSchema]
"""Where to connect to."""
Text = Annotated[str, BeforeValidator(_written), AfterValidator(_printable)]
AETitle = Annotated[str, BeforeValidator(_written), AfterValidator(ae_title)]
DatabaseUrl = Annotated[Text, AfterValidator(_database)]
ZoneName = Annotated[Text, AfterValidator(_zone)]
UidRoot = Annotated[Text, AfterValidator(_uid_root)]
Age = Annotated[dt.timedelta | None, BeforeValidator(age), *_AgeSchema]
"""How long something is kept; None is for ever."""
After = Annotated[dt.timedelta | None, BeforeValidator(after), *_AfterSchema]
"""After how long something is done; None is never."""
Size = Annotated[int, BeforeValidator(size), *_SizeSchema]
"""A number of bytes."""
CharsetLabel = Annotated[Text, AfterValidator(_charset)]
MessageKind = Annotated[Text, AfterValidator(_message)]
Network = Annotated[Text, AfterValidator(_network)]
"""An IP address, or the network it is in."""
TlsVersion = Annotated[Literal["1.2", "1.3"], BeforeValidator(_tls_version)]
Secret = Annotated[SecretStr, BeforeValidator(_written), AfterValidator(_secret)]
"""Text that is never shown."""
PasswordHash = Annotated[
    HashedPassword,
    BeforeValidator(HashedPassword.parse),
    PlainSerializer(lambda _: str(SecretStr("x"))),
    WithJsonSchema({"type": "string"}),
]
"""A password only to compare with; shown like one in the clear."""
