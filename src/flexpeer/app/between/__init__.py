"""Organisations as programs of their own: letters, what they ask and answer, who silent ones are."""
