// Orders to the station, with the token of this login; a refusal is shown where everybody sees it.
const refusal = document.querySelector("#refusal");

export function refuse(text) {
  refusal.textContent = text;
  refusal.hidden = !text;
  if (text) refusal.scrollIntoView({ block: "nearest" });
}

function explain(said) {
  const fields = (said.errors ?? []).map((error) => `${error.loc.at(-1)}: ${error.msg}`);
  return [said.detail, ...fields, said.remedy].filter(Boolean).join(". ");
}

// The service waits 15 s for the station; opening cameras may take 30 s.
const ACCESS_MS = 5000;
const ANSWER_MS = 20000;
const OPENING_MS = 40000;
const UNSENT = "The order was not sent: the service does not answer, or too many of its pages are open in this browser. Close the others, and give it again.";
const UNKNOWN = "No answer came to the order; look at what the station does before you give it again.";
const AWAY = "The service does not answer. What runs is recorded all the same; this page finds it again.";

/** One order; its answer, or null where it was refused. */
export async function order(method, path, body) {
  refuse("");
  let isSent = false;
  try {
    const access = await (await fetch("/api/v1/access", { signal: AbortSignal.timeout(ACCESS_MS) })).json();
    const headers = { "X-CSRF-Token": access.csrf_token ?? "" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const signal = AbortSignal.timeout(method === "POST" && path === "" ? OPENING_MS : ANSWER_MS);
    isSent = true;
    const answer = await fetch(`/api/v1/capture${path}`, { method, headers, body: body && JSON.stringify(body), signal });
    const said = await answer.json();
    if (answer.ok) return said;
    refuse(explain(said));
  } catch (error) {
    refuse(error.name !== "TimeoutError" ? AWAY : isSent ? UNKNOWN : UNSENT);
  }
  return null;
}
