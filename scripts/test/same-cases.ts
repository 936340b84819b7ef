import fc from "fast-check";

// Loaded before the tests of a gate: fast-check then draws the same cases each time.
fc.configureGlobal({ seed: 20_261_124 });
