// What the player asks the API for.

export async function fetchJson(address) {
  return (await ask(address, { headers: { Accept: "application/json" } })).json();
}

/** An array as the API sends them: 32-bit floats, little-endian as every machine that runs a browser. */
export async function fetchFloats(address) {
  return new Float32Array(await (await ask(address)).arrayBuffer());
}

/** A change, with the token of this login; returns the answer. */
export async function post(address) {
  const access = await fetchJson("/api/v1/access");
  const answer = await ask(address, { method: "POST", headers: { "X-CSRF-Token": access.csrf_token ?? "" } });
  return answer.json();
}

async function ask(address, how = {}) {
  const answer = await fetch(address, how);
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail ?? `${address}: ${answer.status}`);
}
