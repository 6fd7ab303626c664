"""Column names in the languages of the exporting systems, and which fact about a person each column contains."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

from runner.classlist.entry import refused
from runner.classlist.formats import own_kinds, own_names
from runner.classlist.text import plain

#: The header row is searched within these rows; some exports have a title above it.
HEAD_ROWS = 20
WANTED = "Last Name, First Name, Username, Email"

#: Column names by fact, the most likely first. They are compared in lower-case letters and digits only, without
#: accents.
_NAMES: dict[str, str] = {
    "last": (
        "Last name, Surname, Family name, Last, Nachname, Familienname, Nom de famille, Apellidos, Apellido(s), "
        "Apellido, Sobrenome, Último nome, Apelido, Apelido(s), Apelidos, Cognome, Cognoms, Achternaam, Efternamn, "
        "Etternavn, Efternavn, Sukunimi, Nazwisko, Příjmení, Priezvisko, Vezetéknév, Prezime, Priimek, Soyadı, Soyad, "
        "Nume de familie, Фамилия, Прізвище, Επώνυμο, 姓, 姓氏, שם משפחה, اسم العائلة, Họ"
    ),
    "first": (
        "First name, Given name, Given names, Given name(s), Forename, First, Vorname, Vornamen, Prénom, Prénoms, "
        "Nombres, Nombre(s), Nomes, Primeiro nome, Voornaam, Förnamn, Fornavn, Etunimi, Imię, Křestní jméno, "
        "Keresztnév, Utónév, Prenume, Имя, Ім'я, Όνομα, 名, 名字, שם פרטי, الاسم الأول, Adı"
    ),
    "name": (
        "Student, Full name, Student name, User full name, Display name, Learner, Participant, Nom complet, "
        "Nom et prénom, Nom prénom, Prénom nom, Étudiant, Nombre completo, Apellidos y nombre, "
        "Apellidos nombre, Estudiante, Alumno, Nome completo, Aluno, Estudante, Nome e cognome, Cognome e nome, "
        "Studente, Vollständiger Name, Name Vorname, Nachname Vorname, Teilnehmer, Volledige naam, Fullständigt namn, "
        "Imię i nazwisko, Jméno a příjmení, Ad Soyad, Adı Soyadı, ФИО, Имя и фамилия, Прізвище та ім'я, Ονοματεπώνυμο, "
        "姓名, 学生姓名, 學生姓名, 氏名, 名前, 이름, 성명, Họ và tên, Họ tên"
    ),
    # The surname if there is a first name, the first name if there is a surname, otherwise the whole name.
    "some": "Name, Names, Nom, Noms, Nome, Nombre, Naam, Namn, Navn, Nimi, Nume, Jméno, Név, Ime, Ad, Tên",
    "email": (
        "Email, Email address, Mail, Primary email, School email, University email, E-Mail-Adresse, Mailadresse, "
        "Adresse de courriel, Courriel, Adresse électronique, Adresse e-mail, Adresse mail, Dirección de correo, "
        "Dirección de correo electrónico, Dirección Email, Correo electrónico, Correo, Endereço de e-mail, "
        "Endereço de correio eletrónico, Correio eletrônico, E-mail institucional, Indirizzo email, Posta elettronica, "
        "E-mailadres, E-postadress, E-post, E-postadresse, Sähköposti, Adres e-mail, E-mailová adresa, E-mail cím, "
        "E-posta, E-posta adresi, Электронная почта, Адрес электронной почты, Почта, Електронна пошта, "
        "Ηλεκτρονική διεύθυνση, 邮箱, 电子邮箱, 电子邮件, 电子邮件地址, 邮件, 邮箱地址, 電子郵件, 電子郵件地址, "
        "電子郵件位址, メールアドレス, メール, 이메일, 이메일 주소, 전자우편, דואר אלקטרוני, البريد الإلكتروني"
    ),
    "login": (
        "Username, User name, Login ID, Login, User ID, Net ID, UID, Benutzername, Anmeldename, Benutzerkennung, "
        "Kennung, Nom d'utilisateur, Nom utilisateur, Identifiant, Nombre de usuario, Usuario, Nome de usuário, "
        "Nome de utilizador, Usuário, Utilizador, Nome utente, Gebruikersnaam, Användarnamn, Brukernavn, Brugernavn, "
        "Nazwa użytkownika, Uživatelské jméno, Kullanıcı adı, Имя пользователя, Логин, Ім'я користувача, 用户名, "
        "用戶名, 使用者名稱, 登录名, 账号, 帳號, ユーザ名, ユーザー名, 사용자 이름, 아이디"
    ),
    "number": (
        "Student ID, Student number, Student no, ID number, Number, Matriculation number, Matrikelnummer, Matrikelnr, "
        "Matr.-Nr., Matrikel, ID-Nummer, Numéro d'identification, Numéro étudiant, Numéro d'étudiant, N° étudiant, "
        "Número de ID, Número de identificación, Número de matrícula, Matrícula, Número de identificação, "
        "Número de aluno, Número de estudante, Matricola, Numero di matricola, Codice identificativo, Studentnummer, "
        "Studentnr, Numer albumu, Nr albumu, Öğrenci no, Öğrenci numarası, Номер студента, Студенческий билет, 学号, "
        "學號, 学生编号, 学籍番号, 学生番号, 학번, Mã sinh viên, MSSV, ID"
    ),
    "role": "Role, Roles, Course role, Rolle, Rollen, Rôle, Rôles, Rol, Papel, Papéis, Função, Ruolo, Ruoli, Roli, "
    "Роль, Роли, 角色, ロール, 역할",
    "groups": "Groups, Group, Group name, Teams, Team, Gruppen, Gruppe, Gruppenname, Groupes, Groupe, Équipe, Grupos, "
    "Grupo, Equipo, Equipe, Gruppi, Gruppo, Groepen, Groep, Grupper, Grupp, Grupy, Grupa, Группа, Группы, 组, 小组, "
    "分组, 組別, 小組, グループ, 그룹",
    "state": "Availability, Status, Enrollment state, Enrolment status, Statut, Estado, Stato, État, 状态, "
    "狀態, Статус",
}


@functools.cache
def _ranks() -> dict[str, dict[str, int]]:
    """For each fact, its column names with their rank; names that only one system uses come first."""
    ranks: dict[str, dict[str, int]] = {}
    for kind, names in {**dict.fromkeys(own_kinds(), ""), **_NAMES}.items():
        ranked = list(enumerate(map(plain, [*own_names(kind), *names.split(", ")])))
        ranks[kind] = {name: rank for rank, name in reversed(ranked)}
    return ranks


def normal(row: Iterable[str]) -> list[str]:
    """A column name in the form that is compared."""
    return [plain(cell) for cell in row]


def columns_of(header: Sequence[str]) -> dict[str, int]:
    """The position of each kind of fact in a header row; the names must be ``normal``."""
    found: dict[str, int] = {}
    for kind, ranks in _ranks().items():
        known = [(ranks[name], at) for at, name in enumerate(header) if name and name in ranks]
        if known:
            found[kind] = min(known)[1]
    if "some" in found:
        at = found.pop("some")
        if "first" in found and "last" not in found:
            found["last"] = at
        elif "last" in found and "first" not in found:
            found["first"] = at
        else:
            found.setdefault("name", at)
    return found


def tells_people_apart(columns: Mapping[str, int]) -> bool:
    """Whether these columns are enough for a class list."""
    named = "name" in columns or {"first", "last"} <= columns.keys()
    return ("email" in columns or "login" in columns or named) and len(columns) > 1


def find_header(rows: Sequence[tuple[int, Sequence[str]]], shown: str) -> tuple[int, dict[str, int], list[str]]:
    """Find the header row. Raises CoursehubError (2) if there is none.

    Returns the row's number, the position of each fact, and the names.
    """
    for position, (_, row) in enumerate(rows[:HEAD_ROWS]):
        header = normal(row)
        columns = columns_of(header)
        if tells_people_apart(columns):
            return position, columns, header
    raise refused(
        shown,
        f"has no row of column names such as {WANTED}",
        "export the list with a header row, or write one as its first line",
    )
