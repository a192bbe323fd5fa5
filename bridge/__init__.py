"""The HTTP bridge: webhooks in, events on the input topics out, and the decisions back to the callers."""
