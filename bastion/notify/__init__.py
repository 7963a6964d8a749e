"""Telling people who do not look at a console: what is told, how channels take it, the process that sends."""
