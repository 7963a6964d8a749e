"""Casts and ledger. Knows nothing of SSH serving or of approval desks."""
