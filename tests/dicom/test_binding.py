"""An AE title that is bound to an address, or to a certificate (E-03, E-05)."""

from __future__ import annotations

import dataclasses
from zoneinfo import ZoneInfo

import pytest

from mwl.dicom.binding import Binding
from mwl.dicom.devices import CALLING_AE_NOT_RECOGNISED, Devices
from mwl.dicom.service import AssociationFacts, NotAuthorized
from mwl.dicom.tls import names

CALLER = AssociationFacts("CT1", "MWL", "10.1.2.3", certified=("ct1.example.org", "10.1.2.3"))


@pytest.mark.parametrize(
    ("addresses", "certificates", "setting"),
    [
        ((), (), None),
        (("10.1.2.3/32",), (), None),
        (("10.9.0.0/16", "10.1.0.0/16"), (), None),
        (("10.1.2.4/32",), (), "devices.CT1.address"),
        (("::1/128",), (), "devices.CT1.address"),
        ((), ("CT1.EXAMPLE.ORG",), None),
        ((), ("ct2.example.org",), "devices.CT1.certificate"),
        (("10.1.2.3/32",), ("ct2.example.org",), "devices.CT1.certificate"),
    ],
)
def test_a_binding_objects_to_who_is_not_meant(addresses, certificates, setting):
    """With the setting that says who is; letter case of names does not count."""
    found = Binding("CT1", addresses, certificates).objection(CALLER)

    assert (found and found.setting) == setting


@pytest.mark.parametrize("address", ["::ffff:10.1.2.3", "10.1.2.3"])
def test_an_ipv4_caller_of_an_ipv6_listener_is_itself(address):
    """The kernel names it in another way."""
    assert Binding("CT1", ("10.1.2.3/32",)).objection(dataclasses.replace(CALLER, address=address)) is None


def test_an_impostor_is_rejected_as_unknown(generic):
    """It hears what any unknown caller hears (1, 1, 3), and does not fall to the entry of everybody."""
    devices = Devices(
        "MWL", {"CT1": generic, "*": generic}, ZoneInfo("UTC"),
        bindings={"CT1": Binding("CT1", ("10.1.2.4/32",))},
    )  # fmt: skip
    rejected = devices.admit(CALLER)

    assert rejected is not None
    assert (rejected.result, rejected.source, rejected.reason) == (1, 1, 3)
    assert rejected != CALLING_AE_NOT_RECOGNISED  # the log tells them apart
    assert devices.admit(dataclasses.replace(CALLER, calling_ae="CT2")) is None


def test_a_binding_that_comes_with_a_reload_holds_for_open_associations(generic):
    """What they ask from then on is refused."""
    devices = Devices(
        "MWL", {"CT1": generic}, ZoneInfo("UTC"), bindings={"CT1": Binding("CT1", ("10.1.2.4/32",))}
    )

    with pytest.raises(NotAuthorized):
        devices.of(CALLER)


def test_names_of_a_certificate_are_its_common_name_and_the_alternative_ones():
    """As `ssl` tells them; what is no name of a holder is left out."""
    shown = {
        "subject": ((("countryName", "DE"),), (("commonName", "ct1"),)),
        "subjectAltName": (("DNS", "ct1.example.org"), ("IP Address", "10.1.2.3"), ("Registered ID", "1.2")),
    }

    assert names(shown) == ("ct1", "ct1.example.org", "10.1.2.3")
    assert names(None) == ()
