// Draw the rows of a table as a bar chart.
// Modules run after the deferred script that defines Chart.
const { Chart } = window;
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
const charts = [...document.querySelectorAll("canvas[data-chart]")].flatMap(draw);

function draw(canvas) {
  const rows = [...document.querySelectorAll(`#${canvas.dataset.chart} tbody tr`)];
  const values = rows.map((row) => Number(row.dataset.value));
  const most = Math.max(0, ...values);
  if (!most) return [];
  canvas.closest("[hidden]").hidden = false; // before the chart takes its size
  const shown = rows.map((row) => row.querySelector("td").textContent.trim());
  const [unit, name] = [[2 ** 30, "gigabyte"], [2 ** 20, "megabyte"], [2 ** 10, "kilobyte"]].find(([size]) => most >= size) ?? [1, "byte"];
  const size = new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit: name });
  const chart = new Chart(canvas, {
    type: "bar",
    data: {
      labels: rows.map((row) => row.querySelector("th").textContent.trim()),
      datasets: [{ data: values.map((value) => value / unit), borderRadius: 4, maxBarThickness: 40 }],
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      plugins: { legend: { display: false }, tooltip: { callbacks: { label: (item) => shown[item.dataIndex] } } },
      scales: {
        x: { grid: { display: false }, ticks: { maxRotation: 0, autoSkipPadding: 16 } },
        y: { beginAtZero: true, border: { display: false }, ticks: { callback: (value) => size.format(value) } },
      },
    },
  });
  paint(chart);
  return [chart];
}

function paint(chart) {
  const style = getComputedStyle(document.body);
  const [ink, line, accent] = ["ink", "line", "accent"].map((name) => style.getPropertyValue(`--chart-${name}`));
  const { x, y } = chart.options.scales;
  chart.data.datasets[0].backgroundColor = accent;
  x.ticks.color = y.ticks.color = ink;
  y.grid.color = line;
  chart.update();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(paint));
