"""`make soak`: what must hold however often it is tried; outside CI, under 30 minutes."""
