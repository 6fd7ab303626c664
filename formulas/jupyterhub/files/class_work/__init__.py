"""Looking into students' work: a read-only page for teachers, and the log of who opened whose work by which way.

``service`` is the page, a service of the hub in a unit of its own; ``reader`` is what it starts to read, as the student
whose files they are; ``hub`` sees servers that somebody else than their owner opens; ``openings`` is the log.
"""
