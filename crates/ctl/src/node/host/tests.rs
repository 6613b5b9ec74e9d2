//! The real machine, as far as a test may touch it.

use super::*;

fn run(command: &[&str], limit: Duration) -> io::Result<(Ended, String)> {
    let (ended, output) = collect(&LocalHost, command, limit)?;
    Ok((ended, String::from_utf8(output).expect("the output is text")))
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn both_streams_and_the_exit_status_of_a_program_are_seen() {
    let (ended, output) = run(&["sh", "-c", "echo out; echo err >&2; exit 3"], LONG).expect("sh starts");
    assert_eq!((ended, output.as_str()), (Ended::Failed("exit status 3".to_owned()), "out\nerr\n"));
    let (ended, output) = run(&["sh", "-c", "cat"], LONG).expect("sh starts");
    assert_eq!((ended, output.as_str()), (Ended::Success, ""));
}

#[test]
fn more_output_than_a_pipe_holds_is_read() {
    let (ended, output) = run(&["sh", "-c", "seq 1 60000"], LONG).expect("sh starts");
    assert_eq!((ended, output.lines().count()), (Ended::Success, 60000));
}

#[test]
fn a_program_that_takes_too_long_is_killed() {
    let (ended, output) = run(&["sleep", "1000"], Duration::ZERO).expect("sleep starts");
    assert_eq!((ended, output.as_str()), (Ended::TimedOut, ""));
}

#[test]
fn a_program_is_killed_when_its_reader_has_seen_enough() {
    let mut seen = Vec::new();
    let ended = LocalHost
        .stream(&["sh", "-c", "echo ready; exec sleep 1000"], LONG, &mut |bytes| {
            seen.extend_from_slice(bytes);
            if seen.ends_with(b"\n") { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("sh starts");
    assert_eq!((ended, seen), (Ended::Stopped, b"ready\n".to_vec()));
}

#[test]
fn a_program_that_is_not_installed_is_an_error() {
    let error = run(&["no-such-program-here"], LONG).expect_err("it is not there");
    assert_eq!(
        start_error("no-such-program-here", &error),
        "exec: \"no-such-program-here\": executable file not found in $PATH"
    );
}

#[test]
fn this_process_is_among_the_processes() {
    let own = i32::try_from(std::process::id()).expect("ids are small");
    let comm = std::fs::read_to_string("/proc/self/comm").expect("Linux has /proc");
    let found = LocalHost.processes().expect("Linux has /proc");
    let found = found.iter().find(|process| process.pid == own).expect("we run");
    assert_eq!(found.name, comm.trim_end());
}

#[test]
fn the_names_of_this_machine_are_those_of_the_kernel() {
    let read = |path| std::fs::read_to_string(path).expect("Linux has /proc").trim_end().to_owned();
    assert_eq!(LocalHost.kernel_release(), read("/proc/sys/kernel/osrelease"));
    assert_eq!(LocalHost.hostname(), Some(read("/proc/sys/kernel/hostname")));
}

#[test]
fn writing_never_creates_a_file() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("x");
    assert!(LocalHost.write(&path, b"1").is_err());
    assert!(!LocalHost.exists(&path));
    std::fs::write(&path, "0").expect("the directory is ours");
    LocalHost.write(&path, b"1").expect("the file is there");
    assert_eq!(LocalHost.read(&path).expect("the file is there"), b"1");
}

#[test]
fn an_address_resolves_to_itself() {
    assert_eq!(
        LocalHost.resolve("::1").expect("no lookup is needed"),
        [IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])]
    );
}
