"""Jobs that each worker repeats while it runs."""
