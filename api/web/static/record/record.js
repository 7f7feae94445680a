// Recording: this page shows what the station says of itself and passes on what the technician does. The station is a
// process of its own: whatever becomes of this page or of the service, a take goes on, and the page finds it again.
import { order } from "/static/record/asking.js";
import { showAfter } from "/static/record/after.js";
import { offerTake } from "/static/record/boards.js";
import { follow, followState } from "/static/record/following.js";
import { allowSound, tone } from "/static/record/sound.js";
import { nameOf, showCameras, showCoverage } from "/static/record/wall.js";

const page = document.querySelector(".recorder");
const by = (id) => document.getElementById(id);
const TAKING = ["starting", "recording", "finishing"];
const WORDS = {
  closed: "No cameras are open.",
  opening: "The cameras are being opened …",
  wall: "The cameras are open. Nothing is recorded.",
  checking: "All cameras are checked together, some ten seconds …",
  starting: "The cameras are made ready to record …",
  recording: "RECORDING",
  finishing: "The take is being finished …",
};
let state = null;

// ---- what is shown

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function sayStep(step) {
  const speed = step.speed_mps === null ? "" : ` at ${step.speed_mps} m/s`;
  const incline = step.incline_pct ? `, ${step.incline_pct} % incline` : "";
  const words = { static: "stand still", familiarisation: "get used to the belt" };
  return `${words[step.kind] ?? step.kind}${speed}${incline}, ${step.seconds} s`;
}

/** Whose cameras these are: who comes second may have meant another rig. */
function sayWhose({ rig, rig_file: file, opened_by: who, opened_at: at }) {
  const since = at ? ` at ${new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}` : "";
  return `Rig ${rig}${file ? `, file ${file}.yaml` : ""}${who ? `, opened by ${who}${since}` : ""}`;
}

function currentStep() {
  return state?.visit?.steps.find((step) => step.state === "now") ?? null;
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

function showState(phase) {
  if (phase === "closed") by("verdict").hidden = true;
  const told = [state?.waiting, state?.problem].filter((found) => found);
  const said = told.map((found) => `${found.what}${found.fix ? `. ${found.fix}` : ""}.`);
  write(by("state"), [WORDS[phase], ...said].join(" "));
  if (state) write(by("held"), sayWhose(state));
  page.dataset.phase = phase;
  for (const part of document.querySelectorAll(".when-closed")) part.hidden = phase !== "closed";
  for (const part of document.querySelectorAll(".when-open")) part.hidden = phase === "closed";
  by("boards").hidden = TAKING.includes(phase) || !by("boards").dataset.any;
  for (const part of document.querySelectorAll(".at-rest")) part.hidden = phase === "closed" || TAKING.includes(phase);
}

function showStep(phase) {
  const step = currentStep();
  const pending = phase === "checking" && state.to_record;
  const taking = TAKING.includes(phase) || pending;
  const visit = state.visit;
  const waving = taking && state.coverage.length > 0;
  const enough = waving && state.coverage.every((found) => !found.missing);
  const what = enough ? "Enough: every camera has seen what it needs" : waving ? "Wave the board" : !visit ? "No visit has begun" : step ? `${visit.subject}, visit ${visit.session}, step ${step.number} of ${visit.steps.length}: ${sayStep(step)}` : `${visit.subject}, visit ${visit.session}: all steps are done`;
  write(by("step"), what);
  by("take").hidden = !taking || !state.take;
  write(by("take"), state.take ? `Recorded as ${state.take}` : "");
  const done = step?.kind === "familiarisation";
  const go = by("go");
  write(by("go-word"), taking ? "Stop" : done ? "Done, go on" : "Start");
  go.disabled = phase === "finishing" || (phase === "checking" && !pending) || phase === "opening" || (!step && !taking);
  go.classList.toggle("stops", taking);
  by("skip").hidden = taking || !step || done;
  by("all-the-same").hidden = taking || !step || done || !state.check || state.check.passed;
  const left = state.minutes_left;
  write(by("elapsed"), taking ? `${clock(state.elapsed_s)} of ${clock(state.planned_s)}` : "–");
  write(by("disk"), state.free_bytes === null ? "unknown" : `${(state.free_bytes / 1e9).toFixed(0)} GB${left === null ? "" : `, ${left < 600 ? `${Math.floor(left)} min` : `${Math.floor(left / 60)} h`}`}`);
}

function cell(row, text, number) {
  const made = row.insertCell();
  made.textContent = text;
  if (number) made.className = "n";
  return made;
}

function showCounters(phase) {
  by("counters").hidden = phase !== "recording" && phase !== "finishing";
  const body = by("counters").tBodies[0];
  if (body.rows.length !== state.cameras.length) {
    body.replaceChildren();
    for (const camera of state.cameras) {
      const row = body.insertRow();
      const name = document.createElement("th");
      name.scope = "row";
      name.textContent = nameOf(camera);
      row.append(name);
      for (let i = 0; i < 3; i += 1) cell(row, "", true);
    }
  }
  state.cameras.forEach((camera, i) => {
    const [, stored, lost, rate] = body.rows[i].cells;
    write(stored, String(camera.stored));
    write(lost, String(camera.lost));
    write(rate, camera.rate_hz === null ? "–" : camera.rate_hz.toFixed(1));
    lost.classList.toggle("ill", camera.lost > 0);
    rate.classList.toggle("ill", !camera.is_well);
  });
}

function showVerdict() {
  const found = state.verdict;
  by("verdict").hidden = !found;
  if (!found) return;
  by("verdict").className = found.advice === "REPEAT" ? "verdict repeat" : "verdict keep";
  write(by("advice"), found.advice);
  by("reasons").replaceChildren(...found.reasons.map((reason) => Object.assign(document.createElement("li"), { textContent: reason })));
  const counted = found.cameras.map((c) => `${c.name} ${c.stored} of ${c.due}`).join(", ");
  const isBoard = found.trial.startsWith("calibrations/");
  const board = found.advice === "REPEAT" ? " Wave the board once more." : "";
  const excluded = isBoard ? board : found.advice === "REPEAT" ? " It is excluded with these reasons, and its step is next again." : "";
  write(by("timing"), `${found.trial}: ${counted}. Grade ${found.grade}${found.error_mm === null ? "" : `, ${found.error_mm.toFixed(1)} mm at task speed`}. Judged ${found.after_s.toFixed(1)} s after its end.${excluded}`);
  offerTake(found);
  by("again").dataset.trial = found.trial; // what is seen is what is excluded, whatever others did meanwhile
  by("again").hidden = found.advice === "REPEAT" || !state.visit?.steps.some((s) => s.trial === found.trial) || TAKING.includes(state.phase);
}

function showVisit() {
  const visit = state.visit;
  by("visit").hidden = !!visit;
  by("led").hidden = !visit;
  if (!visit) return;
  write(by("led-what"), `${visit.subject}, visit ${visit.session}, protocol ${visit.protocol}${visit.calibration ? `, calibration ${visit.calibration}` : ", no calibration yet"}`);
  const lines = visit.steps.map((step) => {
    const line = document.createElement("li");
    if (["done", "skipped"].includes(step.state)) line.className = "over";
    if (step.state === "now") line.setAttribute("aria-current", "step");
    const said = { waiting: "", now: " – next", done: step.trial ? ` – kept as ${step.trial}` : " – done", skipped: " – left out" };
    line.textContent = sayStep(step) + said[step.state];
    return line;
  });
  by("steps").replaceChildren(...lines);
  write(by("missing"), visit.missing ? `Not complete: ${visit.missing}.` : "");
}

function showCheck(phase) {
  const found = state.check;
  by("check").disabled = phase !== "wall";
  if (!found) return;
  const faults = found.results.filter((line) => line.outcome === "fail").length;
  write(by("checked"), found.passed ? `Passed in ${found.seconds.toFixed(0)} s.` : `${faults} fault${faults > 1 ? "s" : ""} forbid${faults > 1 ? "" : "s"} to record.`);
  const words = { fail: "✗ fault", warn: "! warning" };
  const said = found.results.filter((line) => line.outcome !== "pass").sort((a, b) => (a.outcome < b.outcome ? -1 : 1));
  const rows = said.map((line) => {
    const row = document.createElement("tr");
    row.className = line.outcome;
    for (const text of [words[line.outcome], line.check]) cell(row, text);
    for (const text of [line.what, line.fix]) cell(row, text).className = "said";
    return row;
  });
  by("checks").hidden = !rows.length;
  by("checks").tBodies[0].replaceChildren(...rows);
  const passed = found.results.filter((line) => line.outcome === "pass");
  by("passed").hidden = !passed.length;
  write(by("passed").querySelector("summary"), `${passed.length} passed`);
  by("passed").querySelector("ul").replaceChildren(...passed.map((line) => Object.assign(document.createElement("li"), { textContent: `✓ ${line.check}: ${line.what}` })));
}

function show(now) {
  const before = state;
  state = now;
  const phase = now?.phase ?? "closed";
  showState(phase);
  if (!now) return;
  showStep(phase);
  showCounters(phase);
  showCameras(now.cameras);
  showCoverage(TAKING.includes(phase) ? now.coverage : []);
  if (JSON.stringify(before?.verdict) !== JSON.stringify(now.verdict) || before?.phase !== phase) showVerdict();
  if (JSON.stringify(before?.after) !== JSON.stringify(now.after)) showAfter(now.after);
  if (JSON.stringify(before?.visit) !== JSON.stringify(now.visit)) showVisit();
  if (!before || JSON.stringify(before.check) !== JSON.stringify(now.check) || before.phase !== phase) showCheck(phase);
  if (before && before.phase !== phase) tone(phase);
}

// ---- what is done

/** Space, or the button: what comes next, whatever that is. */
async function go() {
  if (by("go").disabled) return;
  allowSound();
  const step = currentStep();
  if (TAKING.includes(state.phase) || (state.phase === "checking" && state.to_record)) await order("POST", "/stop");
  else if (step.kind === "familiarisation") await order("POST", "/next");
  else await order("POST", "/start", { unchecked: false });
}

/** Whether a space is for what has the focus. While a visit is led it is for text and choices alone: a button that was
 * pressed, or reached by the tabulator, never takes it from the step. */
function keepsSpace(target) {
  if (!(target instanceof HTMLElement) || TAKING.includes(state?.phase)) return false;
  const others = state?.visit ? "" : ", button, a, summary";
  return target.closest(`input, select, textarea${others}`) !== null;
}

document.addEventListener("keydown", (event) => {
  if (event.key !== " " || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (page.dataset.phase === "closed" || keepsSpace(event.target)) return;
  event.preventDefault();
  go();
});

// A button that keeps the focus would take the next space for itself.
function leaveButton() {
  if (document.activeElement instanceof HTMLButtonElement) document.activeElement.blur();
}

function onSubmit(id, send) {
  by(id)?.addEventListener("submit", (event) => {
    event.preventDefault();
    leaveButton();
    send(event.target);
  });
}

function onClick(id, send) {
  by(id)?.addEventListener("click", () => {
    leaveButton();
    send();
  });
}

function chooseProtocol() {
  for (const fields of document.querySelectorAll("[data-protocol]")) {
    const chosen = fields.dataset.protocol === by("protocol").value;
    fields.hidden = !chosen;
    fields.disabled = !chosen;
  }
}

onSubmit("open", async (form) => {
  write(by("state"), WORDS.opening);
  if (await order("POST", "", { rig: form.elements.rig.value })) await followState();
  else write(by("state"), WORDS.closed);
});
onSubmit("visit", async (form) => {
  const { subject, protocol, session, calibration } = form.elements;
  const asked = [...form.querySelectorAll("fieldset:not([disabled]) [data-answer]")];
  const answers = Object.fromEntries(asked.map((field) => [field.name, field.value]));
  const body = { subject: subject.value.trim(), protocol: protocol.value, session: session.value.trim(), calibration: calibration.value, answers };
  // The focus leaves the form: from here on space starts.
  if (await order("POST", "/visit", body)) by("step").focus();
});
onSubmit("calibration", async (form) => {
  const body = { board: form.elements.board.value, seconds: Number(form.elements.seconds.value), unchecked: form.elements.unchecked.checked };
  allowSound();
  if (await order("POST", "/calibration", body)) by("step").focus();
});
onSubmit("again", async (form) => {
  const reason = form.elements.reason.value.trim();
  const asked = new URLSearchParams({ reason, trial: form.dataset.trial });
  if (reason && (await order("POST", `/repeat?${asked}`))) form.reset();
  document.activeElement?.blur();
});
onClick("go", go);
onClick("all-the-same", () => order("POST", "/start", { unchecked: true }));
onClick("skip", () => order("POST", "/next"));
onClick("check", () => order("POST", "/check"));
onClick("close", () => order("DELETE", ""));
onClick("leave", async () => {
  const missing = state.visit?.missing;
  if (!missing) await order("DELETE", "/visit");
  else if (window.confirm(`The visit is not complete: ${missing}. End it all the same?`)) await order("DELETE", "/visit?incomplete=true");
});
onClick("recover", async () => {
  const found = await order("POST", "/recover");
  if (found) write(by("recovered"), found.recordings.map((r) => `${r.recording}: ${r.state}`).join("; ") || "Nothing was left to finish.");
});
by("protocol")?.addEventListener("change", chooseProtocol);
chooseProtocol();

follow(show);
