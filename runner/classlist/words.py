"""Words in the cells of a class list: roles, states, and rows that are totals rather than people."""

from __future__ import annotations

import re

from runner.classlist.text import clean, plain
from runner.course.roles import Role

#: Words in a role's name, the most specific first: Moodle's "Non-editing teacher" is an assistant, "Student-AC" a
#: student.
_ROLE_WORDS: dict[Role, tuple[str, ...]] = {
    "assistants": (
        *("nonediting", "assistant", "assistent", "asistente", "assistente", "grader", "tutor", "nonediteur"),
        *("sinpermisodeedicion", "ohnebearbeitungsrecht", "monitor", "助教"),
    ),
    "guests": ("auditor", "guest", "observer", "gast", "invite", "invitado", "convidado", "ospite", "hörer", "旁听"),
    "students": (
        *("student", "learner", "participant", "teilnehmer", "etudiant", "estudiante", "estudante", "alumno", "aluno"),
        *("studente", "学生", "學生"),
    ),
    "professors": (
        *("professor", "instructor", "teacher", "lecturer", "dozent", "lehrer", "trainer", "enseignant", "profesor"),
        *("docente", "教师", "老师", "教授", "教師"),
    ),
}
_ROLE_ALONE: dict[str, Role] = {"ta": "assistants", "tas": "assistants"}


def _all(words: str) -> frozenset[str]:
    return frozenset(plain(word) for word in words.split(", "))


#: Values of a state column for people who are not in the class any more.
_ABSENT = _all(
    "No, Suspended, Inactive, Not current, Deleted, Completed, Concluded, Dropped, Withdrawn, Suspendu, Inactif, "
    "Suspendido, Inactivo, Suspenso, Inativo, Gesperrt, Inaktiv, Nein, Sospeso, 已暂停, 已停用"
)
#: Words for totals and headings, searched in the cell that should contain a person's name.
_SUMS = _all(
    "Points, Point, Possible, Points Possible, Max, Maximum, Min, Minimum, Average, Class Average, Mean, Median, "
    "Total, Totals, Sum, Count, Date, Due, Due date, Class, Course, Overall, Standard deviation, Std, Stdev, Range, "
    "Grade, Score, Weight, Category, Datum, Punkte, Durchschnitt, Mittelwert, Summe, Gesamt, Anzahl, Moyenne, Somme, "
    "Nombre total, Promedio, Media, Suma, Fecha, Puntos, Média, Soma, Data, Pontos, 平均, 平均分, 总分, 总计, 合计, "
    "日期, 满分, 最高分, 最低分, 人数"
)


def role_of(text: str) -> Role | None:
    """Our role for a system's role; None if it is none of ours."""
    word = plain(text)
    if word in _ROLE_ALONE:
        return _ROLE_ALONE[word]
    return next((role for role, words in _ROLE_WORDS.items() if any(plain(one) in word for one in words)), None)


def is_absent(state: str) -> bool:
    """Whether a state says that the person is not in the class any more."""
    return plain(state) in _ABSENT


def is_sum(name: str) -> bool:
    """Whether the text in a name's place is the heading of a total: "Class Average", "Total 2", "Points Possible"."""
    words = [plain(word) for word in re.split(r"[\s:/()_.-]+", clean(name)) if plain(word)]
    words = [word for word in words if not word.isdecimal()]
    return bool(words) and (plain(name) in _SUMS or all(word in _SUMS for word in words))
