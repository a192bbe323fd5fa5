// The list of sales.

import { Events } from "./events.js";
import { STATES, bar, element, number, remaining, write } from "./words.js";

const find = (id) => document.getElementById(id);
const sales = new Map();
const rows = new Map();
const names = new Intl.Collator("en", { numeric: true });
const events = new Events(document.body.dataset.events, find("connection"), take);
setInterval(show, 1000);

function take(content, isWhole) {
  if (isWhole) sales.clear();
  for (const sale of content.sales) sales.set(sale.promotionId, sale);
  for (const id of content.gone) sales.delete(id);
  show();
}

const needsPerson = (sale) => sale.troubled > 0 || sale.alarm !== "";
const isOver = (sale) => sale.status === "CLOSED" || sale.status === "REJECTED";

/** Those with problems first, then what runs and ends soonest, then what is over. */
function order(a, b) {
  return needsPerson(b) - needsPerson(a) || isOver(a) - isOver(b)
    || (a.expiresAt < b.expiresAt ? -1 : a.expiresAt > b.expiresAt ? 1 : 0)
    || names.compare(a.promotionId, b.promotionId);
}

function show() {
  for (const [id, row] of rows) {
    if (!sales.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  let next = find("rows").firstElementChild;
  for (const sale of [...sales.values()].sort(order)) {
    const row = rows.get(sale.promotionId) ?? made(sale);
    fill(row, sale);
    if (row === next) next = next.nextElementSibling;
    else find("rows").insertBefore(row, next);
  }
  find("none").hidden = sales.size > 0;
}

function made(sale) {
  const row = element("tr");
  const name = element("th");
  const link = element("a", "name", sale.promotionId);
  name.scope = "row";
  link.href = `sale/${encodeURIComponent(sale.promotionId)}`;
  const units = element("div", "bar");
  units.ariaHidden = "true";
  name.append(link, units);
  const cells = ["number", "number", "state", "", "number", "number", "number", "number"];
  row.append(name, ...cells.map((kind) => element("td", kind)));
  rows.set(sale.promotionId, row);
  return row;
}

function fill(row, sale) {
  const { sums, left } = sale;
  const line = { left, reserved: 0, consumed: 0, released: 0, rejectedUnits: 0, ...sums };
  row.className = needsPerson(sale) ? "problem" : isOver(sale) ? "over" : "";
  bar(row.querySelector(".bar"), line);
  const state = STATES[sale.status] ?? sale.status;
  const many = sale.troubled === 1 ? "1 SKU needs" : `${number(sale.troubled)} SKUs need`;
  const needs = `${sale.troubled ? many : "It needs"} a person`;
  const texts = [
    number(left), number(line.consumed), needsPerson(sale) ? `${state}. ${needs}` : state,
    remaining(sale.status, sale.expiresAt, events.now()),
    ...[line.reserved, line.released, line.rejectedUnits, sale.skus].map(number),
  ];
  texts.forEach((text, place) => write(row.cells[place + 1], text));
}
