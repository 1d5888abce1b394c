postMessage("started");
