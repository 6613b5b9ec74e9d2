//! The bash script is run in a real bash; the others are checked for what they must offer.

use std::process::{Command, Stdio};

use super::*;

/// What bash offers for the words behind the program's name, sorted; the last word is being typed.
fn bash_offers(program: &str, line: &[&str]) -> Vec<String> {
    let words: Vec<String> = [program].iter().chain(line).map(|word| format!("'{word}'")).collect();
    // A stand-in for the program on PATH answers the call for live names.
    let script = format!(
        "margay() {{ shift 2; echo \"live-${{1}}-${{2}}\"; }}\n{}\n\
         COMP_WORDS=({}); COMP_CWORD={}; _{program}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        completions(Shell::Bash),
        words.join(" "),
        line.len(),
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &script])
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("the words are text");
    let mut offered: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    offered.sort();
    offered
}

#[test]
fn bash_completes_commands_options_values_and_live_names() {
    for (program, line, expected) in [
        ("margay", &["va"][..], &["validate"][..]),
        ("calicoctl", &["va"], &[]),
        ("calicoctl", &["re"], &["replace"]),
        ("margay", &["ipam", ""], &["--help", "check", "release", "show"]),
        ("margay", &["ipam", "release", "--i"], &["--ip"]),
        ("margay", &["get", "w"], &["workloadEndpoint"]),
        ("margay", &["get", "-o", "j"], &["json"]),
        ("margay", &["get", "--output", "=", "w"], &["wide"]),
        (
            "margay",
            &["get", "--output", "="],
            &["custom-columns=", "go-template-file=", "go-template=", "json", "ps", "wide", "yaml"],
        ),
        ("margay", &["get", "-o", "json", "pol"], &["policy"]),
        ("margay", &["get", "--output", "=", "json", "pol"], &["policy"]),
        ("margay", &["get", "policy", "live"], &["live-get-policy"]),
        ("margay", &["get", "policy", "a", ""], &[]),
        ("margay", &["get", "-n", ""], &["live-get--n"]),
        ("margay", &["get", "--w"], &["--watch", "--workload"]),
        ("calicoctl", &["get", "--w"], &["--workload"]),
        ("margay", &["config", ""], &["get", "set", "unset"]),
        ("margay", &["config", "set", "node"], &["nodeToNodeMesh"]),
        ("margay", &["completions", "z"], &["zsh"]),
        ("margay", &["datastore", "c"], &["copy"]),
    ] {
        assert_eq!(bash_offers(program, line), expected, "{program} {line:?}");
    }
}

#[test]
fn every_script_knows_every_shown_command_and_no_hidden_one() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = completions(shell);
        for leaf in leaves(Program::Margay) {
            let path = leaf.path.join(" ");
            assert!(script.contains(&path), "{shell:?} lacks {path}");
            for option in leaf.options() {
                assert!(script.contains(option.long), "{shell:?} lacks {path} --{}", option.long);
            }
        }
        assert!(!script.contains("'man'"), "{shell:?}");
        assert!(script.contains("margay complete --"), "{shell:?}");
        assert!(!script.contains("{program}"), "{shell:?}");
    }
}

fn wanted_of(line: &[&str]) -> Option<Wanted> {
    wanted(&line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

#[test]
fn live_names_are_wanted_where_a_name_or_a_node_is_typed() {
    let policy = || Some(Wanted::Names { kind: "pol".to_owned() });
    assert_eq!(wanted_of(&["get", "pol", ""]), policy());
    assert_eq!(wanted_of(&["delete", "-s", "pol", "a"]), policy());
    assert_eq!(wanted_of(&["get", "-o", "yaml", "pol", "a"]), policy());
    assert_eq!(wanted_of(&["get", "pol", "--output=yaml", "a"]), policy());
    assert_eq!(wanted_of(&["get", "wep", "-n", "r"]), Some(Wanted::Nodes));
    assert_eq!(wanted_of(&["config", "get", "x", "--node", ""]), Some(Wanted::Nodes));
}

#[test]
fn nothing_live_is_wanted_elsewhere() {
    for line in [
        &[][..],
        &[""],
        &["get", ""],
        &["get", "pol", "a", ""],
        &["get", "pol", "-"],
        &["get", "pol", "-o", "y"],
        &["apply", "-f", ""],
        &["frob", "pol", ""],
        &["node", ""],
    ] {
        assert_eq!(wanted_of(line), None, "{line:?}");
    }
}
