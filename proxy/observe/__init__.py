"""What an operator sees: the log, the metrics, the admin page."""
