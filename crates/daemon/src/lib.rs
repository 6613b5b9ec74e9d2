//! What every long-running program needs once: logs, metrics page, health, signals, named tasks, HTTP pages.
