"""A list of what no test notices: small changes to the program, one at a time, against its fast tests.

`python -m tests.proof.mutants` changes one operator, number, condition or statement of a function at a time
and runs the tests of its room, then some simulated sales. mutmut and cosmic-ray do the like in a new process
for each change, where importing this project takes longer than its tests; here each change runs in a fork.
"""
