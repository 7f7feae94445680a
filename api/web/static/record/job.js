// A job that this page waits for: asked after once a second while the page is seen, since a browser has few lines.
const ASK_MS = 1000;
const ANSWER_MS = 20000;
const FINAL = ["done", "failed", "cancelled"];
const ALONE_S = 15;

async function ask(path) {
  try {
    const answer = await fetch(path, { signal: AbortSignal.timeout(ANSWER_MS) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // the service is away; asked again
  }
}

/** The job of these kinds that was submitted last for a target; null where there is none. */
export async function findJob(target, kinds) {
  const found = await ask(`/api/v1/jobs?limit=1000&target=${encodeURIComponent(target)}`);
  return found?.items.filter((job) => kinds.includes(job.kind)).at(-1) ?? null;
}

/** How far a job is, in words. */
export function sayJob(job) {
  if (job.state === "queued") {
    const waited_s = (Date.now() - new Date(job.submitted_at)) / 1000;
    const alone = waited_s > ALONE_S ? " Where none comes: labsys worker, or labsys serve without --workers 0." : "";
    return `Waits until nothing is recorded and a worker is free.${alone}`;
  }
  if (job.state === "running") {
    const left = job.time_left_s === null ? "" : `, about ${Math.ceil(job.time_left_s)} s left`;
    return `${job.cancel_asked ? "To be cancelled: " : ""}${job.stage || "begins"}${left}`;
  }
  return { done: "Done.", failed: job.error ?? "Failed.", cancelled: "Cancelled." }[job.state];
}

export function isOver(job) {
  return FINAL.includes(job.state);
}

/** Follows one job at a time: `show` is called with every state of it. */
export function follower(show) {
  let timer = null;
  let id = "";
  async function look() {
    const mine = id;
    const job = document.hidden ? null : await ask(`/api/v1/jobs/${mine}`);
    if (mine !== id) return;
    if (job) show(job);
    if (!job || !isOver(job)) timer = setTimeout(look, ASK_MS);
  }
  return {
    /** Another job, or none. */
    follow(job) {
      clearTimeout(timer);
      id = job?.id ?? "";
      if (!job) return;
      show(job);
      if (!isOver(job)) timer = setTimeout(look, ASK_MS);
    },
  };
}

/** Ask to cancel a job; it ends within seconds. */
export async function cancelJob(id) {
  const access = await ask("/api/v1/access");
  await fetch(`/api/v1/jobs/${id}`, { method: "DELETE", headers: { "X-CSRF-Token": access?.csrf_token ?? "" } });
}
