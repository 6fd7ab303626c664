"""Looking into students' work: a read-only page for teachers.

``service`` is the page, a service of the hub in its own unit. It starts ``reader``, which reads files as the student
who owns them. The page writes to the same log as the hub (``class_openings``).
"""
