"""Other ways to do it, in one run with the same orders and the same audit: `make bench-peers`."""
