"""What an AE title is bound to: anybody can call himself CT1, but not from its address (E-03, E-05).

The address is that of the connection: behind a proxy it is the proxy's.  The certificate is one that an
authority of `dicom.tls.clients` has signed: TLS has seen to that before anything is asked here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from mwl.dicom.service import AssociationFacts, Rejection


class Binding:
    """The addresses and names of certificates that may use one AE title."""

    def __init__(self, device: str, addresses: Iterable[str] = (), certificates: Iterable[str] = ()) -> None:
        """*device* is its key in the configuration; what is empty binds to nothing."""
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in addresses)
        self._names = frozenset(name.casefold() for name in certificates)
        self._address_wrong, self._certificate_wrong = (
            Rejection(1, 1, 3, why, f"devices.{device}.{key}")  # calling AE title not recognised (E-04)
            for why, key in (
                ("the AE title is bound to another address", "address"),
                ("the AE title is bound to another certificate", "certificate"),
            )
        )

    def objection(self, association: AssociationFacts) -> Rejection | None:
        """Return why the AE title is not this caller's, or None."""
        if self._networks and not self.covers(association.address):
            return self._address_wrong
        if self._names and self._names.isdisjoint(name.casefold() for name in association.certified):
            return self._certificate_wrong
        return None

    def covers(self, address: str) -> bool:
        """Tell whether an address is among those that the AE title is bound to."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        # A listener on [::] sees IPv4 callers so.
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)
