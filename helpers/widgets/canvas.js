// A canvas to draw on with mouse, finger or pen. Strokes are lists of [x, y] in pixels of the 28 × 28 image, and go to
// Python when the pen is lifted. Lines show where letters stand.
const SIDE = 28;

function render({ model, el }) {
  const times = model.get("times"), size = SIDE * times;
  const canvas = document.createElement("canvas");
  const sharp = window.devicePixelRatio || 1;
  canvas.width = canvas.height = size * sharp;
  Object.assign(canvas.style, { width: size + "px", height: size + "px", touchAction: "none", cursor: "crosshair",
                                border: "1px solid #888", background: "white" });
  canvas.setAttribute("role", "img");
  el.append(canvas);
  const pen = canvas.getContext("2d");
  let stroke = null;

  function draw() {
    const strokes = model.get("strokes");
    canvas.setAttribute("aria-label", `Canvas to draw the letter ${model.get("letter")} on; ${strokes.length} strokes so far`);
    pen.setTransform(times * sharp, 0, 0, times * sharp, 0, 0);
    pen.fillStyle = "white";
    pen.fillRect(0, 0, SIDE, SIDE);
    pen.lineWidth = 0.08;
    pen.font = "0.9px sans-serif";
    for (const [name, y] of model.get("guides")) {
      pen.strokeStyle = pen.fillStyle = "#0072b2";
      pen.beginPath();
      pen.moveTo(0, y);
      pen.lineTo(SIDE, y);
      pen.stroke();
      pen.fillText(name, 0.3, y - 0.25);
    }
    pen.strokeStyle = pen.fillStyle = "black";
    pen.lineWidth = model.get("pen");
    pen.lineCap = pen.lineJoin = "round";
    for (const points of stroke ? [...strokes, stroke] : strokes) {
      pen.beginPath();
      pen.moveTo(...points[0]);
      for (const point of points) pen.lineTo(...point);
      pen.stroke();
    }
  }

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const along = (at, from, long) => Math.round(100 * Math.min(Math.max((at - from) / long, 0), 1) * SIDE) / 100;
    return [along(event.clientX, box.left, box.width), along(event.clientY, box.top, box.height)];
  };
  const events = {
    pointerdown(event) {
      if (stroke || event.button) return;
      canvas.setPointerCapture(event.pointerId);
      stroke = [place(event)];
      draw();
      event.preventDefault();
    },
    pointermove(event) {
      if (!stroke) return;
      const point = place(event), last = stroke[stroke.length - 1];
      if (Math.hypot(point[0] - last[0], point[1] - last[1]) > 0.15) stroke.push(point);
      draw();
    },
    pointerup() {
      if (!stroke) return;
      model.set("strokes", [...model.get("strokes"), stroke]);
      stroke = null;
      model.save_changes();
      draw();
    },
  };
  events.pointercancel = events.pointerup;
  for (const [name, act] of Object.entries(events)) canvas.addEventListener(name, act);
  const watched = "change:strokes change:pen change:letter";
  model.on(watched, draw);
  draw();
  return () => model.off(watched, draw);
}

export default { render };
