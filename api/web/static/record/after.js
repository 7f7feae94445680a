// What follows a take that was kept: its processing is queued, and a first look at it is had when somebody asks for it.
import { order } from "/static/record/asking.js";
import { cancelJob, findJob, follower, isOver, sayJob } from "/static/record/job.js";

const by = (id) => document.getElementById(id);
let trial = "";
let looking = null;

function number(value) {
  return value === null || value === undefined ? "–" : String(Math.round(value * 100) / 100);
}

function sayGoal({ metric, side, mean, unit, reason, last }) {
  const before = last && last.mean !== null ? `, ${number(last.mean)} in ${last.trial}` : "";
  return `${metric} ${side}: ${mean === null ? `not measured (${reason})` : `${number(mean)} ${unit}${before}`}`;
}

function showLooked(found) {
  const { left, right } = found.n_strides;
  by("looked-title").textContent = `Quick: ${found.tier ?? "no tier"}, ${left} strides left, ${right} right`;
  by("look-told").textContent = `From ${number(found.from_s)} to ${number(found.until_s)} s of ${found.trial}; indicative at most, and kept as no result.`;
  const unseen = found.landmarks_not_seen.length ? [`Not seen: ${found.landmarks_not_seen.join(", ")}`] : [];
  const goals = found.goals.length ? found.goals.map(sayGoal) : ["No goals are declared for this subject"];
  const notes = Object.entries(found.notes).map(([what, text]) => `${what.replaceAll("_", " ")}: ${text}`);
  const lines = [...goals, ...unseen, ...notes];
  by("looked-lines").replaceChildren(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

const following = follower((job) => {
  looking = job;
  by("looked").hidden = false;
  by("look").hidden = !isOver(job) || job.state === "done";
  by("look-said").hidden = job.state === "done"; // how long it would take
  by("look-progress").hidden = isOver(job);
  by("look-progress").querySelector("progress").value = job.progress;
  by("looked-title").textContent = "A first look";
  by("looked-lines").replaceChildren();
  by("look-told").textContent = sayJob(job);
  if (job.state === "done") showLooked(job.outcome);
});

/** after: what the station says of the trial that was kept last; null where none was. */
export async function showAfter(after) {
  by("after").hidden = !after;
  if (!after) {
    trial = "";
    following.follow(null);
    return;
  }
  by("queued-said").textContent = after.job ? "Its processing is queued: it waits while cameras record, and comes after what else was asked for. " : `It is not processed by itself: ${after.why_not}. `;
  by("queued-link").hidden = !after.job;
  by("look-said").textContent = after.look_why_not ? `No first look: ${after.look_why_not}.` : after.look_s === null ? "How long it takes is not known: none was had in this lab yet." : `It takes about ${Math.ceil(after.look_s)} s.`;
  if (after.trial === trial) return;
  trial = after.trial;
  by("looked").hidden = true;
  by("look-said").hidden = false;
  by("look").hidden = !!after.look_why_not;
  following.follow(null);
  const job = after.look_why_not ? null : await findJob(trial, ["quick"]);
  if (job && trial === after.trial) following.follow(job);
}

by("look").addEventListener("click", async () => {
  document.activeElement?.blur();
  const job = await order("POST", "/looks", { trial });
  if (job) following.follow(job);
});
by("look-cancel").addEventListener("click", () => {
  document.activeElement?.blur();
  if (looking) cancelJob(looking.id);
});
