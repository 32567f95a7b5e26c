"""Objects that fall from a facade: motion of small spots, tracks, a fall with drag, where it began, and proof."""
