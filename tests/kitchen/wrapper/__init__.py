"""Test Kitchen's verbs for ``tests/kitchen/kitchen.yml`` without Ruby: the local cloud's machines, or any SSH host."""
