// How numbers, times and states are written on the pages.

const NUMBERS = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const number = (value) => NUMBERS.format(value);

export const clock = (at) => (at ? CLOCK.format(new Date(at)) : "not yet");

export const share = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");

/** `3 d 04:05:06`, `1:02:03` or `02:03`. */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const [days, hours] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24];
  const two = (value) => String(value).padStart(2, "0");
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  if (days) return `${days} d ${two(hours)}:${rest}`;
  return hours ? `${hours}:${rest}` : rest;
}

export const STATES = {
  UNKNOWN: "not known yet",
  PENDING: "being set aside",
  ACTIVE: "on sale",
  CLOSING: "closing",
  CLOSED: "closed",
  REJECTED: "refused",
  "": "not known yet",
};

/** Write a text where it differs: an unchanged node is not laid out again, nor read out again. */
export function write(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

/** Write a text in which commands stand between backticks. */
export function prose(node, text) {
  if (node.dataset.text === text) return;
  node.dataset.text = text;
  node.replaceChildren(...text.split("`").map((part, place) => (place % 2 ? element("code", "", part) : part)));
}

export function pill(node, text, kind) {
  write(node, text);
  const name = `pill ${kind}`;
  if (node.className !== name) node.className = name;
}

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Fill a bar with the parts of `whole`: sold, left, released. */
export function bar(node, line) {
  const whole = Math.max(line.reserved, line.consumed + line.left + line.released, 1);
  const parts = [["sold", line.consumed], ["left", line.left], ["released", line.released]];
  if (!node.firstChild) node.append(...parts.map(([name]) => element("span", name)));
  parts.forEach(([, units], place) => {
    const width = `${(100 * units) / whole}%`;
    const part = node.children[place];
    if (part.style.width !== width) part.style.width = width;
  });
}

export function remaining(status, expiresAt, now) {
  if (status === "CLOSED" || status === "REJECTED") return "over";
  if (!expiresAt) return "–";
  const left = Date.parse(expiresAt) - now;
  return left > 0 ? duration(left) : "time is over";
}
