// What is made of a waved board that was recorded: a calibration, or a check of one. Both are jobs of the take; the one
// that was asked for last is shown.
import { order } from "/static/record/asking.js";
import { cancelJob, findJob, follower, isOver, sayJob } from "/static/record/job.js";

const by = (id) => document.getElementById(id);
const PREFIX = "calibrations/";
const KINDS = ["calibrate", "check-calibration"];
const VERDICTS = { still_valid: "Still valid", moved: "Moved: nothing is recorded with it until it is calibrated again", cannot_tell: "It cannot be told" };
let shown = null;

function number(value, digits) {
  return value === null || value === undefined ? "–" : value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "");
}

function addOption(select, name, { first = true, choose = false } = {}) {
  let option = [...select.options].find((known) => known.value === name);
  if (!option) {
    option = new Option(name, name);
    select.add(option, first ? 0 : null);
  }
  if (choose) select.value = name;
}

function fillTable(headers, rows) {
  const table = by("made-cameras");
  table.tHead.rows[0].replaceChildren(...headers.map((text, i) => Object.assign(document.createElement("th"), { scope: "col", textContent: text, className: i ? "n" : "" })));
  const lines = rows.map(([name, ...cells]) => {
    const row = document.createElement("tr");
    row.append(Object.assign(document.createElement("th"), { scope: "row", textContent: name }));
    for (const text of cells) row.append(Object.assign(document.createElement("td"), { className: "n", textContent: text }));
    return row;
  });
  table.tBodies[0].replaceChildren(...lines);
  table.hidden = rows.length === 0;
}

function showCalibrated(found) {
  by("made-title").textContent = `Calibrated: grade ${found.grade}`;
  const why = found.decided_by.length ? ` Decided by: ${found.decided_by.join("; ")}.` : "";
  by("made-said").textContent = `${number(found.rms_px, 2)} px, ${number(found.heldout_rms_px, 2)} px held out, board fits to ${number(found.board_fit_rms_mm, 2)} mm; placed by ${found.placed_by ?? "nothing"}.${why}`;
  const rows = Object.entries(found.cameras).map(([name, c]) => [name, number(c.rms_px, 2), String(c.boards), `${number(c.coverage_pct, 0)} %`, `${number(c.time_offset_ms, 2)} ± ${number(c.time_offset_sd_ms, 2)}`]);
  fillTable(["Camera", "Error, px", "Boards", "Covered", "Looks later, ms"], rows);
  by("check-with").hidden = false;
  for (const form of ["visit", "check-with"]) {
    const select = by(form)?.elements.calibration;
    if (select) addOption(select, found.calibration, { first: form !== "visit", choose: true });
  }
}

function showChecked(found) {
  by("made-title").textContent = `${found.calibration}: ${VERDICTS[found.verdict] ?? found.verdict}`;
  by("made-said").textContent = `${found.reason}.`;
  const said = (c) => (c.moved ? "MOVED" : c.checked ? "stands" : "not checked");
  const rows = Object.entries(found.cameras).map(([name, c]) => [name, said(c), String(c.boards), `${number(c.turn_deg, 2)} ± ${number(c.turn_sd_deg, 2)}`, `${number(c.shift_mm, 1)} ± ${number(c.shift_sd_mm, 1)}`, number(c.image_px, 1)]);
  fillTable(["Camera", "", "Boards", "Turned, degrees", "Shifted, mm", "In its image, px"], rows);
}

async function linkReport(job) {
  const name = job.outcome?.calibration ?? job.target.slice(PREFIX.length);
  const href = `/calibrations/${name}/report`;
  const wanted = job.kind === "calibrate" && isOver(job) && job.state !== "cancelled";
  const there = wanted && (await fetch(href)).ok;
  if (shown?.id !== job.id) return;
  by("made-report").hidden = !there;
  by("made-report").querySelector("a").href = href;
}

function showJob(job) {
  const isNew = shown?.id !== job.id || shown.state !== job.state;
  shown = job;
  const box = by("made");
  box.hidden = false;
  by("made-progress").hidden = isOver(job);
  by("made-progress").querySelector("progress").value = job.progress;
  by("made-told").textContent = job.state === "done" ? "" : sayJob(job);
  if (!isNew) return;
  const ill = job.state === "failed" || (job.outcome?.verdict && job.outcome.verdict !== "still_valid");
  box.className = ill ? "verdict repeat" : "verdict keep";
  fillTable([], []);
  by("made-said").textContent = "";
  by("made-title").textContent = { calibrate: "Calibration", "check-calibration": "Check" }[job.kind] + (job.state === "failed" ? " refused" : "");
  if (job.state === "done") (job.kind === "calibrate" ? showCalibrated : showChecked)(job.outcome);
  by("made-remarks").replaceChildren(...(job.outcome?.remarks ?? []).map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  by("made-report").hidden = true;
  linkReport(job);
}

const following = follower(showJob);

async function showTake() {
  shown = null;
  by("made").hidden = true;
  following.follow(null);
  const take = by("made-of").elements.take.value;
  const job = take ? await findJob(PREFIX + take, KINDS) : null;
  if (take === by("made-of").elements.take.value && !shown) following.follow(job);
}

function showPlacing() {
  const isBelt = by("made-of").elements.where.value === "belt";
  by("belt").hidden = !isBelt;
  by("belt").disabled = !isBelt;
}

function placing({ where, along, from_s: from, until_s: until, level }) {
  if (where.value !== "belt") return { tags: where.value.slice("tags:".length) };
  return { along: along.value, from_s: Number(from.value), until_s: Number(until.value), level: level.checked };
}

function onSubmit(id, send) {
  by(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    document.activeElement?.blur();
    const job = await send(event.target.elements);
    if (!job) return;
    following.follow(job);
    by("made").scrollIntoView({ block: "nearest" });
  });
}

/** A take of a board that was just kept can be worked on. */
export function offerTake(verdict) {
  const isKept = verdict.trial.startsWith(PREFIX) && verdict.advice !== "REPEAT";
  by("from-it").hidden = !isKept;
  if (!isKept) return;
  const select = by("made-of").elements.take;
  const name = verdict.trial.slice(PREFIX.length);
  if ([...select.options].some((option) => option.value === name)) return;
  addOption(select, name, { choose: true });
  by("boards").dataset.any = "yes";
  showTake();
}

onSubmit("made-of", (fields) => order("POST", "/calibrations", { take: fields.take.value, lenses: fields.lenses.value, placing: placing(fields) }));
onSubmit("check-with", ({ calibration }) => order("POST", "/checks", { take: by("made-of").elements.take.value, calibration: calibration.value }));
by("made-of").elements.take.addEventListener("change", showTake);
by("made-of").elements.where.addEventListener("change", showPlacing);
by("made-cancel").addEventListener("click", () => shown && cancelJob(shown.id));
showPlacing();
showTake();
