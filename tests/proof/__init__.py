"""`make prove`: everything that is tried to break the promises, repeated by one command, with a log to read.

Three things: simulated sales from many seeds (tests/simulation), planted bugs that the simulation has to
notice, and sales on a real broker while everything goes wrong (tests/faults/long_sale). The log has one JSON
object a line; docs/proof.md says what was found so far.
"""
