//! What the agent says of itself: one JSON document on a local socket, and its text for people.

use std::fmt::Write as _;
use std::time::Instant;

use margay_daemon::Health;
use serde_json::{Value, json};

use crate::board::{Board, EndpointId, Known};

/// The path of the document.
pub(crate) const PATH: &str = "/status";

/// Makes the document.
pub(crate) struct StatusPage {
    pub(crate) host: String,
    pub(crate) started: Instant,
    pub(crate) datastore: String,
}

// === impl StatusPage ===

impl StatusPage {
    /// The document as of now.
    pub(crate) fn document(&self, board: &Board, health: &Health) -> Value {
        let now = Instant::now();
        let stale = board.stale_seconds(now);
        let stages: Vec<Value> = health
            .verdicts(now)
            .into_iter()
            .map(|stage| json!({ "name": stage.name, "ready": stage.ready, "live": stage.live, "detail": stage.detail }))
            .collect();
        let known = board.lock();
        let ready = health.is_ready(now);
        json!({
            "version": crate::VERSION,
            "pid": std::process::id(),
            "host": self.host,
            "uptimeSeconds": now.saturating_duration_since(self.started).as_secs_f64(),
            "well": ready && known.problems(stale).is_empty(),
            "problems": known.problems(stale),
            "ready": ready,
            "live": health.is_live(now),
            "stages": stages,
            "datastore": {
                "name": self.datastore,
                "sync": if known.sync.is_empty() { "not read yet" } else { known.sync },
                "readyFlag": known.ready_flag,
                "staleSeconds": stale,
                "error": known.datastore_error,
            },
            "parameters": { "error": known.parameter_error, "notices": known.notices },
            "invalid": known.invalid.iter().map(|fault| json!({
                "kind": fault.kind.to_string(),
                "key": &*fault.key,
                "message": fault.message,
                "effect": fault.effect.to_string(),
            })).collect::<Vec<_>>(),
            "kernel": known.kernel(now),
            "endpoints": known.endpoints.iter().map(|(id, endpoint)| {
                let (kind, name) = match id {
                    EndpointId::Workload(id) => ("workload", id.to_string()),
                    EndpointId::Host(id) => ("host", id.to_string()),
                };
                json!({
                    "kind": kind,
                    "name": name,
                    "interface": endpoint.workload.as_ref().map(|workload| workload.interface.to_string()),
                    "status": endpoint.status.word(),
                    "programmed": endpoint.programmed,
                })
            }).collect::<Vec<_>>(),
            "warnings": known.warnings,
        })
    }
}

// === impl Known ===

impl Known {
    fn kernel(&self, now: Instant) -> Value {
        let seconds = self.last_commit.map(|(at, _)| now.saturating_duration_since(at).as_secs_f64());
        json!({
            "programmed": self.programmed_once,
            "complete": self.last_commit.is_some_and(|(_, complete)| complete),
            "secondsSinceCommit": seconds,
            "commits": self.commits,
            "lastCommitMicroseconds": self.last_commit_micros,
            "programmes": self.counts.programmes,
            "chains": self.counts.chains,
            "rules": self.counts.rules,
            "sets": self.counts.sets,
            "elements": self.counts.elements,
            "routes": self.counts.routes,
            "drift": self.drift,
            "quarantined": self.quarantined.iter()
                .map(|(name, reason)| json!({ "name": name, "reason": reason }))
                .collect::<Vec<_>>(),
            "errors": self.kernel_errors,
        })
    }

    /// What keeps the node from being as the datastore wants it.
    fn problems(&self, stale: f64) -> Vec<String> {
        let mut problems = Vec::new();
        if stale > 0.0 {
            problems
                .push(format!("the datastore has not answered for {stale:.0} s: {}", self.datastore_error));
        }
        if self.ready_flag == Some(false) {
            problems.push("the datastore is locked: its ready flag is false".to_owned());
        }
        if !self.parameter_error.is_empty() {
            problems.push(self.parameter_error.clone());
        }
        problems.extend(self.kernel_errors.iter().cloned());
        problems.extend(self.quarantined.iter().map(|(name, reason)| format!("{name} is closed: {reason}")));
        problems
    }
}

/// The document for people.
pub(crate) fn text(document: &Value) -> String {
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let mut text = String::new();
    let state = if document["well"] == true { "well" } else { "not well" };
    let up = document["uptimeSeconds"].as_f64().unwrap_or_default();
    let _ = writeln!(
        text,
        "Agent:      {state}, {} on host {}, up {}, pid {}",
        word(&document["version"]),
        word(&document["host"]),
        duration(up),
        word(&document["pid"])
    );
    let datastore = &document["datastore"];
    let stale = datastore["staleSeconds"].as_f64().unwrap_or_default();
    let silence = if stale > 0.0 { format!(", silent for {}", duration(stale)) } else { String::new() };
    let _ = writeln!(text, "Datastore:  {}, {}{silence}", word(&datastore["name"]), word(&datastore["sync"]));
    let kernel = &document["kernel"];
    let written = match kernel["secondsSinceCommit"].as_f64() {
        Some(seconds) => format!("last commit {} ago", duration(seconds)),
        None => "no commit yet".to_owned(),
    };
    let _ = writeln!(
        text,
        "Kernel:     {} programmes, {} chains, {} rules, {} sets, {} routes; {written}; {} foreign changes repaired",
        word(&kernel["programmes"]),
        word(&kernel["chains"]),
        word(&kernel["rules"]),
        word(&kernel["sets"]),
        word(&kernel["routes"]),
        word(&kernel["drift"])
    );
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for stage in list(&document["stages"]) {
        if stage["ready"] != true || stage["live"] != true {
            let state = if stage["live"] == true { "not ready" } else { "stuck" };
            let _ =
                writeln!(text, "Stage:      {}: {state} {}", word(&stage["name"]), word(&stage["detail"]));
        }
    }
    for problem in list(&document["problems"]) {
        let _ = writeln!(text, "Problem:    {}", word(&problem));
    }
    for warning in list(&document["warnings"]) {
        let _ = writeln!(text, "Warning:    {}", word(&warning));
    }
    for fault in list(&document["invalid"]) {
        let _ = writeln!(
            text,
            "Bad record: {}: {} ({})",
            word(&fault["key"]),
            word(&fault["message"]),
            word(&fault["effect"])
        );
    }
    let endpoints = list(&document["endpoints"]);
    if !endpoints.is_empty() {
        let _ = writeln!(text);
        endpoint_table(&mut text, &endpoints);
    }
    text
}

fn endpoint_table(text: &mut String, endpoints: &[Value]) {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut rows = vec![["ENDPOINT", "INTERFACE", "STATUS", "POLICY"].map(str::to_owned)];
    for endpoint in endpoints {
        let policy = if endpoint["programmed"] == true { "in the kernel" } else { "not in the kernel" };
        rows.push([
            word(&endpoint["name"]),
            word(&endpoint["interface"]),
            word(&endpoint["status"]),
            policy.to_owned(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [first, second, third] = [width(0), width(1), width(2)];
    for [name, interface, status, policy] in &rows {
        let _ = writeln!(text, "{name:first$}  {interface:second$}  {status:third$}  {policy}");
    }
}

/// A time as people say it.
fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    match seconds as u64 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use margay_daemon::Health;

    use super::{StatusPage, duration, text};
    use crate::board::Board;

    #[test]
    fn the_document_says_what_keeps_the_node_from_being_well() {
        let page =
            StatusPage { host: "node1".to_owned(), started: Instant::now(), datastore: "memory".to_owned() };
        let (board, health) = (Board::default(), Health::default());
        let stage = health.reporter("int_dataplane");
        assert_eq!(page.document(&board, &health)["well"], false);
        stage.set_ready(true);
        let document = page.document(&board, &health);
        assert_eq!(document["well"], true);
        assert!(text(&document).starts_with("Agent:      well, v"), "{}", text(&document));
        board.datastore_failed("connection refused\n");
        board.lock().quarantined.push(("policy allow-web".to_owned(), "too large".to_owned()));
        let document = page.document(&board, &health);
        assert_eq!((&document["well"], &document["ready"]), (&false.into(), &true.into()));
        let shown = text(&document);
        assert!(
            shown.contains("Problem:    the datastore has not answered for 0 s: connection refused\n"),
            "{shown}"
        );
        assert!(shown.contains("Problem:    policy allow-web is closed: too large\n"), "{shown}");
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        let said = [0.25, 3.9, 119.0, 121.0, 8000.0, 200_000.0].map(duration);
        assert_eq!(said, ["250 ms", "3 s", "119 s", "2 min", "2 h", "2 days"]);
    }
}
