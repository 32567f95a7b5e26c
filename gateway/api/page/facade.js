// The plane of a facade by its four corners, as the gateway itself reckons it: floors are equal, the ground is 1.
export const CORNERS = ["groundLeft", "groundRight", "roofLeft", "roofRight"];
export const STOREY = 2.9; // metres, of a residential tower: what the gateway takes when nothing else is configured
const SMALLEST = 4; // pixels: what is smaller is seen by luck
const LEAST = 2 / 540; // of the shorter side, which is brought to 540 pixels before anything is looked for
const LEAST_WIDE = 8; // pixels of a wall
const LEAST_TALL = 2; // pixels of a floor
const EYE = 1.6; // metres: how high a camera stands that looks up
const UPRIGHT = 1.05; // times as wide as the roof the ground may look before the camera is taken to look up

// What maps (u, v) to pixels: u from 0 at the left to 1, v in floors above the ground. `corners` as in CORNERS.
export function plane([groundLeft, groundRight, roofLeft, roofRight], floors) {
  const [[x0, y0], [x1, y1], [x2, y2], [x3, y3]] = [groundLeft, groundRight, roofRight, roofLeft];
  const [ax, ay, bx, by] = [x1 - x2, y1 - y2, x3 - x2, y3 - y2];
  const [sx, sy] = [x0 - x1 + x2 - x3, y0 - y1 + y2 - y3];
  const whole = ax * by - bx * ay;
  const g = (sx * by - bx * sy) / whole;
  const k = (ax * sy - sx * ay) / whole;
  return (u, v) => {
    const up = v / floors;
    const depth = g * u + k * up + 1;
    return [
      ((x1 - x0 + g * x1) * u + (x3 - x0 + k * x3) * up + x0) / depth,
      ((y1 - y0 + g * y1) * u + (y3 - y0 + k * y3) * up + y0) / depth,
    ];
  };
}

// The word for why the gateway would refuse these corners: left before right, the roof above the ground and no corner
// inside of the others, upright, and so many pixels wide and a floor tall. "" when they span a wall.
export function wallTrouble([groundLeft, groundRight, roofLeft, roofRight], floors) {
  const around = [groundLeft, groundRight, roofRight, roofLeft];
  const spans = around.every((a, index) => {
    const b = around[(index + 1) % 4];
    const c = around[(index + 2) % 4];
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) < 0;
  });
  if (!spans) return "calNoWall";
  const [across, down] = [0, 1].map((axis) => (groundLeft[axis] + groundRight[axis] - roofLeft[axis] - roofRight[axis]) / 2);
  if (down < Math.abs(across)) return "calLies";
  const wide = ([left, right]) => Math.hypot(right[0] - left[0], right[1] - left[1]);
  const narrow = [[groundLeft, groundRight], [roofLeft, roofRight]].some((edge) => wide(edge) < LEAST_WIDE);
  return narrow || down < LEAST_TALL * floors ? "calSmall" : "";
}

// How far the camera is from the wall (metres), and the angle by which it looks up: the roof looks narrower the more.
export function stand([groundLeft, groundRight, roofLeft, roofRight], floors, storey, height) {
  const tall = floors * storey;
  const ratio =
    Math.hypot(groundRight[0] - groundLeft[0], groundRight[1] - groundLeft[1]) /
    Math.max(1e-6, Math.hypot(roofRight[0] - roofLeft[0], roofRight[1] - roofLeft[1]));
  if (ratio < UPRIGHT) return { away: tall, angle: 0 };
  const below = (groundLeft[1] + groundRight[1]) / 2;
  const above = (roofLeft[1] + roofRight[1]) / 2;
  let [away, least] = [tall, Infinity];
  for (let degrees = 2; degrees < 70; degrees += 0.25) {
    const [sine, cosine] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
    const far = ((sine / cosine) * (tall - EYE + ratio * EYE)) / (ratio - 1);
    const rise = (z) => (z - EYE) * cosine - far * sine;
    const depth = (z) => far * cosine + (z - EYE) * sine;
    const focal = ((height / 2 - below) * depth(0)) / rise(0);
    const wrong = Math.abs(height / 2 - (focal * rise(tall)) / depth(tall) - above);
    if (focal > 0 && wrong < least) [away, least] = [far, wrong];
  }
  return { away, angle: Math.atan2(away * (ratio - 1), tall + EYE * (ratio - 1)) };
}

// The smallest object (cm) on a floor, and the share of its width that lies in a picture of this size. Seen from below
// the wall is foreshortened, a thing that falls before it is not.
export function floorView(place, floor, storey, [width, height], { away, angle }) {
  const [low, high] = [place(0.5, floor - 1), place(0.5, floor)];
  const turned = Math.cos(angle) + (((floor - 0.5) * storey - EYE) / away) * Math.sin(angle);
  const scale = (Math.hypot(high[0] - low[0], high[1] - low[1]) / storey) * turned;
  let inside = 0;
  for (let step = 0; step <= 20; step += 1) {
    const [x, y] = place(0.02 + (0.96 * step) / 20, floor - 0.5);
    inside += x >= 0 && x < width && y >= 0 && y < height;
  }
  const smallest = Math.max(SMALLEST, LEAST * Math.min(width, height));
  return { smallest: (smallest / scale) * 100, seen: inside / 21 };
}

// The lines for the configuration, as `linli camera calibrate` prints them.
export function toml([groundLeft, groundRight, roofLeft, roofRight], floors, columns, storey) {
  const pair = (left, right) => `[[${left.join(", ")}], [${right.join(", ")}]]`;
  const more = columns > 1 ? `, columns = ${columns}` : "";
  const tall = storey !== STOREY ? `, storey = ${storey}` : "";
  const corners = `ground = ${pair(groundLeft, groundRight)}, roof = ${pair(roofLeft, roofRight)}`;
  return `[camera.falling]\nfacade = { floors = ${floors}, ${corners}${more}${tall} }`;
}
