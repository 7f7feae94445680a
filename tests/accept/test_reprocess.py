"""Processing a run and its static beside what counts: new runs of both, and not one `current` moved."""

from __future__ import annotations

from pathlib import Path

from api.database.connection import open_database
from api.indexing.index import ensure_indexed
from api.jobs.queue import find_job
from api.jobs.worker import Worker
from api.releases import find_release
from api.reprocessing import reprocess_parameters, submit_reprocessing
from labsys.core.progress import SilentProgress
from labsys.storage.lab import open_lab
from labsys.storage.recorded_trials import all_recorded_trials
from labsys.storage.releases import CANDIDATE, load_candidate
from labsys.storage.runs import current_run, load_run
from labsys.storage.trials import load_trial
from pipelines.config import Profile, load_config
from pipelines.reprocess import reprocess_trial
from pipelines.run import run_trial
from tests.test_pipelines.run_scene import RUN, STILL, content, make_template

SILENT = SilentProgress()
ANEW = load_config(sets=["analyse.distal_cutoff_hz=9"])


def test_reprocessing_leaves_what_counts(tmp_path: Path) -> None:
    lab = open_lab(make_template(tmp_path))
    counted = run_trial(lab, RUN, config=load_config(), progress=SILENT).run
    counted_static = current_run(lab, STILL)
    made = reprocess_trial(lab, RUN, config=ANEW, progress=SILENT)
    assert made.is_new
    assert (current_run(lab, RUN), current_run(lab, STILL)) == (counted, counted_static)
    candidate = load_candidate(lab)
    assert candidate is not None
    runs = {uuid: member.run for uuid, member in candidate.members.items()}
    static = load_run(lab, RUN, made.run).provenance.inputs["static/static1"]
    assert runs == {load_trial(lab, RUN).uuid: made.run, load_trial(lab, STILL).uuid: static}
    assert static != counted_static
    assert candidate.recipe.settings["analyse.distal_cutoff_hz"] == "9.0"
    before = content(lab, RUN)
    assert not reprocess_trial(lab, RUN, config=ANEW, progress=SILENT).is_new
    assert (content(lab, RUN), load_candidate(lab)) == (before, candidate)
    # Asked for in the usual way, the same run counts without being made again.
    assert not run_trial(lab, RUN, config=ANEW, progress=SILENT).is_new
    assert current_run(lab, RUN) == made.run


def test_the_service_reprocesses_as_the_terminal_does(tmp_path: Path) -> None:
    lab = open_lab(make_template(tmp_path))
    counted = run_trial(lab, RUN, config=load_config(), progress=SILENT).run
    database = open_database(lab)
    ensure_indexed(lab, database)
    asked = reprocess_parameters(Profile.DEFAULT, ["analyse.distal_cutoff_hz=9"], "")
    with database.write() as session:
        jobs = submit_reprocessing(session, "mk", all_recorded_trials(lab), asked)
    Worker(lab, database).run(until_idle=True)
    with database.read() as session:
        ended = {name: find_job(session, job) for name, job in jobs.items()}
        found = find_release(session, CANDIDATE)
    assert {str(row.error or row.state) for row in ended.values()} == {"done"}
    assert current_run(lab, RUN) == counted
    candidate = load_candidate(lab)
    assert candidate is not None
    assert candidate.recipe.settings["analyse.distal_cutoff_hz"] == "9.0"
    assert candidate.members[load_trial(lab, RUN).uuid].run == (ended[RUN].outcome or {})["run"]
    assert found.n_trials == len(candidate.members) == len(jobs)
    database.close()
