"""The broker as a whole: built from a configuration, started, reloaded, drained.

What stands here is imported when it is asked for: a command that wants a part waits for no other.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mwl.broker.profiles import Profiles, bind, check, load
    from mwl.broker.running import Broker

__all__ = ["Broker", "Profiles", "bind", "check", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{'running' if name == 'Broker' else 'profiles'}")
    return getattr(home, name)
