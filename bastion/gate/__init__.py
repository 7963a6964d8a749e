"""One SSH channel as a state machine. Pure."""
