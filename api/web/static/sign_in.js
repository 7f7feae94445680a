// Signing in through the API, which sets the cookie; a link's token comes behind the # and never reaches a log.
const form = document.querySelector("form.sign-in");
const refusal = document.querySelector("#refusal");

async function ask(address, body) {
  const answer = await fetch(address, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  if (answer.ok) return true;
  const problem = await answer.json();
  const wait = answer.headers.get("Retry-After");
  refusal.textContent = [problem.detail, problem.remedy, wait && `Wait ${wait} s`].filter(Boolean).join(". ");
  refusal.hidden = false;
  return false;
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, password } = Object.fromEntries(new FormData(form));
  const button = form.querySelector("button");
  button.disabled = true;
  if (await ask(form.dataset.ask, { name, password })) location.assign(form.dataset.next);
  else button.disabled = false;
});

/** The link behind the #, if there is one; "#content" is the page's own. */
async function openLink() {
  const token = location.hash.slice(1);
  if (!token.startsWith("link_")) return;
  history.replaceState(null, "", location.pathname + location.search);
  if (!form) {
    refusal.textContent = "Sign out to open the link: it shows what it was made for, and nothing else.";
    refusal.hidden = false;
  } else if (await ask("/api/v1/access/link", { token })) location.assign("/");
}

// A tab that stands here already is not loaded anew for another #.
addEventListener("hashchange", openLink);
await openLink();
