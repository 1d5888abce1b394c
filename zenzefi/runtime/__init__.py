"""The processes of the main command: gateway server, workers, supervisor, background jobs, static files."""
