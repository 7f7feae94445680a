// The skeleton in three dimensions: balls for landmarks, rods for bones; it turns by mouse, finger or button.
import { colourOf } from "/static/chart.js";

const VIEWS = { right: [90, 4], left: [-90, 4], behind: [180, 4], above: [90, 80] };
const BALL_M = 0.016;
const ROD_M = 0.008;

export class SkeletonView {
  /** Without WebGL there is a note in the place of the picture, and all else goes on. */
  static async make(figure, about, xyz) {
    const view = new SkeletonView(figure, about, xyz);
    try {
      view.build(await import("/static/vendor/three/three.module.js"));
    } catch (error) {
      view.giveUp(error);
    }
    return view;
  }

  constructor(figure, about, xyz) {
    Object.assign(this, { figure, about, xyz, azimuth: 60, elevation: 8, index: 0 });
    this.canvas = figure.querySelector("canvas");
  }

  build(three) {
    this.three = three;
    this.renderer = new three.WebGLRenderer({ canvas: this.canvas, antialias: true, alpha: true });
    this.scene = new three.Scene();
    this.scene.add(new three.HemisphereLight(0xffffff, 0x777777, 3));
    this.camera = new three.PerspectiveCamera(30, 1, 0.1, 30);
    this.centre = this.middle();
    this.balls = this.instances(new three.SphereGeometry(BALL_M, 12, 8), this.about.landmarks.length);
    this.rods = this.instances(new three.CylinderGeometry(ROD_M, ROD_M, 1, 8), this.about.bones.length);
    this.floor();
    this.colour();
    this.listen();
    this.resize();
  }

  giveUp(error) {
    this.renderer = null;
    this.figure.dataset.missing = error.message;
    this.figure.querySelector("figcaption").textContent = "This browser shows no 3D pictures (WebGL is off): the skeleton is left out.";
    this.figure.querySelector(".view-tools").hidden = true;
    this.canvas.hidden = true;
  }

  instances(shape, count) {
    const mesh = new this.three.InstancedMesh(shape, new this.three.MeshLambertMaterial(), count);
    mesh.frustumCulled = false;
    this.scene.add(mesh);
    return mesh;
  }

  /** Where the body is: the mean over some moments, all landmarks. */
  middle() {
    const sum = [0, 0, 0], count = [0, 0, 0];
    for (let i = 0; i < this.xyz.length; i += 1) {
      if (!Number.isNaN(this.xyz[i])) { sum[i % 3] += this.xyz[i]; count[i % 3] += 1; }
    }
    return new this.three.Vector3(...sum.map((s, axis) => s / Math.max(count[axis], 1)));
  }

  floor() {
    const { GridHelper, BufferGeometry, LineBasicMaterial, Line, Vector3 } = this.three;
    this.grid = new GridHelper(2, 8);
    this.grid.position.set(this.centre.x, 0, this.centre.z);
    this.grid.material.transparent = true;
    this.grid.material.opacity = 0.35;
    const ahead = [new Vector3(this.centre.x, 0.002, this.centre.z), new Vector3(this.centre.x + 1, 0.002, this.centre.z)];
    this.ahead = new Line(new BufferGeometry().setFromPoints(ahead), new LineBasicMaterial());
    this.scene.add(this.grid, this.ahead);
  }

  colour() {
    const ink = Object.fromEntries(["left", "right", "both"].map((s) => [s, new this.three.Color(colourOf(s === "both" ? "dim" : s))]));
    this.about.sides.forEach((side, k) => this.balls.setColorAt(k, ink[side]));
    this.about.bones.forEach(([a, b], k) => this.rods.setColorAt(k, ink[this.about.sides[a] === this.about.sides[b] ? this.about.sides[a] : "both"]));
    for (const mesh of [this.balls, this.rods]) {
      if (mesh.count) mesh.instanceColor.needsUpdate = true;
    }
    this.ahead.material.color.set(colourOf("ink"));
  }

  listen() {
    for (const button of this.figure.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.look(...VIEWS[button.dataset.view]));
    }
    for (const button of this.figure.querySelectorAll("[data-turn]")) {
      button.addEventListener("click", () => this.look(this.azimuth + Number(button.dataset.turn), this.elevation));
    }
    this.canvas.addEventListener("pointerdown", (event) => this.canvas.setPointerCapture(event.pointerId));
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.canvas.hasPointerCapture(event.pointerId)) this.look(this.azimuth - event.movementX * 0.5, this.elevation + event.movementY * 0.5);
    });
    new ResizeObserver(() => this.resize()).observe(this.figure);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.colour(); this.render(); });
  }

  look(azimuth, elevation) {
    this.azimuth = azimuth;
    this.elevation = Math.min(Math.max(elevation, -10), 89);
    this.render();
  }

  resize() {
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (!width || !height) return;
    this.renderer.setPixelRatio(devicePixelRatio);
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.render();
  }

  show(index) {
    this.index = index;
    this.figure.dataset.frame = index;
    if (!this.renderer) return;
    const { Matrix4, Quaternion, Vector3 } = this.three;
    const from = 3 * this.about.landmarks.length * index;
    const points = this.about.landmarks.map((_, k) => new Vector3(...this.xyz.subarray(from + 3 * k, from + 3 * k + 3)));
    const nowhere = new Matrix4().makeScale(0, 0, 0);
    points.forEach((p, k) => this.balls.setMatrixAt(k, Number.isNaN(p.x) ? nowhere : new Matrix4().setPosition(p)));
    this.about.bones.forEach(([a, b], k) => {
      const along = points[b].clone().sub(points[a]);
      if (Number.isNaN(along.x)) return this.rods.setMatrixAt(k, nowhere);
      const turn = new Quaternion().setFromUnitVectors(new Vector3(0, 1, 0), along.clone().normalize());
      const middle = points[a].clone().add(points[b]).multiplyScalar(0.5);
      this.rods.setMatrixAt(k, new Matrix4().compose(middle, turn, new Vector3(1, along.length(), 1)));
    });
    this.balls.instanceMatrix.needsUpdate = this.rods.instanceMatrix.needsUpdate = true;
    this.render();
  }

  render() {
    const turn = this.azimuth * Math.PI / 180, tilt = this.elevation * Math.PI / 180, far = 4.2;
    // LAB: X forward, Y up, Z to the runner's right; azimuth 0 is in front, 90 on the right.
    const away = new this.three.Vector3(Math.cos(turn) * Math.cos(tilt), Math.sin(tilt), Math.sin(turn) * Math.cos(tilt));
    this.camera.position.copy(this.centre).addScaledVector(away, far);
    this.camera.lookAt(this.centre);
    this.renderer.render(this.scene, this.camera);
  }
}
