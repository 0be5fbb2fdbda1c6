"""The live market as a service: one writer, the routes, and who may see what."""
