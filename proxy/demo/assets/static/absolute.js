"use strict";

const withSocket = (start) => new Promise((resolve, reject) => {
  const socket = start();
  socket.addEventListener("error", () => reject(new Error("not connected")));
  socket.addEventListener("open", () => socket.send("hello"));
  socket.addEventListener("message", (event) => {
    socket.close();
    resolve(event.data);
  });
});

const loaded = (element) => new Promise((resolve, reject) => {
  element.addEventListener("load", () => resolve("loaded"));
  element.addEventListener("error", () => reject(new Error("not loaded")));
});

async function json(response) {
  if (!response.ok) {
    throw new Error(`status ${response.status}`);
  }
  return (await response.json()).server;
}

function picture(change) {
  const image = new Image();
  const result = loaded(image);
  change(image);
  return result;
}

const checks = {
  "fetch": async () => json(await fetch("/api/info")),
  "Request": async () => json(await fetch(new Request(`${location.origin}/api/info`))),
  "XMLHttpRequest": () => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", "/api/info");
    request.responseType = "json";
    request.onload = () => request.status === 200 ? resolve(request.response.server) : reject(new Error(request.status));
    request.send();
  }),
  "WebSocket": () => withSocket(() => new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws/echo`)),
  "WebSocket by path": () => withSocket(() => new WebSocket("/ws/echo")),
  "EventSource": () => new Promise((resolve, reject) => {
    const stream = new EventSource("/events?count=1");
    stream.onerror = () => reject(new Error("broken off"));
    stream.onmessage = () => {
      stream.close();
      resolve("received");
    };
  }),
  "sendBeacon": async () => {
    if (!navigator.sendBeacon("/upload", "hello")) {
      throw new Error("not sent");
    }
    return "sent";
  },
  "Worker": () => new Promise((resolve, reject) => {
    const worker = new Worker("/static/worker.js");
    worker.onerror = () => reject(new Error("not started"));
    worker.onmessage = (event) => resolve(event.data);
  }),
  "src": () => picture((image) => {
    image.src = "/static/favicon.svg";
  }),
  "setAttribute": () => picture((image) => image.setAttribute("src", "/static/favicon.svg")),
  "srcset": () => picture((image) => {
    image.srcset = "/static/favicon.svg 1x, /static/favicon.svg 2x";
  }),
  "innerHTML": () => {
    const place = document.createElement("div");
    place.innerHTML = '<img src="/static/favicon.svg" alt="">';
    return loaded(place.firstChild);
  },
  "template": () => {
    const template = document.createElement("template");
    template.innerHTML = '<p><img src="/static/favicon.svg" alt=""></p>';
    const copy = document.importNode(template.content, true);
    return loaded(copy.querySelector("img"));
  },
  "pushState": async () => {
    history.pushState(null, "", "/absolute/pushed");
    return location.pathname;
  },
  "replaceState": async () => {
    history.replaceState(null, "", "/absolute");
    return location.pathname;
  },
};

async function row(name) {
  const row = document.createElement("div");
  const term = document.createElement("dt");
  const detail = document.createElement("dd");
  term.textContent = name;
  row.append(term, detail);
  document.getElementById("checks").append(row);
  try {
    detail.textContent = await checks[name]();
    detail.dataset.check = "good";
  } catch (error) {
    detail.textContent = `Failed: ${error.message}`;
    detail.dataset.check = "bad";
  }
  return detail.dataset.check;
}

async function run() {
  const results = [];
  for (const name of Object.keys(checks)) {
    results.push(await row(name));
  }
  const state = document.getElementById("checks-state");
  const failed = results.filter((result) => result === "bad").length;
  state.textContent = failed ? `${failed} failed` : "All work";
  state.dataset.kind = failed ? "bad" : "good";
}

document.getElementById("leave").addEventListener("click", () => {
  location.href = "/certificates";
});
run();
