"""Looking into students' work: a read-only page for teachers, and the log of who opened whose work, and how.

``service`` is the page, a service of the hub in its own unit. It starts ``reader``, which reads files as the student
who owns them. ``hub`` notices when another person than the owner opens a server. ``openings`` is the log.
"""
