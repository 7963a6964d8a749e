"""SFTP that ends in the bastion: what an agent reads is judged, what it writes is staged, shown, approved, applied."""
