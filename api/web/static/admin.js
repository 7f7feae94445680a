// Forms of the pages of administration and of a subject: their fields go to the API as JSON, and what it answers is shown.
const refusal = document.querySelector("#refusal");
const handed = document.querySelector("#handed");

function valueOf(field) {
  if (field.dataset.kind === "boolean") return field.value === "true";
  if (field.dataset.kind === "days") return new Date(Date.now() + Number(field.value) * 86_400_000).toISOString();
  if (field.dataset.kind === "list") return field.value.split(/[\s,]+/).filter(Boolean);
  return field.value;
}

function bodyOf(form) {
  const fields = [...form.elements].filter((field) => field.name && field.value !== "");
  return Object.fromEntries(fields.map((field) => [field.name, valueOf(field)]));
}

function say(place, text) {
  place.textContent = text;
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}

async function send(form) {
  const { method, append, query, hands } = form.dataset;
  const body = bodyOf(form);
  const asked = query === undefined ? "" : `?${new URLSearchParams(body)}`;
  const address = form.dataset.address + (append ? encodeURIComponent(body[append]) : "") + asked;
  delete body[append];
  const access = await (await fetch("/api/v1/access")).json();
  const headers = { "X-CSRF-Token": access.csrf_token ?? "" };
  const bodied = ["POST", "PATCH"].includes(method) || (method === "PUT" && !append);
  if (bodied) headers["Content-Type"] = "application/json";
  const answer = await fetch(address, { method, headers, body: bodied ? JSON.stringify(body) : undefined });
  const said = await answer.json();
  if (!answer.ok) {
    const fields = (said.errors ?? []).map((error) => `${error.loc.at(-1)}: ${error.msg}`);
    say(refusal, [said.detail, ...fields, said.remedy].filter(Boolean).join(". "));
  } else if (hands === "key") say(handed, `The new key, shown this once: ${said.token}`);
  else if (hands === "link") say(handed, `${said.says} The new link, shown this once: ${location.origin}/sign-in#${said.token}`.trim());
  else if (hands === "said") say(handed, said.says);
  else location.reload();
}

for (const form of document.querySelectorAll("form[data-method]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    refusal.hidden = true;
    await send(form);
  });
}
