"""The profile language: what a device is sent, and how a system's messages are read and worded."""
