"""What goes over the wire: one model per message of the contract, strict where it matters.

Imports nothing else of this project, so that a reader of our topics can use it alone.
"""
