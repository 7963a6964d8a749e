"""The approver's console."""
