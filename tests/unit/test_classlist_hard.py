"""Difficult class lists: other languages, totals among the people, repeated lines, odd encodings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner import classlist
from runner.classlist import teams
from runner.errors import CoursehubError
from runner.people import ClassList, merge

pytestmark = pytest.mark.unit


def read(tmp_path: Path, text: str | bytes, encoding: str | None = None) -> classlist.ClassFile:
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return classlist.read(path, encoding)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Prénom,Nom de famille,Numéro d'identification,Adresse de courriel", "Zoë,Müller,7,z@x.edu"),
        ("Nom;Prénom;Courriel;N° étudiant", "Müller;Zoë;z@x.edu;7"),
        ("Nom complet;Adresse électronique;Numéro étudiant", "Zoë Müller;z@x.edu;7"),
        ("Name;Vorname;E-Mail;Matrikelnummer", "Müller;Zoë;z@x.edu;7"),
        ("Nachname;Vorname;Matr.-Nr.;E-Mail-Adresse", "Müller;Zoë;7;z@x.edu"),
        ('"Name, Vorname";E-Mail;Matrikelnr', '"Müller, Zoë";z@x.edu;7'),
        ("Apellido(s),Nombre,Número de ID,Dirección de correo", "Müller,Zoë,7,z@x.edu"),
        ("Nombre completo;Correo electrónico;Matrícula", "Zoë Müller;z@x.edu;7"),
        ("Nome,Sobrenome,Número de identificação,Endereço de email", "Zoë,Müller,7,z@x.edu"),
        ("Nome,Apelido(s),Número de aluno,Endereço de e-mail", "Zoë,Müller,7,z@x.edu"),
        ("Nome;E-mail institucional;Matrícula", "Zoë Müller;z@x.edu;7"),
        ("Cognome;Nome;Matricola;Indirizzo email", "Müller;Zoë;7;z@x.edu"),
        ("Voornaam;Achternaam;Studentnummer;E-mailadres", "Zoë;Müller;7;z@x.edu"),
        ("Imię;Nazwisko;Nr albumu;Adres e-mail", "Zoë;Müller;7;z@x.edu"),
        ("Имя;Фамилия;Номер студента;Электронная почта", "Zoë;Müller;7;z@x.edu"),
        ("Adı;Soyadı;Öğrenci no;E-posta", "Zoë;Müller;7;z@x.edu"),
        ("姓名,学号,邮箱", "Zoë Müller,7,z@x.edu"),
        ("學生姓名,學號,電子郵件地址", "Zoë Müller,7,z@x.edu"),
        ("氏名,学籍番号,メールアドレス", "Zoë Müller,7,z@x.edu"),
        ("이름,학번,이메일", "Zoë Müller,7,z@x.edu"),
    ],
)
def test_headers_in_other_languages(tmp_path: Path, header: str, row: str) -> None:
    found = read(tmp_path, f"{header}\n{row}\n")
    (entry,) = found.entries
    assert (entry.name, entry.email, entry.number) == ("Zoë Müller", "z@x.edu", "7")
    assert (found.notes, found.doubts) == ([], [])


def test_chinese_names_in_two_columns_are_joined_as_written(tmp_path: Path) -> None:
    assert read(tmp_path, "姓,名,邮箱\n蕭,小明,x@x.edu\n").entries[0].name == "蕭小明"


def test_roles_in_other_languages(tmp_path: Path) -> None:
    rows = ["Étudiant", "Estudante", "学生", "Dozent", "Trainer/in ohne Bearbeitungsrecht", "助教"]
    text = "name,email,role\n" + "".join(f"P{n} X,p{n}@x.edu,{role}\n" for n, role in enumerate(rows))
    found = [entry.role for entry in read(tmp_path, text).entries]
    assert found == ["students", "students", "students", "professors", "assistants", "assistants"]


def test_sums_and_dates_are_no_people(tmp_path: Path) -> None:
    sums = ["Date", "Points", "Class Average", "Total 2", "Points Possible", "Moyenne", "平均分", "Standard Deviation"]
    text = "Name,Email,Lab 1\nAnn Lee,a@x.edu,9\n" + "".join(f"{name},-,7\n" for name in sums)
    found = read(tmp_path, text)
    assert [entry.name for entry in found.entries] == ["Ann Lee"]
    assert found.notes == [
        f"line {line} is left out: it is the head of a sum or a date, and no person" for line in range(3, 3 + len(sums))
    ]
    assert found.doubts == []


def test_a_person_called_like_a_sum_is_one(tmp_path: Path) -> None:
    assert [entry.name for entry in read(tmp_path, "Name,Email\nMax Range,m@x.edu\n").entries] == ["Max Range"]


def test_a_name_without_anything_else_is_a_question(tmp_path: Path) -> None:
    found = read(tmp_path, "Name,Email\nAnn Lee,a@x.edu\nLab section B,\n")
    assert [entry.line for entry in found.entries] == [2, 3]
    assert len(found.doubts) == 1 and found.doubts[0].startswith("line 3 has a name and no email address")


def test_all_wrong_lines_are_reported_at_once(tmp_path: Path) -> None:
    text = "name,email,team\nA B,a@\nC D,c@x.edu,Team 1\nE F,e x.edu\nG H,g@x.edu,Team-1\n"
    with pytest.raises(CoursehubError) as caught:
        read(tmp_path, text)
    said = str(caught.value)
    for word in (
        "3 lines are wrong",
        "line 2: the value in the email",
        "line 4: the value in the email",
        "line 5: the teams 'Team 1' and",
    ):
        assert word in said


def merged(tmp_path: Path, text: str, known: ClassList | None = None) -> tuple[list[str], list[str]]:
    change = merge(known or ClassList(), read(tmp_path, text).entries)
    return [person.account for _, person in change.comes], change.doubts


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "name,email\nAnn Lee,x@x.edu\nBen Ito,x@x.edu\nCy Poe,X@x.edu\n",
            "lines 2, 3 and 4 have one email address and different names; correct the lines",
        ),
        (
            "name,email,number\nAnn Lee,x@x.edu,1\nAnn Lee,x@x.edu,2\n",
            "lines 2 and 3 have one email address and 2 different numbers; correct them",
        ),
        (
            "name,email,number\nAnn Lee,x@x.edu,1\nAnn Lee,y@x.edu,1\n",
            "lines 2 and 3 have one number and 2 different email addresses; correct them",
        ),
    ],
)
def test_lines_that_contradict_each_other_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(CoursehubError) as caught:
        merged(tmp_path, text)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_two_sections_are_no_question_and_two_teams_or_roles_are(tmp_path: Path) -> None:
    head = "name,email,section,team,role\n"
    assert merged(tmp_path, f"{head}A B,a@x.edu,1,T,Student\nA B,a@x.edu,2,T,Student\n") == (["a"], [])
    _, (team,) = merged(tmp_path, f"{head}A B,a@x.edu,1,T,\nA B,a@x.edu,2,U,\n")
    assert team.startswith("lines 2 and 3 are one person in different teams")
    _, (role,) = merged(tmp_path, f"{head}A B,a@x.edu,1,T,Student\nA B,a@x.edu,2,T,TA\n")
    assert role.startswith("lines 2 and 3 are one person with different roles, taken as assistants")


WEI = ClassList.model_validate(
    {
        "professors": [{"account": "wei-wang", "name": "Wei Wang"}],
        "assistants": [{"account": "tim", "name": "Tim Ash", "email": "tim@x.edu"}],
    }
)


def test_a_student_never_becomes_the_professor_of_that_name(tmp_path: Path) -> None:
    for row in ('"Wang, Wei",student@x.edu', "Wei Wang,wei-wang@x.edu", "Wang Wei,wei-wang"):
        header = "name,email" if "@" in row else "name,login"
        change = merge(WEI, read(tmp_path, f"{header}\n{row}\n").entries)
        assert change.listed.professors == WEI.professors
        assert [role for role, _ in change.comes] == ["students"]
        assert change.comes[0][1].account != "wei-wang"
        assert len(change.doubts) == 1 and "has the name of wei-wang, who is among the professors" in change.doubts[0]


def test_an_import_never_changes_the_staff(tmp_path: Path) -> None:
    text = "name,email,number\nTim Ash,tim@x.edu,77\n"
    change = merge(WEI, read(tmp_path, text).entries)
    assert (change.listed, change.doubts) == (WEI, [])
    assert change.notes[0].startswith("line 2 is tim, who is among the assistants and stays as they are")
    stranger = merge(WEI, read(tmp_path, "name,email\nEve Roe,tim@x.edu\n").entries)
    assert stranger.listed == WEI
    assert len(stranger.doubts) == 1


def test_a_file_that_makes_a_student_a_teacher_is_a_question(tmp_path: Path) -> None:
    known = merge(WEI, read(tmp_path, "name,email\nAnn Lee,a@x.edu\n").entries).listed
    change = merge(known, read(tmp_path, "name,email,role\nAnn Lee,a@x.edu,Teacher\n").entries, only_add=True)
    assert change.doubts == ["line 2 makes a one of the professors: is that right?"]


def test_swapped_names_are_a_question(tmp_path: Path) -> None:
    known = merge(ClassList(), read(tmp_path, "name,email\nAnn Lee,a@x.edu\nBen Ito,b@x.edu\n").entries).listed
    change = merge(known, read(tmp_path, "name,email\nBen Ito,a@x.edu\nAnn Lee,b@x.edu\n").entries)
    assert [(old.name, new.name) for old, new in change.changes] == [("Ann Lee", "Ben Ito"), ("Ben Ito", "Ann Lee")]
    assert [doubt[:36] for doubt in change.doubts] == [
        "line 2 has another name than a had: ",
        "line 3 has another name than b had: ",
    ]


def test_teams_of_any_script_are_different_and_stable() -> None:
    names = ["Team 1", "Mechanics Project Group 1", "Mechanics Project Group 2", "Team A", "Team Ä", "Team Ü", "Team U"]
    names += ["第一组", "第二组", "C", "C++", "C#", "Команда", "🦊", "🐻", "7"]
    shorts = [teams.short(name) for name in names]
    assert len(set(shorts)) == len(names)
    assert all(len(short) <= teams.LENGTH and short[0].isalpha() for short in shorts)
    assert shorts[:2] == ["team-1", teams.short(" mechanics  project GROUP 1 ")]
    assert re.fullmatch("mechanics-proje-2-[a-z0-9]{5}", teams.short("Mechanics Project Group 2"))
    assert (teams.short("Team 1"), teams.short("7")) == ("team-1", "group-7")
    # Stored in class lists since this version: another value would move everybody's team.
    assert teams.short("第一组") == "diyizu-5whes"


def test_short_name_of_a_team_is_reported(tmp_path: Path) -> None:
    found = read(tmp_path, "name,email,team\nA B,a@x.edu,第一组\nC D,c@x.edu,第一组\n")
    assert found.notes == [f"the team '第一组' is called {teams.short('第一组')} on the server"]


NAMES = "Name,Email\n{},a@x.edu\n"


def test_western_text_is_read_and_the_guess_is_named(tmp_path: Path) -> None:
    for name in ("Zoë Müller", "Åse Øvergård", "Núria Peñalver", "Jo O’Smith", "François Œuvrard"):
        found = read(tmp_path, NAMES.format(name).encode("cp1252"))
        assert found.entries[0].name == name
        assert len(found.notes) == 1 and "was read as Windows-1252" in found.notes[0]


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("Ольга Петрова", "cp1251"),
        ("Ольга Петрова", "koi8-r"),
        ("Γιώργος Παπαδόπουλος", "cp1253"),
        ("王小明", "gb18030"),
        ("王小明", "big5"),
        ("山田太郎", "shift_jis"),
        ("김철수", "euc-kr"),
        ("Łukasz Wójcik", "cp1250"),
        ("Zoë Müller", "mac-roman"),
    ],
)
def test_another_encoding_is_asked_about_and_read_when_named(tmp_path: Path, name: str, encoding: str) -> None:
    content = NAMES.format(name).encode(encoding)
    with pytest.raises(CoursehubError, match=r"list.csv:2: the file is not UTF-8, .* --encoding: cp1250 ") as caught:
        read(tmp_path, content)
    assert caught.value.exit_code == 2
    assert read(tmp_path, content, encoding).entries[0].name == name


@pytest.mark.parametrize("other", ["Jürgen Groß", "Ann Lee"])
def test_one_bad_byte_in_utf8_is_reported_with_its_line(tmp_path: Path, other: str) -> None:
    """Even if only one other letter shows that the file is UTF-8."""
    text = NAMES.format("Zoe Müller") + f"{other},j@x.edu\nBad X,b@x.edu\n"
    content = text.encode().replace(b"Bad X", b"B\xe4d X")
    with pytest.raises(CoursehubError, match=r"list.csv:4: the file is UTF-8, and a letter of this line is not"):
        read(tmp_path, content)


def test_an_encoding_that_nobody_knows_is_one_line(tmp_path: Path) -> None:
    for encoding in ("klingon", "rot13", "hex", "base64"):
        with pytest.raises(CoursehubError, match=f"--encoding '{encoding}'"):
            read(tmp_path, NAMES.format("A"), encoding)
