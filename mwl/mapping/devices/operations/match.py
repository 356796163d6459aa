"""P1 `match`: by what a device is recognised, so that its profile can be offered or chosen.

The configuration says which profile a calling AE title has.  `match` serves who asks for a suggestion,
and tells apart the devices that share one AE title (`shared_by` there): by what their associations say,
and by what they ask, as it came, before any tolerance (`query`).
An implementation class UID names a toolkit, not a machine, and changes with a software update (12.3 f).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
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

from mwl.expressions import expression
from mwl.mapping.devices.operations.notation import SCALAR, TEXTS, Scalars, as_list, either
from mwl.mapping.devices.operations.operation import Binding, Run
from mwl.mapping.devices.operations.when import RegexText, When
from mwl.mapping.facts import Facts
from mwl.model import Document
from mwl.query import pattern

Fits: TypeAlias = Callable[[Facts, Document | None], bool]
"""Whether a request comes from such a device: its association, and its identifier where it has one."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """A `match` at work: what it recognises, and how specific it is."""

    fits: Fits
    rank: tuple[int, int, int]
    """How specific it is, the priority last; of two that fit the greater one is meant."""
    origin: str  # file:line


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
        return self.regex is None or expression(self.regex).is_all_of(found)

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


class Fingerprint(When):
    """What tells a device by its query: of the steps that are found nothing is known yet."""

    @model_validator(mode="after")
    def _before_any_step(self) -> Fingerprint:
        if stated := sorted(_about_steps(self)):
            raise ValueError(f"{stated[0]} is of a step, and a query is told before any step is found")
        return self


def _about_steps(when: When) -> set[str]:
    inner = (*(when.any or ()), *(when.all or ()), *((when.not_,) if when.not_ else ()))
    own = {name for name, value in (("source", when.source), ("age", when.age)) if value is not None}
    return own.union(*map(_about_steps, inner))


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
    query: Fingerprint | None = None
    """What it asks, as it came: attributes and their tests, as in `when`."""
    any: tuple[Match, ...] | None = None
    """Alternatives: one of them must hold as well."""

    def recognise(self, binding: Binding, *keys: str | int) -> Fits:
        """Return whether a request comes from such a device, as a function of it."""
        asks = None if self.query is None else self.query.compile(binding, *keys, "query")
        choices = [each.recognise(binding, *keys, "any", n) for n, each in enumerate(self.any or ())]

        def fits(facts: Facts, asked: Document | None) -> bool:
            if not self._says(facts):
                return False
            if asks is not None and (asked is None or not asks(asked, Run(facts, asked))):
                return False
            return self.any is None or any(choice(facts, asked) for choice in choices)

        return fits

    @property
    def asks(self) -> bool:
        """Whether anything of it is about what the device asks."""
        return self.query is not None or any(each.asks for each in self.any or ())

    @cached_property
    def _networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(ipaddress.ip_network(text, strict=False) for text in self.ip or ())

    def fits(self, facts: Facts) -> bool:
        """Tell whether an association comes from such a device, of which it is not known what it asks."""
        if self.query is not None or not self._says(facts):
            return False
        return self.any is None or any(each.fits(facts) for each in self.any)

    def _says(self, facts: Facts) -> bool:
        """Tell whether an association is as the lines about it say."""
        lines = (
            (self.calling_ae, facts.calling_ae),
            (self.called_ae, facts.called_ae),
            (self.impl_uid, facts.implementation_uid),
            (self.impl_version, facts.implementation_version),
            (self.tls_cn, facts.common_name),
        )
        if not all(wanted.fits(found) for wanted, found in lines if wanted is not None):
            return False
        return self.ip is None or self._is_there(facts.address)

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
        others = (self.ip, self.query, self.any)
        return len(stated) + sum(each is not None for each in others), alone
