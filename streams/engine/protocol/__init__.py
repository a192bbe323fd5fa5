"""What a worker may do with its tasks, and when: a pure state machine. Events in, actions out.

No sockets, no Faust, no clock, no record's content: positions, generations and the order of steps. A task
owns one partition of one changelog and consumes some source partitions; all tasks of a worker share one
transaction at a time.

    (absent) ── granted ──► TAKING_OVER ── restored ──► REGISTERING ── registered ──► RUNNING
                                 ▲                           ▲                           │
                                 │                           └── granted, still whole ───┤ rebalancing
                                 └── granted, a generation was missed ── SUSPENDED ◄─────┘ or refused

Rules that the rest of the engine leans on:

1. Accept only the exact continuation of what was decided. Anything else is dropped and the source is sought
   back: Faust delivers records from stale positions around a rebalance.
2. Never jump forward. After an abort everything undecided goes back to the last committed positions.
3. One transaction at a time; what arrives meanwhile is decided against an overlay and goes into the next.
4. A task is taken over in this order, and nothing of it is decided before the last step: (1) read the owners
   of its offsets as they are, (2) fence the ids of the newest unless it let go, (3) read the offsets once
   they are stable, (4) restore the changelog to its end, (5) wait until its positions have reached the stable
   offsets, (6) register as the owner of every source, which the broker refuses unless the generation is
   current.
5. A task that stays ours is only registered again, provided that no generation was missed in between.
6. Every transaction carries the generation in which its tasks were granted, never the one of the moment.
7. After a transaction that failed there are new transactional ids, registered before the next transaction.
   One whose outcome nobody knows, and a fence, mean taking everything over again.
"""
