"""How fast memgate is, side by side with what one would write otherwise: `make bench`."""
