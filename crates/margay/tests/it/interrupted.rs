//! A command that is killed between two writes leaves whole objects, and the next command works.

use std::process::{Command, Stdio};
use std::time::Duration;

/// Profiles: of all kinds the one whose halves could be seen, having three keys each.
fn documents(count: usize) -> String {
    (0..count)
        .map(|i| {
            format!(
                "---\napiVersion: v1\nkind: profile\nmetadata: {{name: p{i:05}, tags: [t], labels: {{a: b}}}}\n\
                 spec: {{ingress: [{{action: allow}}]}}\n"
            )
        })
        .collect()
}

#[test]
fn killed_at_any_moment_the_store_holds_whole_objects() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("all.yaml"), documents(4000)).expect("a file");
    let margay = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_margay"));
        command
            .args(args)
            .env_clear()
            .env("SQLITE_PATH", folder.path().join("store.db"))
            .current_dir(folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut cut_short = 0;
    for round in 0..12_u64 {
        let mut child = margay(&["apply", "-f", "all.yaml"]).spawn().expect("the executable starts");
        // A different moment in each round; where it falls does not matter, only that every one is survived.
        std::thread::sleep(Duration::from_millis(20 * round));
        // It may have ended by itself.
        let _ = child.kill();
        cut_short += usize::from(child.wait().expect("it ends").code().is_none());
        let listed = margay(&["get", "profile", "-o", "go-template={{range .}}{{range .Items}}{{.Metadata.Tags}}{{.Metadata.Labels}}{{len .Spec.IngressRules}}\n{{end}}{{end}}"]).output().expect("it runs");
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let text = String::from_utf8(listed.stdout).expect("text");
        assert!(text.lines().all(|line| line == "[t]map[a:b]1"), "round {round}: half an object");
        if round % 4 == 3 {
            std::fs::remove_file(folder.path().join("store.db")).expect("the store is removed");
        }
    }
    assert!(cut_short > 0, "no round was interrupted");
    assert!(margay(&["apply", "-f", "all.yaml"]).status().expect("it runs").success());
}
