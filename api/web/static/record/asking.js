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

/** One order; its answer, or null where it was refused. */
export async function order(method, path, body) {
  refuse("");
  try {
    const access = await (await fetch("/api/v1/access")).json();
    const headers = { "X-CSRF-Token": access.csrf_token ?? "" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const answer = await fetch(`/api/v1/capture${path}`, { method, headers, body: body && JSON.stringify(body) });
    const said = await answer.json();
    if (answer.ok) return said;
    refuse(explain(said));
  } catch {
    refuse("The service does not answer. What runs is recorded all the same; this page finds it again.");
  }
  return null;
}
