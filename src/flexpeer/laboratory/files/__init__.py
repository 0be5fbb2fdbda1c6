"""Problems, shares, outcomes and what must survive a program, as files."""
