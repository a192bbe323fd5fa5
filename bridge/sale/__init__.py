"""The live page of a sale: what the topics say about it, kept once and sent to everybody who looks."""
