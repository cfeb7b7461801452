"""The control plane: what changes the snapshot while traffic flows."""
