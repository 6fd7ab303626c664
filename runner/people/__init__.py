"""The people of a course: their class list, what an import changes in it, and which account each person gets."""

from runner.course.roles import ROLES, Role
from runner.people.accounts import ACCOUNT_LENGTH, assign, wish
from runner.people.listed import ClassList, people_of, read, write
from runner.people.merging import Change, edit, merge, remove

__all__ = [
    "ACCOUNT_LENGTH",
    "ROLES",
    "Change",
    "ClassList",
    "Role",
    "assign",
    "edit",
    "merge",
    "people_of",
    "read",
    "remove",
    "wish",
    "write",
]
