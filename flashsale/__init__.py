"""The program: its commands, a worker's composition, its supervisor, and the administration of topics."""
