"""What a profile may know beside the data: who asks, when, and where the broker stands."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """The site's settings, all optional (design 7)."""

    name: str = ""
    timezone: dt.tzinfo = dt.UTC
    charset: str | None = None  # a Specific Character Set, "ISO_IR 192"; None: the site states none
    uid_root: str | None = None  # None: UIDs derived by the broker stand under 2.25


@dataclass(frozen=True, slots=True)
class Facts:
    """The association that asks, and the time in the site's zone."""

    calling_ae: str
    called_ae: str = ""
    address: str = ""
    implementation_uid: str = ""
    implementation_version: str = ""
    now: dt.datetime = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    common_name: str = ""  # of its TLS certificate; "": it showed none
