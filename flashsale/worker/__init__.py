"""One worker process: `compose` puts it together, `process` runs it, a supervisor starts `__main__`."""
