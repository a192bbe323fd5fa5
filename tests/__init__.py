"""The tests. A package, so that `tests.support` cannot be shadowed by an installed module of that name."""
