"""A Fluent Commerce that can be had anywhere: a real HTTP server, in its own process, that executes the SDL.

What it knows about Fluent's behaviour, and from where, is in ``rehearsal/fluent/README.md``.
"""

from __future__ import annotations
