"""The course file as typed, frozen objects. Parsing validates; every error has file and line."""

from runner.course.facts import Facts
from runner.course.model import Course, CourseFile, Limits, Term
from runner.course.people import People, Person
from runner.course.reading import COURSE_ID, course_ids, load, source
from runner.course.source import Location, Source

__all__ = [
    "COURSE_ID",
    "Course",
    "CourseFile",
    "Facts",
    "Limits",
    "Location",
    "People",
    "Person",
    "Source",
    "Term",
    "course_ids",
    "load",
    "source",
]
