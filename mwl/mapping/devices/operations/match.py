"""P1 `match`: by what a device is recognised, so that its profile can be offered.

The configuration says which profile a calling AE title has; `match` serves who asks for a suggestion.
An implementation class UID names a toolkit, not a machine, and changes with a software update (12.3 f).
"""

from __future__ import annotations

import ipaddress
import re
from functools import cached_property
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mwl.mapping.devices.operations.notation import SCALAR, TEXTS, Scalars, as_list, either
from mwl.mapping.devices.operations.when import RegexText
from mwl.mapping.facts import Facts
from mwl.query import pattern


class Pattern(BaseModel):
    """What a text is like: one of several, with * and ?, or a regular expression that is all of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    glob: Scalars | None = None
    """One of these, with * and ?."""
    regex: RegexText | None = None
    """The regular expression matches the whole."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        """Take ``CT*`` and ``[CT1, CT2]`` for ``{glob: …}``."""
        return data if isinstance(data, dict) else {"glob": data}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return either({"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}, core, handler)

    def fits(self, found: str) -> bool:
        """Tell whether *found* is like it."""
        if self.glob is not None and not any(pattern(each).fullmatch(found) for each in self.glob):
            return False
        return self.regex is None or re.fullmatch(self.regex, found) is not None

    @property
    def exact(self) -> bool:
        """Whether only texts that are written out are like it."""
        return self.regex is None and not any("*" in each or "?" in each for each in self.glob or ("*",))


def _checked_network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address and no network: 10.1.2.3 or 10.1.0.0/16") from None
    return text


NetworkText: TypeAlias = Annotated[str, AfterValidator(_checked_network)]
Networks: TypeAlias = Annotated[tuple[NetworkText, ...], BeforeValidator(as_list), WithJsonSchema(TEXTS)]


class Match(BaseModel):
    """By what a device is recognised (P1): every line must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    calling_ae: Pattern | None = None
    """Its AE title, or those of its worklist and its MPPS: texts with * and ?, or `regex`."""
    called_ae: Pattern | None = None
    """The AE title it calls the broker by."""
    ip: Networks | None = None
    """Its address, or the networks it is in (10.1.0.0/16)."""
    impl_uid: Pattern | None = None
    """Its implementation class UID."""
    impl_version: Pattern | None = None
    """Its implementation version name."""
    tls_cn: Pattern | None = None
    """The common name in its TLS certificate; only where listeners ask for one."""
    any: tuple[Match, ...] | None = None
    """Alternatives: one of them must hold as well."""

    @cached_property
    def _networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(ipaddress.ip_network(text, strict=False) for text in self.ip or ())

    def fits(self, facts: Facts) -> bool:
        """Tell whether an association comes from such a device."""
        lines = (
            (self.calling_ae, facts.calling_ae),
            (self.called_ae, facts.called_ae),
            (self.impl_uid, facts.implementation_uid),
            (self.impl_version, facts.implementation_version),
            (self.tls_cn, facts.common_name),
        )
        if not all(wanted.fits(found) for wanted, found in lines if wanted is not None):
            return False
        if self.ip is not None and not self._is_there(facts.address):
            return False
        return self.any is None or any(each.fits(facts) for each in self.any)

    def _is_there(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self._networks)

    @property
    def weight(self) -> tuple[int, int]:
        """How specific it is: how many lines must hold, and how many of them name one thing alone."""
        stated = [
            each
            for each in (self.calling_ae, self.called_ae, self.impl_uid, self.impl_version, self.tls_cn)
            if each is not None
        ]
        alone = sum(each.exact for each in stated)
        alone += bool(self._networks) and all(each.num_addresses == 1 for each in self._networks)
        return len(stated) + (self.ip is not None) + (self.any is not None), alone
