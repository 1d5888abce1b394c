"""A stand-in for the internal Zenzefi server: every kind of traffic the gateway has to carry."""
