"""Processes of the main command: the gateway server, its workers and their supervisor, and background jobs."""
