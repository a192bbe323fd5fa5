"""The peers themselves. Each reads orders, decides them against `units` per SKU, and publishes outcomes.

They are programs of their own, with their own packages, and know nothing of this software.
"""
