"""Processing a run and its static beside what counts: new runs of both, and not one `current` moved."""

from __future__ import annotations

from pathlib import Path

from labsys.core.progress import SilentProgress
from labsys.storage.lab import open_lab
from labsys.storage.releases import load_candidate
from labsys.storage.runs import current_run, load_run
from labsys.storage.trials import load_trial
from pipelines.config import load_config
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
