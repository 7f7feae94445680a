// The station is followed while the page is seen. A browser holds six lines to one service, for all of its pages together,
// and a page that follows holds two: hidden pages let theirs go, or orders of the one that is seen would not be sent.
import { refuse } from "/static/record/asking.js";
import { unfollow } from "/static/record/wall.js";

const AWAY = "The service is away. What runs is recorded all the same; this page finds it again.";
const ANSWER_MS = 20000;
let show = () => {};
let source = null;
let waiting = null;
let asked = 0;

function again(after_ms) {
  waiting = setTimeout(followState, after_ms);
}

function rest() {
  asked += 1; // an answer that is still on its way counts no more
  clearTimeout(waiting);
  source?.close();
  source = null;
}

/** Ask anew what there is, and follow it. */
export async function followState() {
  rest();
  if (document.hidden) return;
  const mine = asked;
  let now = null;
  let refused = "";
  try {
    const answer = await fetch("/api/v1/capture", { signal: AbortSignal.timeout(ANSWER_MS) });
    now = await answer.json();
    refused = answer.ok ? "" : now.detail;
  } catch {
    refused = AWAY;
  }
  if (mine !== asked) return;
  refuse(refused);
  if (refused === AWAY) {
    again(1000);
    return;
  }
  if (refused || now.phase === "closed") {
    unfollow();
    show(null);
    again(5000); // somebody may open them elsewhere
    return;
  }
  show(now);
  listen();
}

function listen() {
  const mine = new EventSource("/api/v1/capture/events");
  source = mine;
  mine.addEventListener("station", (event) => show(JSON.parse(event.data)));
  mine.addEventListener("closed", followState);
  mine.addEventListener("error", () => {
    if (mine !== source) return;
    // The browser asks again by itself, unless the service said no.
    if (mine.readyState === EventSource.CLOSED) again(1000);
    else refuse(AWAY);
  });
  mine.addEventListener("open", () => refuse(""));
}

/** Follow from now on. shows: called with every state of the station, null where there is none. */
export function follow(shows) {
  show = shows;
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      followState();
      return;
    }
    rest();
    unfollow();
  });
  followState();
}
