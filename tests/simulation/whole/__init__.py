"""The whole system in one process under virtual time: real intake, cores, engine, timers and gateway.

Only what is outside of the program has a stand-in: the broker (`kafka`, `group`), its clients (`client`), the
network (`network`), disk and executor (`machine`), the clock (`clock`), and Faust with its consumer (`host`).
Fluent is the simulator of `rehearsal.fluent`, asked without a socket.
"""
