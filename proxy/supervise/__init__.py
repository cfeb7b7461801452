"""Processes, signals, drain."""
