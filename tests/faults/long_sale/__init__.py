"""A long sale in bad weather: workers are killed, frozen and stopped, one comes and goes, a broker restarts.

`python -m tests.faults.long_sale --orders 100000` runs it on an embedded Kafka of its own and proves from the
topics that nothing went wrong. The suite runs a short form of it (tests/faults/test_long_sale.py).
"""
