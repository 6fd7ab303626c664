"""Rehearses a class on a real hub: temporary people sign in at the same time, and the cost is measured."""
