"""Supplier risk: who will be late, how sure that is, why, and what changed."""
