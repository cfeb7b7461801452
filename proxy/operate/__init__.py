"""What a person runs: check, explain, demo."""
