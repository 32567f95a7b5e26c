"""Finds what is on a line: asks with reads only, listens, compares with the profiles, and writes the TOML for it."""
