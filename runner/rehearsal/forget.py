"""Runs on the server with the hub's Python: removes people without an account from the hub's database.

Arguments: the database, the prefix of the names, and ``count`` or ``delete``. Prints how many people there are.
The hub must not run while they are deleted.
"""

import pwd
import sys

from jupyterhub import orm


def has_account(name: str) -> bool:
    """Whether the system has an account of this name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def main(database: str, prefix: str, action: str) -> None:
    """Count these people, and delete them if asked to."""
    session = orm.new_session_factory(f"sqlite:///{database}")()
    named = session.query(orm.User).filter(orm.User.name.like(f"{prefix}%"))
    people = [user for user in named if not has_account(user.name)]
    print(len(people))
    if action == "delete":
        for user in people:
            session.delete(user)
        session.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
