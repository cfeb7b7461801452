"""A soak: what changes while traffic flows, at full size, for some minutes; see ``python -m tests.soak -h``."""
