// A sale's page: what the events say, written into it.

import { Events } from "./events.js";
import { Lines } from "./lines.js";
import { Speed } from "./speed.js";
import { STATES, bar, clock, element, number, pill, prose, remaining, write } from "./words.js";

const MOST_PROBLEMS = 5;
const FLUENT = { ok: ["in agreement", "good"], waiting: ["waiting", "late"], trouble: ["needs a person", "bad"] };
const KINDS = { ACTIVE: "good", PENDING: "late", CLOSING: "late" };

const find = (id) => document.getElementById(id);
const { events: url, ends, promotion } = document.body.dataset;
const lines = new Lines(find);
const speed = new Speed(find("chart"), find);
let sale = { status: "UNKNOWN", expiresAt: "", skus: 0, troubled: 0 };

if (!find("front").getAttribute("href")) find("front").closest("p").remove();
const events = new Events(url, find("connection"), take, Number(ends));
setInterval(tick, 1000);

function take(content, isWhole) {
  sale = content.sale;
  lines.take(content.lines, isWhole);
  speed.take(content.speed);
  figures();
  fluent(content.fluent, content.waiting);
  attention();
  tick();
}

function figures() {
  const { sums, left } = sale;
  for (const name of ["consumed", "released", "reserved", "rejectedUnits"]) write(find(name), number(sums[name] ?? 0));
  write(find("left"), number(left));
  write(find("figuresAt"), clock(sale.figuresAt));
  bar(find("whole"), { left, reserved: 0, consumed: 0, released: 0, ...sums });
  pill(find("status"), STATES[sale.status] ?? sale.status, KINDS[sale.status] ?? "");
}

function fluent({ state, says, held, drift, checkedAt }, waiting) {
  const [text, kind] = FLUENT[state];
  pill(find("fluent-state"), text, kind);
  write(find("fluent-says"), says);
  write(find("held"), `${number(held)} units`);
  write(find("drift"), `${number(drift)} units`);
  write(find("checkedAt"), clock(checkedAt));
  write(find("report"), sale.reportedAt ? `${sale.reportKind}, of ${clock(sale.reportedAt)}` : "not yet");
  list(find("waiting"), waiting.length ? waiting : ["Nothing"]);
}

function attention() {
  const troubled = lines.troubled();
  const box = find("attention");
  const isBad = troubled.length > 0 || sale.alarm;
  box.className = `attention ${isBad ? "bad" : sale.skus ? "good" : ""}`;
  const many = troubled.length === 1 ? "1 SKU needs" : `${number(troubled.length)} SKUs need`;
  const fine = sale.skus ? "Nothing needs a person" : "Nothing is known of this sale yet";
  const title = troubled.length ? `${many} a person` : sale.alarm ? "This sale needs a person" : fine;
  write(find("attention-title"), title);
  const shown = troubled.slice(0, MOST_PROBLEMS).map((line) => `${line.sku}: ${line.problem}. ${line.remedy}`);
  const more = troubled.length - MOST_PROBLEMS;
  if (sale.alarm) shown.unshift(sale.alarm);
  list(find("problems"), more > 0 ? [...shown, `And ${number(more)} more, which come first in the table below`] : shown);
}

function list(node, texts) {
  while (node.children.length > texts.length) node.lastElementChild.remove();
  texts.forEach((text, place) => prose(node.children[place] ?? node.appendChild(element("li")), text));
}

function tick() {
  const left = remaining(sale.status, sale.expiresAt, events.now());
  write(find("countdown"), left);
  write(find("until"), sale.expiresAt ? `until ${clock(sale.expiresAt)}` : "");
  const mark = sale.troubled ? `(${sale.troubled}!) ` : sale.alarm ? "(!) " : "";
  const title = `${mark}${promotion} · ${number(sale.left ?? 0)} left · ${left}`;
  if (document.title !== title) document.title = title;
}
