// Draws the rows of a table as bars: the table is what says it all, the chart shows it at a glance.
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
for (const canvas of document.querySelectorAll("canvas[data-chart]")) draw(canvas);

function draw(canvas) {
  const rows = [...document.querySelectorAll(`#${canvas.dataset.chart} tbody tr`)];
  const style = getComputedStyle(document.body);
  const [ink, line, accent] = ["ink", "line", "accent"].map((name) => style.getPropertyValue(`--chart-${name}`));
  const shown = rows.map((row) => row.querySelector("td").textContent.trim());
  const most = Math.max(...rows.map((row) => Number(row.dataset.value)));
  const [unit, name] = [[2 ** 30, "gigabyte"], [2 ** 20, "megabyte"], [2 ** 10, "kilobyte"]].find(([size]) => most >= size) ?? [1, "byte"];
  const size = new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit: name });
  new Chart(canvas, {
    type: "bar",
    data: {
      labels: rows.map((row) => row.querySelector("th").textContent.trim()),
      datasets: [{ data: rows.map((row) => Number(row.dataset.value) / unit), backgroundColor: accent, borderRadius: 4 }],
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      plugins: { legend: { display: false }, tooltip: { callbacks: { label: (item) => shown[item.dataIndex] } } },
      scales: {
        x: { grid: { display: false }, ticks: { color: ink, maxRotation: 0, autoSkipPadding: 16 } },
        y: { beginAtZero: true, border: { display: false }, grid: { color: line }, ticks: { color: ink, callback: (value) => size.format(value) } },
      },
    },
  });
}
