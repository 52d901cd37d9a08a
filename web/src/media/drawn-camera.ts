// A camera that is drawn: somebody in a room, seen from a laptop. It shows what a call looks like on a
// machine without cameras. Every name gives another person, always the same one.

const WIDTH = 1280;
const HEIGHT = 720;
const FRAMES_PER_SECOND = 24;

interface Look {
  wall: [string, string];
  light: string;
  skin: string;
  shade: string;
  hair: string;
  shirt: string;
  hairStyle: 'short' | 'long' | 'bun' | 'curly';
  glasses: boolean;
  scene: 'window' | 'shelf' | 'plant' | 'picture';
}

const LOOKS: Look[] = [
  {
    wall: ['#dfe7e4', '#a9c0ba'], light: '#fff7e0', skin: '#e8b48f', shade: '#cf9470', hair: '#3a2418',
    shirt: '#2f6f6a', hairStyle: 'long', glasses: false, scene: 'window',
  },
  {
    wall: ['#e9ded2', '#c4ab92'], light: '#ffe7c4', skin: '#8d5a3c', shade: '#6f432a', hair: '#17110e',
    shirt: '#d9a441', hairStyle: 'curly', glasses: false, scene: 'shelf',
  },
  {
    wall: ['#c9d3e2', '#7f93b2'], light: '#eaf2ff', skin: '#f1c6a6', shade: '#d8a482', hair: '#b8793c',
    shirt: '#394a6b', hairStyle: 'short', glasses: true, scene: 'plant',
  },
  {
    wall: ['#e5d9e6', '#a78cab'], light: '#ffeef6', skin: '#d69d74', shade: '#b97e57', hair: '#221a22',
    shirt: '#a8465a', hairStyle: 'bun', glasses: false, scene: 'picture',
  },
];

export function drawCamera(name: string): MediaStreamTrack {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext('2d', { alpha: false });
  if (!context) throw new Error('this browser cannot draw');
  const seed = hash(name);
  const look = LOOKS[seed % LOOKS.length] as Look;
  const room = paintRoom(look);
  const started = performance.now();
  const draw = () => paint(context, room, look, (performance.now() - started) / 1000 + (seed % 97));
  draw();
  const stream = canvas.captureStream(FRAMES_PER_SECOND);
  const track = stream.getVideoTracks()[0];
  if (!track) throw new Error('this browser cannot capture a drawing');
  const timer = setInterval(() => {
    if (track.readyState === 'ended') clearInterval(timer);
    else draw();
  }, 1000 / FRAMES_PER_SECOND);
  return track;
}

/** FNV-1a, 32 bit. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return value;
}

type Pen = CanvasRenderingContext2D;

function paint(pen: Pen, room: HTMLCanvasElement, look: Look, time: number): void {
  pen.drawImage(room, 0, 0);
  pen.save();
  pen.translate(Math.sin(time * 0.5) * 14, Math.sin(time * 1.1) * 5);
  paintBody(pen, look);
  pen.translate(640, 350);
  pen.rotate(Math.sin(time * 0.7) * 0.035);
  paintHead(pen, look, time);
  pen.restore();
}

/** The room stands still: painted once, for blurring costs more than everything else together. */
function paintRoom(look: Look): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const pen = canvas.getContext('2d', { alpha: false });
  if (!pen) return canvas;
  const wall = pen.createLinearGradient(0, 0, WIDTH, HEIGHT);
  wall.addColorStop(0, look.wall[0]);
  wall.addColorStop(1, look.wall[1]);
  pen.fillStyle = wall;
  pen.fillRect(0, 0, WIDTH, HEIGHT);
  // The background of a laptop camera is out of focus.
  pen.filter = 'blur(7px)';
  if (look.scene === 'window') paintWindow(pen, look);
  if (look.scene === 'shelf') paintShelf(pen);
  if (look.scene === 'plant') paintPlant(pen, look);
  if (look.scene === 'picture') paintPictures(pen, look);
  pen.filter = 'none';
  paintVignette(pen);
  return canvas;
}

function paintWindow(pen: Pen, look: Look): void {
  pen.fillStyle = '#f7fbff';
  pen.fillRect(820, 60, 340, 420);
  const sky = pen.createLinearGradient(0, 60, 0, 480);
  sky.addColorStop(0, '#a9d3f2');
  sky.addColorStop(1, look.light);
  pen.fillStyle = sky;
  pen.fillRect(840, 80, 140, 380);
  pen.fillRect(1000, 80, 140, 380);
  pen.fillStyle = '#ffffffaa';
  disc(pen, 1040, 190, 44);
  disc(pen, 1090, 205, 34);
  pen.fillStyle = '#6d9a63';
  pen.fillRect(840, 400, 140, 60);
  pen.fillRect(1000, 380, 140, 80);
  pen.fillStyle = '#b98a5e';
  pen.fillRect(60, 330, 300, 18);
  pen.fillStyle = '#5d8a73';
  disc(pen, 140, 285, 46);
  pen.fillStyle = '#c96f4a';
  pen.fillRect(108, 300, 64, 34);
}

function paintShelf(pen: Pen): void {
  const books = ['#7c4f3a', '#3f6a72', '#c9843f', '#56724e', '#8c3d3d', '#42506e', '#d8c08f'];
  for (const top of [70, 270]) {
    let x = 60;
    for (let i = 0; x < 1180; i++) {
      const width = 26 + ((i * 37 + top) % 22);
      const height = 96 + ((i * 53 + top) % 50);
      const gap = i % 9 === 8;
      pen.fillStyle = books[(i + top) % books.length] as string;
      if (!gap) pen.fillRect(x, top + 156 - height, width, height);
      x += gap ? 90 : width + 4;
    }
    pen.fillStyle = '#8a6242';
    pen.fillRect(40, top + 156, 1200, 18);
  }
}

function paintPlant(pen: Pen, look: Look): void {
  pen.fillStyle = look.light;
  disc(pen, 210, 130, 90);
  pen.fillStyle = '#5d6a80';
  pen.fillRect(202, 210, 14, 510);
  pen.fillStyle = '#46795a';
  for (let leaf = 0; leaf < 9; leaf++) {
    pen.save();
    pen.translate(1060, 480);
    pen.rotate(-1.35 + leaf * 0.34);
    pen.beginPath();
    pen.ellipse(0, -150, 34, 150, 0, 0, Math.PI * 2);
    pen.fill();
    pen.restore();
  }
  pen.fillStyle = '#d9d2c7';
  pen.fillRect(985, 470, 150, 250);
}

function paintPictures(pen: Pen, look: Look): void {
  for (const [x, y, width, height, colour] of [
    [90, 90, 230, 300, '#e8b7a1'],
    [930, 70, 280, 190, '#7aa6a8'],
    [960, 300, 180, 220, '#e2c36b'],
  ] as const) {
    pen.fillStyle = '#fdfaf5';
    pen.fillRect(x, y, width, height);
    pen.fillStyle = colour;
    pen.fillRect(x + 24, y + 24, width - 48, height - 48);
    pen.fillStyle = look.shirt;
    disc(pen, x + width / 2, y + height / 2 + 10, Math.min(width, height) / 5);
  }
}

function paintBody(pen: Pen, look: Look): void {
  pen.fillStyle = look.shade;
  pen.fillRect(585, 440, 110, 130);
  const shirt = pen.createLinearGradient(320, 520, 960, 760);
  shirt.addColorStop(0, look.shirt);
  shirt.addColorStop(1, darker(look.shirt));
  pen.fillStyle = shirt;
  pen.beginPath();
  pen.moveTo(310, 780);
  pen.bezierCurveTo(330, 590, 450, 560, 575, 528);
  pen.quadraticCurveTo(640, 610, 705, 528);
  pen.bezierCurveTo(830, 560, 950, 590, 970, 780);
  pen.fill();
  pen.fillStyle = look.skin;
  pen.beginPath();
  pen.moveTo(585, 500);
  pen.lineTo(695, 500);
  pen.lineTo(692, 540);
  pen.quadraticCurveTo(640, 590, 588, 540);
  pen.fill();
}

/** Drawn around its own centre. */
function paintHead(pen: Pen, look: Look, time: number): void {
  paintHairBehind(pen, look);
  pen.fillStyle = look.shade;
  oval(pen, -132, 12, 20, 34);
  oval(pen, 132, 12, 20, 34);
  const face = pen.createLinearGradient(-130, 0, 150, 0);
  face.addColorStop(0, look.skin);
  face.addColorStop(1, look.shade);
  pen.fillStyle = face;
  pen.beginPath();
  pen.moveTo(-132, -40);
  pen.bezierCurveTo(-134, -190, 134, -190, 132, -40);
  pen.bezierCurveTo(132, 90, 70, 168, 0, 168);
  pen.bezierCurveTo(-70, 168, -132, 90, -132, -40);
  pen.fill();
  paintFace(pen, look, time);
  paintHairInFront(pen, look);
}

function paintFace(pen: Pen, look: Look, time: number): void {
  const blinking = time % 3.7 < 0.14;
  pen.fillStyle = '#2b1d17';
  for (const side of [-1, 1]) {
    if (blinking) pen.fillRect(side * 54 - 17, 0, 34, 4);
    else oval(pen, side * 54, 2, 11, 14);
    pen.lineWidth = 9;
    pen.lineCap = 'round';
    pen.strokeStyle = look.hair;
    pen.beginPath();
    pen.moveTo(side * 54 - 26, -34);
    pen.quadraticCurveTo(side * 54, -47, side * 54 + 26, -34);
    pen.stroke();
  }
  pen.lineWidth = 6;
  pen.strokeStyle = look.shade;
  pen.beginPath();
  pen.moveTo(4, 8);
  pen.quadraticCurveTo(22, 52, -4, 56);
  pen.stroke();
  const open = Math.max(0, Math.sin(time * 2.3)) * Math.max(0, Math.sin(time * 9)) * 16;
  pen.fillStyle = '#8a3b36';
  pen.beginPath();
  pen.moveTo(-42, 92);
  pen.quadraticCurveTo(0, 122 + open, 42, 92);
  pen.quadraticCurveTo(0, 104 - open / 4, -42, 92);
  pen.fill();
  if (!look.glasses) return;
  pen.strokeStyle = '#20252d';
  pen.lineWidth = 7;
  for (const side of [-1, 1]) {
    pen.beginPath();
    pen.roundRect(side * 58 - 44, -30, 88, 66, 26);
    pen.stroke();
  }
  pen.beginPath();
  pen.moveTo(-14, -4);
  pen.lineTo(14, -4);
  pen.stroke();
}

function paintHairBehind(pen: Pen, look: Look): void {
  pen.fillStyle = look.hair;
  if (look.hairStyle === 'long') {
    pen.beginPath();
    pen.roundRect(-172, -150, 344, 400, 150);
    pen.fill();
  }
  if (look.hairStyle === 'bun') disc(pen, 0, -208, 66);
  if (look.hairStyle === 'curly') {
    for (let curl = 0; curl < 15; curl++) {
      const angle = Math.PI * (0.92 + (curl / 14) * 1.16);
      disc(pen, Math.cos(angle) * 142, Math.sin(angle) * 138 - 42, 54);
    }
  }
}

function paintHairInFront(pen: Pen, look: Look): void {
  pen.fillStyle = look.hair;
  pen.beginPath();
  pen.moveTo(-140, -20);
  pen.bezierCurveTo(-160, -210, 160, -210, 140, -20);
  if (look.hairStyle === 'long') pen.bezierCurveTo(110, -70, 30, -90, -20, -128);
  else pen.bezierCurveTo(122, -80, 60, -104, -10, -98);
  pen.bezierCurveTo(-60, -92, -124, -84, -140, -20);
  pen.fill();
}

function paintVignette(pen: Pen): void {
  const edge = pen.createRadialGradient(640, 340, 320, 640, 360, 820);
  edge.addColorStop(0, '#00000000');
  edge.addColorStop(1, '#00000066');
  pen.fillStyle = edge;
  pen.fillRect(0, 0, WIDTH, HEIGHT);
}

function disc(pen: Pen, x: number, y: number, radius: number): void {
  oval(pen, x, y, radius, radius);
}

function oval(pen: Pen, x: number, y: number, radiusX: number, radiusY: number): void {
  pen.beginPath();
  pen.ellipse(x, y, radiusX, radiusY, 0, 0, Math.PI * 2);
  pen.fill();
}

function darker(colour: string): string {
  const parts = [1, 3, 5].map((at) => Math.round(parseInt(colour.slice(at, at + 2), 16) * 0.7));
  return `rgb(${parts.join(' ')})`;
}
