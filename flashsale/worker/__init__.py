"""The composition root: builds a worker out of settings, stages, engine, gateway and Faust."""
