"""Lab folder, subjects, episodes, sessions and trials: what is loaded equals what was saved, and refusals."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsys.core.errors import InputError, NewerSchemaError, UnknownNameError
from labsys.core.session import (
    Anthropometry,
    Conditions,
    Episode,
    Goal,
    GoalDirection,
    Phase,
    Session,
    Subject,
    Surface,
    Trial,
    TrialKind,
    TrialName,
)
from labsys.core.skeleton import Side
from labsys.storage.documents import from_document, to_document
from labsys.storage.episodes import list_episodes, load_episode, save_episode
from labsys.storage.identity import new_uuid
from labsys.storage.lab import Lab, create_lab, find_lab, open_lab, take_folder, trial_folder
from labsys.storage.sessions import list_sessions, load_session, save_session
from labsys.storage.subjects import list_subjects, load_subject, save_subject
from labsys.storage.trials import list_trials, load_trial, move_trial, save_trial

NAME = TrialName("S01", "2026-11-22", "run1")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return create_lab(tmp_path / "lab", name='The "north" lab')


@pytest.fixture
def filled(lab: Lab) -> Lab:
    save_subject(lab, Subject(uuid="", code="S01"))
    save_session(lab, Session(uuid="", subject="S01", session="2026-11-22", captured_at="2026-11-22T10:00:00Z"))
    save_trial(lab, _trial())
    return lab


def _trial(**changes: object) -> Trial:
    plain = Trial(uuid="", name=NAME, kind=TrialKind.RUN, recorded_at="2026-11-22T10:05:00Z")
    return replace(plain, **changes)  # type: ignore[arg-type]  # fields by name


def test_a_lab_opens_as_it_was_made(lab: Lab) -> None:
    again = open_lab(lab.root)
    assert again == lab
    assert again.name == 'The "north" lab'
    assert again.database == f"sqlite:///{lab.root}/labsys.db"
    assert uuid.UUID(again.uuid).version == 7
    for folder in ("rigs", "boards", "protocols", "tags", "models", "references", "reliability", "releases", "bin"):
        assert (lab.root / folder).is_dir()


def test_templates_are_copied_into_the_lab(lab: Lab) -> None:
    shipped = Path(__file__).parents[2] / "hardware_configs"
    for path in shipped.glob("*/*.yaml"):
        assert (lab.root / path.relative_to(shipped)).read_bytes() == path.read_bytes()
    assert list((lab.root / "boards").glob("*.yaml"))


def test_the_nearest_lab_upwards_is_found(filled: Lab, tmp_path: Path) -> None:
    assert find_lab(trial_folder(filled, NAME)) == filled
    with pytest.raises(InputError, match=r"labsys\.toml"):
        find_lab(tmp_path)


def test_a_lab_is_made_only_once_and_only_in_an_empty_folder(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lab already"):
        create_lab(lab.root)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(InputError, match=r"not empty .*cat\.jpg"):
        create_lab(tmp_path / "photos")


def test_a_lab_whose_making_was_cut_short_can_be_made_again(lab: Lab) -> None:
    (lab.root / "labsys.toml").unlink()
    with pytest.raises(InputError, match="no lab folder"):
        open_lab(lab.root)
    assert create_lab(lab.root).root == lab.root


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('schema_version = 99\nuuid = "u"\nname = "n"', NewerSchemaError, "schema 99.*up to 1"),
        ('uuid = "u"\nname = "n"', InputError, "no schema_version"),
        ("schema_version = ", InputError, "not valid TOML"),
        ('schema_version = 1\nuuid = "u"\nname = "n"\ndatabse = "x"', InputError, "databse"),
        ('schema_version = 1\nname = "n"', InputError, "'uuid' is missing"),
    ],
)
def test_a_damaged_or_newer_lab_file_is_refused_by_name(
    lab: Lab, text: str, error: type[Exception], message: str
) -> None:
    (lab.root / "labsys.toml").write_text(text)
    with pytest.raises(error, match=message) as caught:
        open_lab(lab.root)
    assert "labsys.toml" in str(caught.value)


def test_a_database_url_is_kept(lab: Lab) -> None:
    path = lab.root / "labsys.toml"
    path.write_text(path.read_text().replace('"labsys.db"', '"postgresql://host/lab"'))
    assert open_lab(lab.root).database == "postgresql://host/lab"


_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
_number = st.floats(allow_nan=False, allow_infinity=False)


def _within(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high)


_conditions = st.builds(
    Conditions,
    surface=st.none() | st.sampled_from(Surface),
    speed_mps=st.none() | _within(0.0, 12.0),
    incline_pct=_within(-10.0, 20.0),
    footwear=_text,
    pain_0_10=st.none() | _within(0.0, 10.0),
)
_goals = st.lists(
    st.builds(
        Goal,
        metric=st.sampled_from(["hip_ext_pelvis_peak", "cadence"]),
        side=st.sampled_from(Side),
        direction=st.sampled_from(GoalDirection),
        date=_text,
    ),
    max_size=3,
).map(tuple)
_nouns = st.one_of(
    st.builds(
        Subject,
        uuid=_text,
        code=_text,
        sex=_text,
        birth_year=st.none() | st.integers(),
        consent=st.tuples(_text, _text),
    ),
    st.builds(Episode, uuid=_text, subject=_text, label=_text, index_date=_text, goals=_goals),
    st.builds(
        Session,
        uuid=_text,
        subject=_text,
        session=_text,
        captured_at=_text,
        phase=st.none() | st.sampled_from(Phase),
        anthropometry=st.builds(
            Anthropometry, mass_kg=st.none() | _within(20.0, 200.0), height_m=_within(1.0, 2.2), leg_length_m=st.none()
        ),
        scores=st.dictionaries(_text, _number, max_size=3),
    ),
    st.builds(
        Trial,
        uuid=_text,
        name=st.just(NAME),
        kind=st.sampled_from(TrialKind),
        recorded_at=_text,
        conditions=_conditions,
        excluded=st.booleans(),
        accepted_sizes=st.dictionaries(_text, st.tuples(st.integers(), st.integers()), max_size=3),
    ),
)


@given(noun=_nouns)
def test_every_noun_survives_json(noun: Subject | Episode | Session | Trial) -> None:
    document = json.loads(json.dumps(to_document(noun)))
    assert from_document(document, type(noun), where="here") == noun


def test_saved_nouns_load_equal_and_are_listed(filled: Lab) -> None:
    subject = save_subject(filled, Subject(uuid="", code="S02", sex="f", birth_year=1990, consent=("video",)))
    goal = Goal("hip_ext_excursion_stance", Side.LEFT, GoalDirection.TOWARD_HIGHER, "2026-11-01")
    episode = save_episode(
        filled, Episode(uuid="", subject="S02", label="knee-2026", index_date="2026-10-01", goals=(goal,))
    )
    session = save_session(
        filled,
        Session(
            uuid="",
            subject="S02",
            session="2026-11-23",
            captured_at="2026-11-23T09:00:00Z",
            phase=Phase.PRE,
            episode="knee-2026",
            anthropometry=Anthropometry(mass_kg=70.5),
            scores={"koos": 61.0},
        ),
    )
    trial = save_trial(
        filled,
        _trial(
            name=TrialName("S02", "2026-11-23", "run1"),
            conditions=Conditions(surface=Surface.TREADMILL, speed_mps=3.0, footwear="neutral"),
            accepted_sizes={"cam01": (1080, 1920)},
            static="static1",
            notes="Schuhe geschnürt",
        ),
    )
    assert load_subject(filled, "S02") == subject
    assert load_episode(filled, "S02", "knee-2026") == episode
    assert load_session(filled, "S02", "2026-11-23") == session
    assert load_trial(filled, trial.name) == trial
    assert [s.code for s in list_subjects(filled)] == ["S01", "S02"]
    assert list_episodes(filled, "S02") == (episode,)
    assert list_sessions(filled, "S02") == (session,)
    assert list_trials(filled, "S02", "2026-11-23") == (trial,)


def test_the_layout_is_the_agreed_one(filled: Lab) -> None:
    save_episode(filled, Episode(uuid="", subject="S01", label="knee", index_date="2026-01-01"))
    found = {p.relative_to(filled.root / "subjects").as_posix() for p in (filled.root / "subjects").rglob("*.json")}
    assert found == {
        "S01/subject.json",
        "S01/episodes/knee.json",
        "S01/2026-11-22/session.json",
        "S01/2026-11-22/run1/trial.json",
    }
    for path in (filled.root / "subjects").rglob("*.json"):
        assert json.loads(path.read_text())["schema_version"] == 1


def test_saving_again_keeps_the_uuid_and_renews_the_time(filled: Lab) -> None:
    first = load_trial(filled, NAME)
    assert uuid.UUID(first.uuid).version == 7
    second = save_trial(filled, replace(first, excluded=True, exclusion_reason="shoe came off"))
    assert second.uuid == first.uuid
    assert second.updated_at >= first.updated_at
    assert load_trial(filled, NAME).exclusion_reason == "shoe came off"


def test_parents_must_exist_and_the_nearest_is_named(filled: Lab) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown subject 'S0l'.*Did you mean 'S01'"):
        save_session(filled, Session(uuid="", subject="S0l", session="a", captured_at=""))
    with pytest.raises(UnknownNameError, match=r"Unknown session '2026-11-21'.*2026-11-22"):
        save_trial(filled, _trial(name=TrialName("S01", "2026-11-21", "run1")))
    with pytest.raises(UnknownNameError, match=r"Unknown trial 'run2'.*run1"):
        load_trial(filled, TrialName("S01", "2026-11-22", "run2"))
    with pytest.raises(UnknownNameError, match="Unknown episode 'knee'"):
        save_session(filled, Session(uuid="", subject="S01", session="b", captured_at="", episode="knee"))
    goal = Goal("cadense", Side.BOTH, GoalDirection.TOWARD_HIGHER, "2026-01-01")
    with pytest.raises(UnknownNameError, match=r"cadense.*cadence"):
        save_episode(filled, Episode(uuid="", subject="S01", label="e", index_date="", goals=(goal,)))


def test_names_that_no_folder_can_bear_are_refused(filled: Lab) -> None:
    for code in ("../evil", "", "a/b", ".hidden", "trailing."):
        with pytest.raises(InputError, match="cannot name"):
            save_subject(filled, Subject(uuid="", code=code))
    with pytest.raises(InputError, match="differs from 'S01' in case only"):
        save_subject(filled, Subject(uuid="", code="s01"))
    with pytest.raises(InputError, match="cannot be named 'Episodes'"):
        save_session(filled, Session(uuid="", subject="S01", session="Episodes", captured_at=""))


def test_exclusion_needs_a_reason(filled: Lab) -> None:
    with pytest.raises(InputError, match="without a reason"):
        save_trial(filled, _trial(excluded=True, exclusion_reason=" "))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"schema_version": 2}, NewerSchemaError, "schema 2, this labsys reads up to 1"),
        ({"schema_version": None}, InputError, "no schema_version"),
        ({"kind": "jog"}, InputError, "'jog' is none of static, run, walk, other"),
        ({"excluded": "yes"}, InputError, "expected true or false"),
        ({"conditons": {}}, InputError, "unknown field 'conditons'.*conditions"),
        ({"recorded_at": ...}, InputError, "'recorded_at' is missing"),
        ({"conditions": {"speed_mps": "fast"}}, InputError, "expected a number.*conditions: speed_mps"),
        ({"accepted_sizes": {"cam": [1]}}, InputError, "1 items, expected 2.*accepted_sizes.cam"),
        ({"name": "S01/2026-11-22/run9"}, InputError, "belongs to 'S01/2026-11-22/run9'"),
    ],
)
def test_a_damaged_or_newer_trial_is_refused_by_name_and_not_touched(
    filled: Lab, change: dict[str, object], error: type[Exception], message: str
) -> None:
    path = trial_folder(filled, NAME) / "trial.json"
    document = json.loads(path.read_text()) | change
    path.write_text(json.dumps({k: v for k, v in document.items() if v is not ...}))
    before = path.read_bytes()
    with pytest.raises(error, match=message) as caught:
        load_trial(filled, NAME)
    assert "trial.json" in str(caught.value)
    assert path.read_bytes() == before


def test_an_older_file_without_newer_fields_is_read_and_not_rewritten(filled: Lab) -> None:
    path = trial_folder(filled, NAME) / "trial.json"
    document = json.loads(path.read_text())
    for name in ("notes", "accepted_sizes", "conditions"):
        del document[name]
    path.write_text(json.dumps(document))
    before = path.read_bytes()
    assert load_trial(filled, NAME).conditions == Conditions()
    assert path.read_bytes() == before


def test_corrupt_json_is_refused_by_name(filled: Lab) -> None:
    (filled.root / "subjects" / "S01" / "subject.json").write_text('{"uuid": "x')
    with pytest.raises(InputError, match=r"subject\.json"):
        list_subjects(filled)


def test_moving_takes_everything_along(filled: Lab) -> None:
    take = take_folder(filled, NAME)
    take.mkdir()
    (take / "x").write_text("x")
    target = TrialName("S01", "2026-11-22", "run2")
    moved = move_trial(filled, NAME, target)
    assert moved.name == target
    assert load_trial(filled, target) == moved
    assert (take_folder(filled, target) / "x").read_text() == "x"
    with pytest.raises(UnknownNameError):
        load_trial(filled, NAME)


def test_moving_never_overwrites_and_a_move_cut_short_can_be_repeated(filled: Lab) -> None:
    target = TrialName("S01", "2026-11-22", "run2")
    save_trial(filled, _trial(name=target))
    with pytest.raises(InputError, match="exists already"):
        move_trial(filled, NAME, target)
    # The crash came after trial.json was rewritten and before the folder was renamed.
    path = trial_folder(filled, NAME) / "trial.json"
    path.write_text(path.read_text().replace("run1", "run3"))
    with pytest.raises(InputError, match="belongs to"):
        load_trial(filled, NAME)
    third = TrialName("S01", "2026-11-22", "run3")
    assert load_trial(filled, move_trial(filled, NAME, third).name).name == third


def test_uuids_are_unique_and_sort_by_time() -> None:
    made = [new_uuid() for _ in range(200)]
    assert len(set(made)) == 200
    stamps = [uuid.UUID(u).int >> 80 for u in made]
    assert stamps == sorted(stamps)
    assert all(uuid.UUID(u).variant == uuid.RFC_4122 for u in made)
