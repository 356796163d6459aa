"""Instants as a person writes them on a command line, and as one reads them: in the site's time."""

from __future__ import annotations

import datetime as dt
import re

import click

_AGO = re.compile(r"(?P<number>[0-9]{1,5}) ?(?P<unit>[mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")

FORMS = "2h, 3d, today, yesterday, 10:30, 2026-07-05 or 2026-07-05T10:30"


def instant(text: str, zone: dt.tzinfo, now: dt.datetime) -> dt.datetime:
    """Return the aware instant that *text* means: one of `FORMS`; raise `ValueError`.

    ``2h`` is two hours ago; what names no offset is in *zone*.
    """
    text = text.strip().lower()
    here = now.astimezone(zone)
    today = here.replace(hour=0, minute=0, second=0, microsecond=0)
    if match := _AGO.fullmatch(text):
        return here - dt.timedelta(**{_UNITS[match["unit"]]: int(match["number"])})
    if text in ("today", "yesterday"):
        return today - dt.timedelta(days=text == "yesterday")
    if _CLOCK.fullmatch(text):
        clock = dt.time.fromisoformat(text.zfill(len(text) + (text.index(":") < 2)))
        return dt.datetime.combine(today, clock, zone)
    found = dt.datetime.fromisoformat(text.upper())
    return found if found.tzinfo else found.replace(tzinfo=zone)


def option(text: str | None, name: str, zone: dt.tzinfo) -> dt.datetime | None:
    """Return the instant an option states; anything else is wrong usage."""
    if text is None:
        return None
    try:
        return instant(text, zone, dt.datetime.now(dt.UTC))
    except (ValueError, OverflowError):
        raise click.BadParameter(f"write {FORMS}", param_hint=f"--{name}") from None


def shown(stamped: str, zone: dt.tzinfo) -> str:
    """Return an instant of the database in the site's time, to the second."""
    return f"{dt.datetime.fromisoformat(stamped).astimezone(zone):%Y-%m-%d %H:%M:%S}"
