// The camera wall: one line brings the pictures of all cameras, each is drawn as it comes. A browser that is slow takes
// fewer: pictures that nobody took are not kept for it.
const list = document.querySelector("#wall");
const tiles = new Map();
let stopping = null;

/** Where each camera has seen the board, while one is waved; empty otherwise. */
export function showCoverage(coverage) {
  for (const tile of tiles.values()) tile.coverage = null;
  for (const found of coverage) {
    const tile = tiles.get(found.camera);
    if (tile) tile.coverage = found;
  }
  for (const { coverage: found, covered } of tiles.values()) {
    const counts = found ? `Board seen ${found.seen} time${found.seen === 1 ? "" : "s"}, ${found.together} with another camera; ${Math.round(found.covered_pct)} % of the picture` : "";
    const text = !found ? "" : found.missing ? `Still missing: ${found.missing}` : `Enough. ${counts}`;
    covered.classList.toggle("enough", !!found && !found.missing);
    if (covered.textContent !== text) covered.textContent = text;
  }
}

function darken({ context, coverage }, picture) {
  if (!coverage) return;
  const width = picture.width / coverage.columns;
  const height = picture.height / (coverage.cells.length / coverage.columns);
  context.fillStyle = "rgb(0 0 0 / 60%)";
  coverage.cells.forEach((n, i) => {
    if (n === 0) context.fillRect((i % coverage.columns) * width, Math.floor(i / coverage.columns) * height, width, height);
  });
}

export function nameOf(camera) {
  return camera.label ? `${camera.name}, ${camera.label}` : camera.name;
}

function makeTile(camera) {
  const tile = document.createElement("li");
  const canvas = document.createElement("canvas");
  canvas.width = 640;
  canvas.height = 360;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `What ${nameOf(camera)} sees`);
  const name = document.createElement("strong");
  name.textContent = nameOf(camera);
  const said = document.createElement("span");
  const covered = document.createElement("span");
  tile.append(canvas, name, said, covered);
  list.append(tile);
  tiles.set(camera.name, { tile, canvas, said, covered, coverage: null, turned_deg: camera.rotate_deg, context: canvas.getContext("2d"), shown: 0 });
}

function say(camera) {
  const { tile, said } = tiles.get(camera.name);
  const rate = camera.rate_hz === null ? "" : `, ${camera.rate_hz.toFixed(1)} of ${camera.wanted_hz} frames a second`;
  const text = `${camera.said}${rate}${camera.fix ? `. ${camera.fix}` : ""}`;
  if (said.textContent !== text) said.textContent = text;
  tile.classList.toggle("ill", !camera.is_well && (camera.state !== "starting" || camera.fix !== ""));
}

/** A tile for every camera, and how it fares. */
export function showCameras(cameras) {
  const names = cameras.map((camera) => camera.name).join(" ");
  if (list.dataset.names !== names) {
    list.replaceChildren();
    tiles.clear();
    list.dataset.names = names;
    cameras.forEach(makeTile);
    follow();
  }
  cameras.forEach(say);
}

/** A camera that hangs on its side is shown upright; what it records stays as it is. */
function turn({ canvas, context, turned_deg: turned }, picture) {
  const isOnItsSide = turned % 180 !== 0;
  canvas.width = isOnItsSide ? picture.height : picture.width;
  canvas.height = isOnItsSide ? picture.width : picture.height;
  context.translate(canvas.width / 2, canvas.height / 2);
  context.rotate((turned * Math.PI) / 180);
  context.translate(-picture.width / 2, -picture.height / 2);
}

async function draw(name, bytes) {
  const tile = tiles.get(name);
  if (!tile) return;
  const image = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
  turn(tile, image);
  tile.context.drawImage(image, 0, 0);
  darken(tile, image);
  image.close();
  tile.shown += 1;
  tile.canvas.dataset.shown = tile.shown;
}

function find(bytes, text, from) {
  const wanted = new TextEncoder().encode(text);
  for (let at = from; at + wanted.length <= bytes.length; at += 1) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

function join(left, right) {
  const both = new Uint8Array(left.length + right.length);
  both.set(left);
  both.set(right, left.length);
  return both;
}

/** Takes whole pictures off the front of what has come; returns the rest. */
function take(bytes, pictures) {
  for (;;) {
    const end = find(bytes.subarray(0, 1024), "\r\n\r\n", 0);
    if (end < 0) return bytes;
    const head = new TextDecoder().decode(bytes.subarray(0, end));
    const size = Number(/Content-Length: (\d+)/.exec(head)[1]);
    if (bytes.length < end + 4 + size + 2) return bytes;
    // Of several that have come of one camera the last is drawn.
    pictures.set(/X-Camera: (\S+)/.exec(head)[1], bytes.slice(end + 4, end + 4 + size));
    bytes = bytes.subarray(end + 4 + size + 2);
  }
}

async function read(stream) {
  let rest = new Uint8Array(0);
  for (;;) {
    const { done, value } = await stream.read();
    if (done) return;
    const pictures = new Map();
    rest = take(join(rest, value), pictures);
    await Promise.all([...pictures].map(([name, bytes]) => draw(name, bytes).catch(() => undefined)));
  }
}

/** Follow the pictures anew; what was followed before ends. */
export async function follow() {
  stopping?.abort();
  const mine = new AbortController();
  stopping = mine;
  while (!mine.signal.aborted) {
    try {
      const answer = await fetch("/api/v1/capture/pictures", { signal: mine.signal });
      if (answer.ok) await read(answer.body.getReader());
    } catch {
      // The service is away, or somebody follows anew.
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

export function unfollow() {
  stopping?.abort();
  stopping = null;
  list.dataset.names = "";
}
