"""Judging a request: its head, its route, and the identity headers that the app will see."""
