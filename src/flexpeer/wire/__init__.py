"""The JSON contract: canonical encoding and the hash-chained record format."""
