"""Character sets, and text in a form that a device can show."""
