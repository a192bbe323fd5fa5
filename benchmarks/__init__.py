"""What the system can do on this machine, measured in one run: `make bench`."""
