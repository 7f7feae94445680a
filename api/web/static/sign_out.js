// Signing out: a change, so that the token of this login goes along.
document.querySelector(".sign-out").addEventListener("click", async () => {
  const access = await (await fetch("/api/v1/access")).json();
  await fetch("/api/v1/access/logout", { method: "POST", headers: { "X-CSRF-Token": access.csrf_token ?? "" } });
  location.assign("/sign-in");
});
