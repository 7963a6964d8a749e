"""A witness: a small server on another box that remembers the last head of each ledger it is told to watch, and signs
only heads that extend it (C2SP tlog-witness). It needs nothing of a bastion, and no bastion needs to trust it with more
than that: what it signs is checked."""
