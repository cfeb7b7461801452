"""Judging a client by its certificate: its chain, then the policy of the route."""
