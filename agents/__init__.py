"""The Faust agents: thin shells around the pure cores, decode → pure call → effects."""
