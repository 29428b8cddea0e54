"""The rungs of the ladder, a module each with its ``RUNG``, and what only one of them needs."""
