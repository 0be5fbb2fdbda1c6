"""A clearing between organisations: nodes of areas and agents, what they are asked, and who coordinates them."""
