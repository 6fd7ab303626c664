"""Which account each person gets and keeps."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from runner import people
from runner.classlist import Entry
from runner.course import Course
from runner.course.people import RESERVED, Account, People
from runner.errors import CoursehubError
from runner.people import ClassList, Role, assign, merge
from runner.project import Project
from tests.support.chance import chance

pytestmark = pytest.mark.unit

ACCOUNT: TypeAdapter[str] = TypeAdapter(Account)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("COURSEHUB_KEYS", str(tmp_path / "keys"))
    (tmp_path / "root" / "pillar" / "courses").mkdir(parents=True)
    return Project(tmp_path / "root")


def account(entry: Entry) -> str:
    (given_,) = assign([entry], ()).values()
    return given_


@pytest.mark.parametrize(
    ("entry", "gets"),
    [
        (Entry(1, "Ann Lee", login="alee"), "alee"),
        (Entry(1, "Ann Lee", email="alee7@x.edu"), "alee7"),
        (Entry(1, "Ann Lee", email="Ann.Lee@x.edu"), "ann-lee"),
        (Entry(1, "Ann Lee", login="ALee"), "alee"),
        (Entry(1, "Ann Lee", login="ann lee"), "ann-lee"),
        (Entry(1, "Ann Lee"), "ann-lee"),
        (Entry(1, "Zoë Müller"), "zoe-muller"),
        (Entry(1, "蕭 小明"), "xiao-xiaoming"),
        (Entry(1, "Ольга Петрова"), "ol-ga-petrova"),
        (Entry(1, "Ann Lee", login="20067930"), "s20067930"),
        (Entry(1, "O'Neil"), "o-neil"),
        (Entry(1, "x", login="-"), "s"),
        (Entry(1, "x", login="_x"), "_x"),
        (Entry(1, "A" * 60), "a" * 32),
        (Entry(1, "x", login="ann+spam"), "ann-spam"),
    ],
)
def test_the_account_that_a_person_gets(entry: Entry, gets: str) -> None:
    assert account(entry) == gets


def test_what_would_be_one_account_becomes_different_ones() -> None:
    """Names that other hubs confuse."""
    entries = [
        Entry(number, "X", email=email)
        for number, email in enumerate(("a.b@x.edu", "a_b@x.edu", "a-b@x.edu", "a b@x.edu", "A.B@y.edu", "a.b@z.edu"))
    ]
    given_ = assign(entries, ())
    assert len(set(given_.values())) == len(entries)
    assert (given_[1], given_[2]) == ("a_b", "a-b")
    assert all(name.startswith("a-b-") for line, name in given_.items() if line not in (1, 2))


def test_an_account_of_the_system_is_nobodys() -> None:
    given_ = assign([Entry(number, "X", login=name) for number, name in enumerate(sorted(RESERVED))], ())
    assert not RESERVED & set(given_.values())
    assert len(set(given_.values())) == len(RESERVED)


logins = st.one_of(
    st.text(min_size=1, max_size=80),
    # Few letters, so that many collide.
    st.text("ab.-_ AB1é", min_size=1, max_size=5),
    st.sampled_from(sorted(RESERVED)),
)


@st.composite
def classes(draw: st.DrawFn) -> list[Entry]:
    found = draw(st.lists(st.tuples(logins, st.sampled_from(["x.edu", "y.edu", None])), max_size=30, unique=True))
    entries = {}
    for number, (login, domain) in enumerate(found, 2):
        entry = Entry(number, "N", email=f"{login}@{domain}") if domain else Entry(number, "N", login=login)
        entries[entry.identity] = entry
    return list(entries.values())


@chance
@given(entries=classes(), seed=st.integers())
def test_accounts_are_valid_unique_and_independent_of_order(entries: list[Entry], seed: int) -> None:
    given_ = assign(entries, ())
    for name in given_.values():
        ACCOUNT.validate_python(name)
    assert len(set(given_.values())) == len(entries)
    shuffled = list(entries)
    random.Random(seed).shuffle(shuffled)
    assert assign(shuffled, ()) == given_


valid_name = st.text("abc ", min_size=1, max_size=6).map(lambda text: f"N{text}".strip())


@chance
@given(first=classes(), second=classes())
def test_an_account_once_given_is_kept_and_never_given_again(first: list[Entry], second: list[Entry]) -> None:
    """Two imports and then the first list again: everybody has their first account, whoever joined in between."""
    first = [entry for entry in first if _storable(entry)]
    second = [entry for entry in second if _storable(entry)]
    owners: dict[str, tuple[str, str]] = {}
    listed = ClassList()
    for entries in (first, second, first, []):
        listed = merge(listed, entries).listed
        assert {person.account for person in listed.students} | {person.account for person in listed.left} >= set(
            owners
        )
        for person in (*listed.students, *listed.left):
            who = ("email", person.email.casefold()) if person.email else ("login", str(person.login).casefold())
            assert owners.setdefault(person.account, who) == who
        assert len(listed.accounts()) == len(listed.students) + len(listed.left)


def _storable(entry: Entry) -> bool:
    """What classlist would accept: clean text and valid addresses."""
    from runner.classlist.rows import _EMAIL
    from runner.classlist.text import clean

    text = entry.email or entry.login or ""
    return clean(text) == text and bool(text) and (not entry.email or bool(_EMAIL.fullmatch(entry.email)))


ANN, BEN = Entry(2, "Ann Lee", email="ann@x.edu", number="1"), Entry(3, "Ben Ito", email="ben@x.edu", number="2")


def test_who_comes_goes_and_comes_back() -> None:
    first = merge(ClassList(), [ANN, BEN])
    assert [(role, person.account) for role, person in first.comes] == [("students", "ann"), ("students", "ben")]
    second = merge(first.listed, [BEN])
    assert ([p.account for _, p in second.goes], second.stays) == (["ann"], 1)
    assert [person.account for person in second.listed.left] == ["ann"]
    other = merge(second.listed, [BEN, Entry(4, "Ann Other", email="ann@y.edu")])
    assert other.comes[0][1].account.startswith("ann-")
    back = merge(other.listed, [BEN, ANN, Entry(4, "Ann Other", email="ann@y.edu")])
    assert [person.account for _, person in back.returns] == ["ann"]
    assert back.listed.left == []
    assert not merge(back.listed, [BEN, ANN, Entry(4, "Ann Other", email="ann@y.edu")]).anything


def test_a_new_name_or_address_is_the_same_person() -> None:
    listed = merge(ClassList(), [ANN]).listed
    change = merge(listed, [Entry(2, "Ann Miller", email="ann.miller@x.edu", number="1")])
    assert (change.comes, change.goes, change.doubts) == ([], [], [])
    assert change.changes == [(listed.students[0], change.listed.students[0])]
    assert (change.listed.students[0].account, change.listed.students[0].name) == ("ann", "Ann Miller")


BY_HAND = ClassList.model_validate(
    {
        "professors": [{"account": "rivera", "name": "Elena Rivera"}],
        "students": [{"account": "abello", "name": "Amara Bello"}, {"account": "bc", "name": "Ben Carter"}],
        "left": [{"account": "gone", "name": "Gil One"}],
    }
)


def test_person_typed_by_hand_is_found_by_account_or_name() -> None:
    """As ``new`` and the demo write them: account and name only."""
    entries = [
        Entry(2, "A. Bello", login="ABello", number="1"),
        Entry(3, "ben carter", email="ben.carter@x.edu", number="2"),
    ]
    change = merge(BY_HAND, entries)
    assert (change.comes, change.goes, len(change.changes), change.doubts) == ([], [], 2, [])
    assert [(p.account, p.login, p.email, p.number) for p in change.listed.students] == [
        ("abello", "ABello", None, "1"),
        ("bc", None, "ben.carter@x.edu", "2"),
    ]
    assert not merge(change.listed, entries).anything
    by_address = merge(BY_HAND, [Entry(2, "A. Bello", email="Abello@x.edu"), entries[1]])
    assert (by_address.comes, by_address.goes) == ([], [])


def test_a_login_of_a_written_one_with_another_name_is_asked() -> None:
    change = merge(BY_HAND, [Entry(2, "Zed Quux", login="abello")])
    assert [person.account for _, person in change.goes] == ["abello", "bc"]
    assert change.comes[0][1].account != "abello"
    assert len(change.doubts) == 1 and "line 2 has the login of abello and another name" in change.doubts[0]


def test_ambiguous_names_and_logins_identify_nobody() -> None:
    two = merge(BY_HAND, [Entry(2, "Ben Carter", login="b1"), Entry(3, "Ben Carter", login="b2")])
    assert (len(two.comes), [person.account for _, person in two.goes]) == (2, ["abello", "bc"])
    other = merge(BY_HAND, [Entry(2, "Gus Other", email="gone@x.edu")], only_add=True)
    assert other.returns == []
    assert other.comes[0][1].account != "gone"
    namesake = merge(BY_HAND, [Entry(2, "Rita Vera", login="rivera")], only_add=True)
    assert [role for role, _ in namesake.comes] == ["students"]
    assert namesake.listed.professors == BY_HAND.professors


def test_an_address_that_went_to_somebody_else_is_somebody_else() -> None:
    listed = merge(ClassList(), [ANN]).listed
    change = merge(listed, [Entry(2, "Ann Lee", email="ann@x.edu", number="77")])
    assert len(change.comes) == len(change.goes) == 1
    assert change.comes[0][1].account != "ann"


def test_a_file_touches_the_roles_that_it_has() -> None:
    listed = merge(ClassList(), [Entry(2, "Pat Doe", email="pat@x.edu")], role="professors").listed
    listed = merge(listed, [ANN, BEN]).listed
    assert [person.account for person in listed.professors] == ["pat"]
    change = merge(listed, [BEN], role="assistants")
    assert [(role, person.account) for role, person in change.moves] == [("assistants", "ben")]
    assert [person.account for person in change.listed.students] == ["ann"]
    assert change.goes == []
    assert merge(listed, [BEN], only_add=True).goes == []


STAFF = ClassList.model_validate(
    {
        "professors": [{"account": "pat", "name": "Pat Doe", "email": "pat@x.edu"}],
        "assistants": [{"account": "tim", "name": "Tim Ash", "email": "tim@x.edu"}],
        "students": [{"account": "ben", "name": "Ben Ito", "email": "ben@x.edu", "number": "2"}],
    }
)
PAT, TIM = Entry(7, "Pat Doe", email="pat@x.edu"), Entry(8, "Tim Ash", email="tim@x.edu")


def test_list_without_roles_changes_no_role() -> None:
    change = merge(STAFF, [ANN, PAT, TIM])
    assert change.moves == []
    assert (change.listed.professors, change.listed.assistants) == (STAFF.professors, STAFF.assistants)
    assert [(role, person.account) for role, person in change.goes] == [("students", "ben")]
    # A teacher who is not in it stays too.
    assert [role for role, _ in merge(STAFF, [PAT]).goes] == ["students"]


def test_file_with_roles_changes_and_removes_people_with_them() -> None:
    stated = [replace(ANN, role="students"), replace(BEN, role="assistants")]
    change = merge(STAFF, [*stated, PAT])
    assert [(role, person.account) for role, person in change.moves] == [("assistants", "ben")]
    assert [(role, person.account) for role, person in change.goes] == [("assistants", "tim")]
    assert change.listed.professors == STAFF.professors


@pytest.mark.parametrize(
    ("entries", "role"),
    [
        ([PAT, ANN], "students"),
        ([replace(PAT, role="students")], None),
        ([replace(PAT, role="assistants"), BEN], None),
    ],
)
def test_the_last_professor_stays(entries: list[Entry], role: Role | None) -> None:
    for only_add in (True, False):
        with pytest.raises(CoursehubError, match="would leave the course without a professor; add the next") as caught:
            merge(STAFF, entries, role=role, only_add=only_add)
        assert caught.value.exit_code == 2
    with pytest.raises(CoursehubError, match="would leave the course without a professor"):
        people.remove(STAFF, "pat")
    assert [p.account for p in merge(STAFF, [ANN], role="professors").listed.professors] == ["ann"]


def test_who_is_listed_twice_is_one_person_in_the_higher_role() -> None:
    twice = [
        Entry(2, "Ann Lee", email="ann@x.edu", role="students"),
        Entry(9, "Ann Lee", email="ANN@x.edu", role="assistants"),
    ]
    listed = merge(ClassList(), twice).listed
    assert ([p.account for p in listed.assistants], listed.students) == (["ann"], [])


def test_two_of_one_name_and_nothing_else_are_refused() -> None:
    with pytest.raises(CoursehubError, match=r"lines 2 and 3 have one name .*; export the list with email addresses"):
        merge(ClassList(), [Entry(2, "Ann Lee"), Entry(3, "Ann Lee")])


def test_two_lines_that_are_one_person_of_the_list_are_refused() -> None:
    listed = merge(ClassList(), [ANN]).listed
    with pytest.raises(CoursehubError, match=r"lines 2 and 3 are both the person with the account ann"):
        merge(listed, [Entry(2, "Ann Lee", number="1"), Entry(3, "Ann Lee", email="ann@x.edu")])


def test_what_a_file_does_not_say_stays() -> None:
    listed = merge(
        ClassList(), [Entry(2, "Ann Lee", email="ann@x.edu", number="1", login="al", github="ann-lee")]
    ).listed
    again = merge(listed, [Entry(2, "Ann Lee", number="1")]).listed
    assert again.students == listed.students
    assert (again.students[0].github, again.students[0].login) == ("ann-lee", "al")


@pytest.mark.parametrize("wrong", [{"login": "x" * 300}, {"number": "9" * 300}, {"github": "not a login"}])
def test_what_no_person_can_have_is_one_line_without_the_person(wrong: dict[str, str]) -> None:
    with pytest.raises(CoursehubError, match=f"line 7: the {min(wrong)} cannot be kept") as caught:
        merge(ClassList(), [Entry(7, "Ann Lee", email="ann@x.edu", **wrong)])
    assert "Ann" not in str(caught.value)


def test_groups_stay_where_a_file_says_nothing_of_them() -> None:
    listed = merge(ClassList(), [Entry(2, "Ann Lee", email="ann@x.edu", groups=("team-1",))]).listed
    assert merge(listed, [ANN]).listed.students[0].groups == ["team-1"]
    assert merge(listed, [Entry(2, "Ann Lee", email="ann@x.edu", groups=())]).listed.students[0].groups == []


def test_the_list_is_encrypted_and_read_again(project: Project) -> None:
    listed = merge(ClassList(), [ANN, Entry(3, "Zoë 'Öl': - #x", email="zoe@x.edu")]).listed
    people.write(project, "phys", listed)
    text = project.people_file("phys").read_text()
    for word in ("Ann Lee", "zoe@x.edu", "people:", "students:"):
        assert word not in text
    assert text.startswith("#!gpg|yaml\n-----BEGIN PGP MESSAGE-----\n")
    assert people.read(project, "phys") == listed
    assert people.read(project, "chem") == ClassList()


def test_list_without_a_professor_fails_before_any_server(project: Project) -> None:
    course = Course.model_validate({"title": "P", "domain": "p.x.edu", "contact": "p@x.edu"})
    people.write(project, "phys", merge(ClassList(), [ANN]).listed)
    with pytest.raises(CoursehubError, match="coursehub roster add phys professors"):
        people.people_of(project, "phys", course)
    with_professor = merge(people.read(project, "phys"), [Entry(2, "Pat Doe", login="pat")], role="professors").listed
    people.write(project, "phys", with_professor)
    found = people.people_of(project, "phys", course)
    assert isinstance(found, People)
    assert [person.account for person in found.everyone()] == ["pat", "ann"]


def test_what_is_no_class_list_is_one_line_without_names(project: Project) -> None:
    from runner.secrets.vault import Vault

    for text in ("Ann Lee", "people: {students: [{account: ROOT, name: Ann Lee}]}", "people: [Ann", "- Ann"):
        project.people_file("phys").parent.mkdir(parents=True, exist_ok=True)
        project.people_file("phys").write_text("#!gpg|yaml\n" + Vault(project).encrypt(text))
        with pytest.raises(CoursehubError, match="does not hold a class list") as caught:
            people.read(project, "phys")
        assert "Ann" not in str(caught.value)


def test_an_account_that_two_have_is_one_line_without_names(project: Project) -> None:
    course = Course.model_validate({"title": "P", "domain": "p.x.edu", "contact": "p@x.edu"})
    twice = {"account": "ann", "name": "Ann Lee"}
    people.write(project, "phys", ClassList.model_validate({"professors": [twice], "students": [twice]}))
    with pytest.raises(CoursehubError, match=r"secrets/phys-people.sls: the account ann is given twice; ") as caught:
        people.people_of(project, "phys", course)
    assert caught.value.exit_code == 2
    assert "Ann" not in f"{caught.value}{caught.value.__cause__}"


def test_no_error_of_ours_quotes_a_name() -> None:
    with pytest.raises(ValidationError) as caught:
        ClassList.model_validate({"students": [{"account": "ROOT", "name": "Ann Lee"}, "Ann Lee"], "x": "Ann Lee"})
    assert "Ann" not in f"{caught.value} {caught.value!r}"


def test_500_people_are_kept_and_known_again(project: Project) -> None:
    entries = [Entry(n, f"Student {n}", email=f"first.last{n}@x.edu", number=str(n)) for n in range(2, 502)]
    began = time.monotonic()
    people.write(project, "phys", merge(ClassList(), entries).listed)
    assert not merge(people.read(project, "phys"), entries).anything
    print(f"500 people: {time.monotonic() - began:.2f} s")
