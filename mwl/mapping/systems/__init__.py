"""What a system's messages mean, and how it is told: the system profiles."""
