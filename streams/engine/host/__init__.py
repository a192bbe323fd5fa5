"""Faust as the host of the engine: its consumer group, assignor, rebalancing, agents and timers.

Everything that is overridden in Faust is in this package; each override names the Faust code it corrects
(faust-streaming 0.15.3). Faust's own offsets, producer, table data path and recovery are not used.
"""
