"""Half an hour at half load, in which nothing may grow: `make soak`."""
