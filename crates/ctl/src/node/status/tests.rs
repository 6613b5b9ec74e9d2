//! A machine with fake BIRDs behind real Unix sockets.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;

use super::*;
use crate::grammar::command::NodeCommand;
use crate::node::tests::{FakeHost, Outcome, outcome};

/// A BIRD that answers one question.
struct FakeBird {
    path: PathBuf,
    thread: JoinHandle<String>,
}

impl FakeBird {
    fn answering(directory: &tempfile::TempDir, file: &str, answer: &'static str) -> Self {
        let path = directory.path().join(file);
        let listener = UnixListener::bind(&path).expect("the socket is new");
        let thread = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("the program connects");
            socket.write_all(b"0001 BIRD 1.6.3 ready.\n").expect("the program listens");
            let mut question = String::new();
            BufReader::new(&socket).read_line(&mut question).expect("the program asks");
            socket.write_all(answer.as_bytes()).expect("the program listens");
            question
        });
        Self { path, thread }
    }
}

fn succeeded(stdout: &str) -> Outcome {
    Outcome { exit: ExitCode::SUCCESS, stdout: stdout.to_owned(), stderr: String::new() }
}

#[test]
fn without_the_agent_nothing_else_is_looked_at() {
    let host = FakeHost::new().running(&["bird", "calico-felix2"]);
    assert_eq!(
        outcome(&NodeCommand::Status, &host),
        Outcome {
            exit: ExitCode::FAILURE,
            stdout: "Calico process is not running.\n".to_owned(),
            stderr: String::new(),
        }
    );
}

#[test]
fn without_bgp_the_status_says_so() {
    let host = FakeHost::new().running(&["init", "calico-felix"]);
    assert_eq!(
        outcome(&NodeCommand::Status, &host),
        succeeded(
            "Calico process is running.\n\nNone of the BGP backend processes (BIRD or GoBGP) are running.\n\n"
        )
    );
}

#[test]
fn the_peers_of_gobgp_cannot_be_shown_and_that_is_said() {
    // The kernel cuts the name.
    let host = FakeHost::new().running(&["calico-felix", "calico-bgp-daem"]);
    let outcome = outcome(&NodeCommand::Status, &host);
    assert_eq!(
        outcome.stdout,
        "Calico process is running.\n\n\
         INFO: GoBGP process: 'calico-bgp-daemon' is running; its peers cannot be shown.\n\n"
    );
    assert!(outcome.stderr.starts_with("hint: "), "{}", outcome.stderr);
    assert_eq!(outcome.exit, ExitCode::SUCCESS);
}

#[test]
fn both_birds_are_asked_for_their_peers() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bird = FakeBird::answering(
        &directory,
        "bird.ctl",
        "2002-name     proto    table    state  since       info\n\
         1002-kernel1  Kernel   master   up     2016-11-21\n \
         Mesh_172_17_8_102 BGP      master   up     2016-11-21  Established\n \
         Node_172_17_8_104 BGP      master   down   2016-11-21  Failed Socket: error\n0000 \n",
    );
    let bird6 = FakeBird::answering(&directory, "bird6.ctl", "0000 \n");
    let host = FakeHost {
        sockets: [
            ("/var/run/calico/bird.ctl", bird.path.clone()),
            // Only where a package puts it.
            ("/var/run/bird/bird6.ctl", bird6.path.clone()),
        ]
        .into(),
        ..FakeHost::new().running(&["calico-felix", "bird", "bird6"])
    };
    assert_eq!(
        outcome(&NodeCommand::Status, &host),
        succeeded(
            "\
Calico process is running.

IPv4 BGP status
+--------------+-------------------+-------+------------+----------------------+
| PEER ADDRESS |     PEER TYPE     | STATE |   SINCE    |         INFO         |
+--------------+-------------------+-------+------------+----------------------+
| 172.17.8.102 | node-to-node mesh | up    | 2016-11-21 | Established          |
| 172.17.8.104 | node specific     | down  | 2016-11-21 | Failed Socket: error |
+--------------+-------------------+-------+------------+----------------------+

IPv6 BGP status
No IPv6 peers found.

"
        )
    );
    for bird in [bird, bird6] {
        assert_eq!(bird.thread.join().expect("the fake ends"), "show protocols\n");
    }
}

#[test]
fn a_bird_without_a_socket_is_told_and_the_other_one_still_counts() {
    let host = FakeHost::new().running(&["calico-felix", "bird"]);
    assert_eq!(
        outcome(&NodeCommand::Status, &host),
        succeeded(
            "Calico process is running.\n\nIPv4 BGP status\n\
             Error querying BIRD: unable to connect to BIRDv4 socket: \
             dial unix /var/run/bird/bird.ctl: connect: no such file or directory\n\
             INFO: BIRDv6 process: 'bird6' is not running.\n\n"
        )
    );
}

#[test]
fn an_answer_that_is_not_understood_ends_the_command() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (file, answer, text) in [
        ("a", "2002-something else\n", "unknown BIRD table output format"),
        ("b", "8001 no\n", "unexpected output line from BIRD"),
    ] {
        let bird = FakeBird::answering(&directory, file, answer);
        let host = FakeHost {
            sockets: [("/var/run/calico/bird6.ctl", bird.path.clone())].into(),
            ..FakeHost::new().running(&["calico-felix", "bird6"])
        };
        let outcome = outcome(&NodeCommand::Status, &host);
        assert_eq!(
            outcome.stdout,
            format!(
                "Calico process is running.\n\nINFO: BIRDv4 process: 'bird' is not running.\n\n\
                 IPv6 BGP status\nError executing command: {text}"
            )
        );
        assert_eq!(outcome.exit, ExitCode::FAILURE);
        bird.thread.join().expect("the fake ends");
    }
}
