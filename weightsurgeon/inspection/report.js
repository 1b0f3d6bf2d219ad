"use strict";
// Sorts tables by a click on a heading and filters long ones by name. Nothing else.
function keyOf(row, column, numeric) {
  const cell = row.cells[column];
  const key = cell.dataset.k === undefined ? cell.textContent : cell.dataset.k;
  if (!numeric) return key;
  const number = key === "" ? NaN : Number(key);
  return Number.isNaN(number) ? -Infinity : number;
}

function sort(table, heading, column) {
  const numeric = heading.classList.contains("n");
  const first = numeric ? "descending" : "ascending";
  const other = numeric ? "ascending" : "descending";
  const order = heading.getAttribute("aria-sort") === first ? other : first;
  for (const h of table.tHead.rows[0].cells) h.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const compare = numeric
    ? (a, b) => a - b
    : (a, b) => a.localeCompare(b, undefined, { numeric: true });
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [keyOf(row, column, numeric), row]);
  rows.sort((a, b) => sign * compare(a[0], b[0]));
  body.append(...rows.map(([, row]) => row));
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.textContent = heading.textContent;
    button.addEventListener("click", () => sort(table, heading, column));
    heading.replaceChildren(button);
  });
}

function makeFilterable(table) {
  const input = document.createElement("input");
  input.className = "filter";
  input.type = "search";
  input.placeholder = "filter " + table.tBodies[0].rows.length + " rows by name";
  input.setAttribute("aria-label", input.placeholder);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of table.tBodies[0].rows) {
      const name = row.cells[0].textContent.toLowerCase();
      row.hidden = !words.every((word) => name.includes(word));
    }
  });
  table.parentElement.before(input);
}

for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table);
  if (table.tBodies[0].rows.length > 12) makeFilterable(table);
}
