"""A drill: a course's newest backup is restored onto a throw-away server, compared with the backup, and used."""
