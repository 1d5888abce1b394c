// The page shows something that is about to change: look again, as its own link does.
setTimeout(() => window.location.reload(), 4000);
