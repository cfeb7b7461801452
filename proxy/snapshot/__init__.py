"""What everything reads: the configuration, loaded and frozen under one generation."""
