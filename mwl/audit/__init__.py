"""Audit messages (PS3.15 A.5, IHE ATNA): what they say, how syslog carries them, where they go.

The broker decides what is worth one (`mwl.broker.auditing`); the store keeps them until they are sent
(`mwl.store.spool`).
"""
