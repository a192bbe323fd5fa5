"""The pure decision core: reservations, orders, promotions.

Nothing in this package does I/O, reads a clock, draws a random number or logs. Time enters as the
timestamp of the record that is being decided. The same log always gives the same answers.
"""
