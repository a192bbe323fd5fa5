"""Dead letters for a person: what was turned away and why, and how it comes back once it is corrected."""
