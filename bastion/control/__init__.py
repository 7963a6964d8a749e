"""How people's tools reach the daemon: one versioned protocol over an SSH subsystem and a local unix socket."""
