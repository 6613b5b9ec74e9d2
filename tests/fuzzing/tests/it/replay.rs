//! Every file of `tests/data/fuzz/<target>` and mutations of it go through the target.

use std::path::{Path, PathBuf};

use margay_fuzzing::{TARGETS, Target};

use crate::mutation::{Numbers, mutated};

/// Shows the input when the target panics.
struct Shown<'a> {
    seed: &'a Path,
    input: &'a [u8],
}

impl Drop for Shown<'_> {
    #[expect(clippy::print_stderr, reason = "the one way to say more while a test panics")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}, or a mutation of it: b\"{}\"", self.seed.display(), self.input.escape_ascii());
        }
    }
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/fuzz")
}

fn seeds(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(&path).expect("a file"))).collect()
}

/// `mutations` are shared out among the seeds.
fn replay(name: &str, mutations: usize) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target");
    let seeds = seeds(&data().join(name));
    assert!(seeds.len() >= 5, "{name} has {} seeds", seeds.len());
    for (index, (path, seed)) in seeds.iter().enumerate() {
        run(target, path, seed);
        let (_, other) = &seeds[(index + 1) % seeds.len()];
        let mut numbers = Numbers::of(&path.file_name().expect("a file").to_string_lossy());
        for _ in 0..mutations.div_ceil(seeds.len()) {
            run(target, path, &mutated(seed, other, &mut numbers));
        }
    }
}

fn run(target: Target, seed: &Path, input: &[u8]) {
    let shown = Shown { seed, input };
    target(shown.input);
}

#[test]
fn arguments_hold_for_all_seeds() {
    replay("arguments", 1_200);
}

#[test]
fn blocks_hold_for_all_seeds() {
    replay("blocks", 4_000);
}

#[test]
fn configurations_of_networks_hold_for_all_seeds() {
    replay("cni", 5_000);
}

#[test]
fn documents_hold_for_all_seeds() {
    replay("documents", 3_000);
}

#[test]
fn events_hold_for_all_seeds() {
    replay("events", 3_000);
}

#[test]
fn keys_hold_for_all_seeds() {
    replay("keys", 20_000);
}

#[test]
fn selectors_hold_for_all_seeds() {
    replay("selectors", 20_000);
}

#[test]
fn settings_hold_for_all_seeds() {
    replay("settings", 4_000);
}

#[test]
fn stored_values_hold_for_all_seeds() {
    replay("stored", 4_000);
}

#[test]
fn templates_hold_for_all_seeds() {
    replay("templates", 10_000);
}

#[test]
fn every_folder_has_a_target_and_the_seeds_are_small() {
    let mut folders: Vec<String> = std::fs::read_dir(data())
        .expect("the seeds")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    assert_eq!(folders, TARGETS.map(|(name, _)| name.to_owned()));
    let all = folders.iter().flat_map(|folder| seeds(&data().join(folder)));
    let bytes: usize = all.map(|(_, seed)| seed.len()).sum();
    assert!(bytes < 300 << 10, "{bytes} bytes of seeds");
}

#[test]
fn netlink_holds_for_all_seeds() {
    replay("netlink", 6_000);
}
