"""The Faust agents. Each module shows its topic, what is decoded there, and the pure core that decides.

An event of these agents is a whole fetch of one partition (`Fetched`), because a Faust event for each record
costs more than the decision about it. The engine hands it to its task, and the task to the topic's stage:

    @app.agent(order-commands) ─► engine ─► stage: decode each record ─► ledger.orders.decide ─► effects

What is decided becomes visible with the task's transaction: rows, records that are sent, and the position.
"""
