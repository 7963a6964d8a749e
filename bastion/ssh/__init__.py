"""The only place that serves SSH."""
