// The page of jobs: what is under way is followed by server-sent events, a few at a time; a browser has few connections.
const MOST = 4;
const refusal = document.querySelector("#refusal");
const waiting = [...document.querySelectorAll("tr[data-open]")];

function tell(row, job) {
  row.querySelector(".state").textContent = job.cancel_asked && job.state === "running" ? "running, to be cancelled" : job.state;
  row.querySelector("progress").value = job.progress;
  const left = job.time_left_s === null ? "" : `, about ${Math.ceil(job.time_left_s)} s left`;
  row.querySelector(".told").textContent = job.error ?? `${job.stage}${left}`;
  if (["done", "failed", "cancelled"].includes(job.state)) row.querySelector(".cancel")?.remove();
}

/** Running jobs first: those that wait begin later. */
function followNext() {
  const row = waiting.shift();
  if (!row) return;
  const source = new EventSource(`/api/v1/jobs/${row.dataset.job}/events`);
  source.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    tell(row, job);
    if (!["done", "failed", "cancelled"].includes(job.state)) return;
    source.close();
    followNext();
  });
}

async function cancel(row) {
  const access = await (await fetch("/api/v1/access")).json();
  const headers = { "X-CSRF-Token": access.csrf_token ?? "" };
  const answer = await fetch(`/api/v1/jobs/${row.dataset.job}`, { method: "DELETE", headers });
  const said = await answer.json();
  if (answer.ok) tell(row, said);
  else {
    refusal.textContent = said.detail;
    refusal.hidden = false;
  }
}

waiting.sort((a, b) => (b.querySelector(".state").textContent === "running") - (a.querySelector(".state").textContent === "running"));
for (let i = 0; i < MOST; i += 1) followNext();
for (const button of document.querySelectorAll(".cancel")) {
  button.addEventListener("click", () => cancel(button.closest("tr")));
}
