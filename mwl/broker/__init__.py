"""The broker as a whole: built from a configuration, started, reloaded, drained."""

from mwl.broker.profiles import Profiles, bind, check, load
from mwl.broker.running import Broker

__all__ = ["Broker", "Profiles", "bind", "check", "load"]
