"""What a device asks and is sent: the device profiles."""
