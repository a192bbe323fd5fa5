"""What the engine asks of the broker: one transaction for all tasks of a worker (KIP-447), and who owns what.

aiokafka's producer sends one request for all partitions of a broker, where librdkafka sends one for each.
What it lacks is here: offsets that are refused unless the group's generation is current, and stable offsets.
"""
