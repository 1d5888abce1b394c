"""A stand-in for the internal server, with every kind of traffic that the gateway relays."""
