"""agent-bastion: an SSH bastion for AI agents."""

__version__ = "0.1.0"
